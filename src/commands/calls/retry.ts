import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base-command.ts';
import { wholeAsyncCallId } from '../../cli/call-id.ts';

export default class CallsRetry extends BaseCommand {
  static override summary = 'Run an asynchronous call again';
  static override description =
    'With the input it came with, under the same id, by the version of the function that serves now. Its callback is told again. A call that waits or runs is not touched.';
  static override examples = [
    { description: 'One call', command: '<%= config.bin %> calls retry ID' },
    {
      description: 'All that broke off',
      command: `<%= config.bin %> calls ls --state interrupted --json | jq -r '.[].id' | xargs -n1 <%= config.bin %> calls retry`,
    },
  ];
  static override args = {
    id: Args.string({
      description: 'id of the call, as `invoke --async` or `calls ls` gave it; its first 8 characters will do',
      required: true,
    }),
  };

  async run(): Promise<unknown> {
    const { args } = await this.parse(CallsRetry);
    const client = await this.client();
    const call = await client.retryCall(await wholeAsyncCallId(client, args.id));
    this.print(`${call.id} runs again.`);
    this.next(`gpufaas calls show ${call.id} --wait`);
    return call;
  }
}
