import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { renderCache } from '../cli/render/cache.ts';

export default class Pin extends BaseCommand {
  static override summary = 'Keep the models of a function resident';
  static override description = 'Pinned models are never evicted while resident, whatever else wants the memory.';
  static override examples = [
    { description: 'Load and keep', command: '<%= config.bin %> pin digits' },
    { description: 'Let them go again', command: '<%= config.bin %> pin digits --off' },
  ];
  static override args = { fn: Args.string({ description: 'name of the function', required: true }) };
  static override flags = { off: Flags.boolean({ description: 'undo it' }) };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Pin);
    const ps = await (await this.client()).pin(args.fn, !flags.off);
    this.print(renderCache(ps, Date.now(), args.fn));
    this.next(flags.off ? `gpufaas pin ${args.fn}` : `gpufaas pin ${args.fn} --off`);
    return ps;
  }
}
