import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base-command.ts';
import { effectiveValue, resolveSettings, settingName } from '../../cli/settings.ts';

export default class ConfigGet extends BaseCommand {
  static override summary = 'Print the value of a setting in force';
  static override examples = [
    { description: 'Which devices `up` would use', command: '<%= config.bin %> config get devices' },
  ];
  static override args = { name: Args.string({ description: 'name of the setting', required: true }) };

  async run(): Promise<unknown> {
    const { args } = await this.parse(ConfigGet);
    const name = settingName(args.name);
    const setting = resolveSettings({}, this.home)[name];
    const value = effectiveValue(name, setting);
    if (value === null) this.note(`${name} is not set: there is no limit.`);
    else this.print(value);
    return { name, value, source: setting.source };
  }
}
