import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base-command.ts';
import { wholeAsyncCallId } from '../../cli/call-id.ts';

export default class CallsCancel extends BaseCommand {
  static override summary = 'Cancel an asynchronous call that waits or runs';
  static override examples = [{ description: 'One call', command: '<%= config.bin %> calls cancel ID' }];
  static override args = {
    id: Args.string({
      description: 'id of the call, as `invoke --async` or `calls ls` gave it; its first 8 characters will do',
      required: true,
    }),
  };

  async run(): Promise<unknown> {
    const { args } = await this.parse(CallsCancel);
    const client = await this.client();
    const id = await wholeAsyncCallId(client, args.id);
    await client.cancelCall(id);
    this.print(`Cancelled ${id}.`);
    return { id, cancelled: true };
  }
}
