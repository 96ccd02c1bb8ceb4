import { BaseCommand } from '../cli/base-command.ts';
import { renderTable } from '../cli/render/table.ts';

export default class Ls extends BaseCommand {
  static override summary = 'List the functions';
  static override examples = [
    { description: 'All functions', command: '<%= config.bin %> ls' },
    { description: 'Their names', command: "<%= config.bin %> ls --json | jq -r '.[].name'" },
  ];

  async run(): Promise<unknown> {
    await this.parse(Ls);
    const functions = await (await this.client()).functions();
    if (functions.length === 0) {
      this.note('No functions yet.');
      this.next('gpufaas init', 'gpufaas deploy');
      return functions;
    }
    this.print(
      renderTable(functions, [
        { title: 'NAME', value: (row) => row.name },
        { title: 'VERSION', value: (row) => String(row.version), align: 'right' },
        { title: 'STATUS', value: (row) => row.status },
        { title: 'CALLS', value: (row) => String(row.invocations), align: 'right' },
        { title: 'MODELS', value: (row) => row.models.join(', ') },
      ]),
    );
    return functions;
  }
}
