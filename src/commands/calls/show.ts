import { setTimeout as sleep } from 'node:timers/promises';
import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { collect, copyToStdout, describeCall, resultOf } from '../../cli/answer.ts';
import { BaseCommand } from '../../cli/base-command.ts';
import { wholeAsyncCallId } from '../../cli/call-id.ts';
import { pendingSentence } from '../../cli/render/calls.ts';
import { renderTiming } from '../../cli/render/timing.ts';
import { readCallHeaders } from '../../client/call-headers.ts';
import type { CallAnswer, GpufaasClient } from '../../client/client.ts';
import { GpufaasError } from '../../errors.ts';

const POLL_MS = 250;

export default class CallsShow extends BaseCommand {
  static override summary = 'Show the answer of an asynchronous call';
  static override description =
    'Answers are kept for a day, over restarts of the daemon too. While the call waits or runs there is none yet: that is said, or waited for with --wait.';
  static override examples = [
    { description: 'What there is now', command: '<%= config.bin %> calls show ID' },
    { description: 'The answer, once it is there', command: '<%= config.bin %> calls show ID --wait' },
  ];
  static override args = {
    id: Args.string({
      description: 'id of the call, as `invoke --async` or `calls ls` gave it; its first 8 characters will do',
      required: true,
    }),
  };
  static override flags = { wait: Flags.boolean({ description: 'wait for the answer' }) };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(CallsShow);
    const client = await this.client();
    const id = await wholeAsyncCallId(client, args.id);
    let answer = await answerOf(client, id);
    while (answer === null && flags.wait) {
      this.goesOn = `The call goes on: \`gpufaas calls show ${id} --wait\` waits again, \`gpufaas calls cancel ${id}\` ends it.`;
      this.progress.show('Waiting for the answer');
      await sleep(POLL_MS, undefined, { signal: this.signal });
      answer = await answerOf(client, id);
    }
    this.progress.clear();
    if (answer === null) {
      const call = await client.asyncCall(id);
      this.print(pendingSentence(call, Date.now()));
      this.next(`gpufaas calls show ${id} --wait`, `gpufaas calls cancel ${id}`);
      return { pending: true, ...call };
    }
    const headers = readCallHeaders(answer.headers);
    if (answer.status >= 400) process.exitCode = 1;
    if (this.jsonEnabled()) {
      const result = resultOf(await collect(answer.body), answer.headers['content-type']);
      return await describeCall(client, {
        name: '',
        status: answer.status,
        result,
        headers: { ...headers, id },
      });
    }
    await copyToStdout(answer.body, this.signal);
    this.note(renderTiming(headers));
    return undefined;
  }
}

/** The answer of the call; null while there is none. Throws what the call failed with. */
async function answerOf(client: GpufaasClient, id: string): Promise<CallAnswer | null> {
  try {
    return await client.callAnswer(id);
  } catch (error) {
    const cancelled = error instanceof GpufaasError && error.code === 'CANCELLED';
    throw cancelled ? new CancelledCall(error, id) : error;
  }
}

/** A call that somebody cancelled: it failed, while nobody interrupted the command that says so. */
class CancelledCall extends GpufaasError {
  constructor(cause: GpufaasError, id: string) {
    super('CANCELLED', cause.message, { cause, suggestions: [`\`gpufaas calls retry ${id}\` runs it again.`] });
  }

  override get exitCode(): number {
    return 1;
  }
}
