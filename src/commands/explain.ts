import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { wholeCallId } from '../cli/call-id.ts';
import { renderInvocation } from '../cli/render/invocation.ts';
import { GpufaasError } from '../errors.ts';

export default class Explain extends BaseCommand {
  static override summary = 'Explain one invocation: where its time went, and why on that device';
  static override description = 'Without an ID the last invocation, of any function or of the one given.';
  static override examples = [
    { description: 'The last call', command: '<%= config.bin %> explain' },
    { description: 'One call, by its X-Call-Id', command: '<%= config.bin %> explain 0f3c…' },
  ];
  static override args = {
    id: Args.string({
      description: 'id of the call: X-Call-Id, or `id` of `invoke --json`; its first 8 characters will do',
    }),
  };
  static override flags = {
    function: Flags.string({ description: 'the last call of this function', helpValue: 'FN' }),
  };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Explain);
    const client = await this.client();
    const record =
      args.id === undefined
        ? (await client.invocations({ function: flags.function, limit: 1 }))[0]
        : await client.invocation(await wholeCallId(client, args.id));
    if (record === undefined) {
      // Calls of a function that was removed are still told of: whether it exists is asked only where there are none.
      if (flags.function !== undefined) await client.function(flags.function);
      const whose = flags.function === undefined ? '' : ` of ${flags.function}`;
      throw new GpufaasError('CALL_NOT_FOUND', `No call${whose} has been recorded yet.`, {
        suggestions: [`Make one: \`gpufaas invoke ${flags.function ?? 'FN'}\`.`],
      });
    }
    this.print(renderInvocation(record));
    return record;
  }
}
