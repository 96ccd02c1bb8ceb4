import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { canAsk, confirm } from '../cli/prompt.ts';

export default class Rm extends BaseCommand {
  static override summary = 'Remove a function with all its versions';
  static override description =
    'Asks first on a terminal. Models that no other function uses can be removed afterwards.';
  static override examples = [
    { description: 'Remove digits', command: '<%= config.bin %> rm digits' },
    { description: 'Without being asked', command: '<%= config.bin %> rm digits --yes' },
  ];
  static override args = { fn: Args.string({ name: 'FN', description: 'name of the function', required: true }) };
  static override flags = { yes: Flags.boolean({ char: 'y', description: 'do not ask' }) };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Rm);
    const client = await this.client();
    if (!flags.yes && !this.jsonEnabled() && canAsk()) {
      const { versions } = await client.function(args.fn);
      const what = `${args.fn} and its ${versions.length} version${versions.length === 1 ? '' : 's'}`;
      if (!(await confirm(`Remove ${what}?`))) {
        this.note('Nothing was removed.');
        return { name: args.fn, removed: false };
      }
    }
    await client.remove(args.fn);
    this.print(`Removed ${args.fn}.`);
    this.next('gpufaas ls');
    return { name: args.fn, removed: true };
  }
}
