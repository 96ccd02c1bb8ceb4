import * as Args from '@oclif/core/args';
import { BaseCommand } from '../cli/base-command.ts';

export default class Rollback extends BaseCommand {
  static override summary = 'Serve an earlier version of a function again';
  static override examples = [
    { description: 'The version before this one', command: '<%= config.bin %> rollback digits' },
    { description: 'Version 3', command: '<%= config.bin %> rollback digits 3' },
  ];
  static override args = {
    fn: Args.string({ description: 'name of the function', required: true }),
    version: Args.integer({ description: 'number of the deployment; `describe` lists them', min: 1 }),
  };

  async run(): Promise<unknown> {
    const { args } = await this.parse(Rollback);
    const result = await (await this.client()).rollback(args.fn, args.version);
    this.print(`${result.name} serves version ${result.version}.`);
    this.next(`gpufaas describe ${result.name}`);
    return result;
  }
}
