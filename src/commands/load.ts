import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { findSample, nextCalls } from '../cli/example-call.ts';
import { renderCache } from '../cli/render/cache.ts';
import { startFlag } from '../cli/start-flag.ts';

export default class Load extends BaseCommand {
  static override summary = 'Make the models of a function resident';
  static override description = 'Returns once they are. The next call is a hit.';
  static override examples = [
    { description: 'Where they fit best', command: '<%= config.bin %> load digits' },
    { description: 'On one device', command: '<%= config.bin %> load digits --device cuda:0' },
  ];
  static override args = { fn: Args.string({ description: 'name of the function', required: true }) };
  static override flags = {
    device: Flags.string({ description: 'only there', helpValue: 'DEVICE' }),
    ...startFlag,
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Load);
    const client = await this.client({ start: flags.start });
    this.progress.show(`Loading ${args.fn}`);
    const ps = await client.load(args.fn, flags.device);
    this.progress.clear();
    this.print(renderCache(ps, Date.now(), args.fn));
    if (this.jsonEnabled()) return ps;
    const detail = await client.function(args.fn);
    this.next(...nextCalls(detail, findSample(detail), 'gpufaas ps'));
    return ps;
  }
}
