import { BaseCommand } from '../../cli/base-command.ts';
import { renderTable } from '../../cli/render/table.ts';
import { effectiveValue, resolveSettings, SETTINGS, type SettingName } from '../../cli/settings.ts';

export default class ConfigList extends BaseCommand {
  static override summary = 'List the settings, their values and where these come from';
  static override description = 'Flag beats environment beats `gpufaas config` beats default.';
  static override examples = [{ description: 'All settings', command: '<%= config.bin %> config list' }];

  async run(): Promise<unknown> {
    await this.parse(ConfigList);
    const settings = resolveSettings({}, this.home);
    const rows = (Object.keys(SETTINGS) as SettingName[]).map((name) => ({
      name,
      value: effectiveValue(name, settings[name]),
      source: settings[name].source,
    }));
    this.print(
      renderTable(rows, [
        { title: 'SETTING', value: (row) => row.name },
        { title: 'VALUE', value: (row) => row.value ?? '(no limit)' },
        { title: 'FROM', value: (row) => row.source },
        { title: 'MEANING', value: (row) => SETTINGS[row.name].description },
      ]),
    );
    return rows;
  }
}
