import * as Args from '@oclif/core/args';
import { BaseCommand } from '../../cli/base-command.ts';

export default class CallsCancel extends BaseCommand {
  static override summary = 'Cancel an asynchronous call that waits or runs';
  static override examples = [{ description: 'One call', command: '<%= config.bin %> calls cancel ID' }];
  static override args = {
    id: Args.string({ description: 'id of the call, as `invoke --async` or `calls ls` gave it', required: true }),
  };

  async run(): Promise<unknown> {
    const { args } = await this.parse(CallsCancel);
    await (await this.client()).cancelCall(args.id);
    this.print(`Cancelled ${args.id}.`);
    return { id: args.id, cancelled: true };
  }
}
