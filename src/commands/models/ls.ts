import { BaseCommand } from '../../cli/base-command.ts';
import { ago } from '../../cli/render/ago.ts';
import { renderTable } from '../../cli/render/table.ts';
import { formatSize } from '../../units.ts';

export default class ModelsLs extends BaseCommand {
  static override summary = 'List the models in the store';
  static override description = 'Equal bytes are one model, however many functions use it.';
  static override examples = [{ description: 'All models', command: '<%= config.bin %> models ls' }];

  async run(): Promise<unknown> {
    await this.parse(ModelsLs);
    const models = await (await this.client()).models();
    if (models.length === 0) {
      this.note('The store is empty.');
      return models;
    }
    const nowMs = Date.now();
    this.print(
      renderTable(models, [
        { title: 'SHA256', value: (model) => model.sha256 },
        { title: 'SIZE', value: (model) => formatSize(model.bytes), align: 'right' },
        { title: 'LAST USED', value: (model) => ago(model.lastUsedAt, nowMs) },
        { title: 'FUNCTIONS', value: (model) => model.functions.join(', ') || '-' },
      ]),
    );
    return models;
  }
}
