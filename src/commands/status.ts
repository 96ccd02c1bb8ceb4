import { BaseCommand } from '../cli/base-command.ts';
import { renderStatus } from '../cli/render/status.ts';

export default class Status extends BaseCommand {
  static override summary = 'Say how the daemon is';
  static override description = 'Exits 4 if no daemon runs.';
  static override examples = [
    { description: 'State, address, policy and devices', command: '<%= config.bin %> status' },
    { description: 'The address alone', command: '<%= config.bin %> status --json | jq -r .url' },
  ];

  async run(): Promise<unknown> {
    await this.parse(Status);
    const status = await (await this.client()).status();
    this.print(renderStatus(status));
    return status;
  }
}
