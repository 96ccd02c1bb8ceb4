import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base-command.ts';
import { resolveSettings, settingName, writeConfig } from '../../cli/settings.ts';

export default class ConfigSet extends BaseCommand {
  static override summary = 'Keep a setting for every start of the daemon';
  static override examples = [
    { description: 'Two CPU devices', command: '<%= config.bin %> config set devices cpu:2@4GB' },
    { description: 'Another port', command: '<%= config.bin %> config set port 9000' },
  ];
  static override args = {
    name: Args.string({ description: 'name of the setting', required: true }),
    value: Args.string({ description: 'its value', required: true }),
  };

  async run(): Promise<unknown> {
    const { args } = await this.parse(ConfigSet);
    const name = settingName(args.name);
    const { value } = args;
    writeConfig(this.home, name, value);
    const inForce = resolveSettings({}, this.home)[name];
    this.print(`${name} = ${value}`);
    if (inForce.source === 'environment') this.note(`The environment says otherwise for now: ${inForce.value}.`);
    this.note('A running daemon keeps its settings until it is started again.');
    return { name, value, source: 'config' };
  }
}
