import * as Flags from '@oclif/core/flags';
import type { GpufaasClient } from '../../client/client.ts';
import { BaseCommand } from '../../cli/base-command.ts';
import { renderCalls } from '../../cli/render/calls.ts';

const STATES = ['queued', 'running', 'done', 'failed', 'cancelled', 'interrupted'];

export default class CallsLs extends BaseCommand {
  static override summary = 'List the asynchronous calls, newest first';
  static override description =
    'Calls are kept for a day after their end. `failed`: the answer is an error. `interrupted`: the daemon ended while the call ran; `calls retry` runs it again.';
  static override examples = [
    { description: 'The last calls', command: '<%= config.bin %> calls ls' },
    { description: 'What broke off', command: '<%= config.bin %> calls ls --state interrupted' },
    {
      description: 'Their ids, for a script',
      command: `<%= config.bin %> calls ls --state failed --json | jq -r '.[].id'`,
    },
  ];
  static override flags = {
    function: Flags.string({ description: 'only those of this function', helpValue: 'FN' }),
    state: Flags.string({ description: 'only those in this state', options: STATES }),
    limit: Flags.integer({ description: 'at most so many', default: 100, min: 1, max: 10_000 }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(CallsLs);
    const { state, limit } = flags;
    const client = await this.client();
    const calls = await client.asyncCalls({ function: flags.function, state, limit });
    if (calls.length === 0 && flags.function !== undefined) await expectFunction(client, flags.function);
    if (calls.length === 0) this.note(`No such calls. Next: \`gpufaas invoke ${flags.function ?? 'FN'} --async\``);
    else this.print(renderCalls(calls, Date.now()));
    return calls;
  }
}

/** Throws FUNCTION_NOT_FOUND unless there is such a function, or was one whose calls are still kept. */
async function expectFunction(client: GpufaasClient, name: string): Promise<void> {
  const kept = await client.asyncCalls({ function: name, limit: 1 });
  if (kept.length === 0) await client.function(name);
}
