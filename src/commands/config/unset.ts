import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base-command.ts';
import { settingName, writeConfig } from '../../cli/settings.ts';

export default class ConfigUnset extends BaseCommand {
  static override summary = 'Forget a setting: the default holds again';
  static override examples = [{ description: 'Devices', command: '<%= config.bin %> config unset devices' }];
  static override args = { name: Args.string({ description: 'name of the setting', required: true }) };

  async run(): Promise<unknown> {
    const { args } = await this.parse(ConfigUnset);
    const name = settingName(args.name);
    writeConfig(this.home, name, null);
    this.print(`${name} is no longer set.`);
    return { name, value: null, source: 'default' };
  }
}
