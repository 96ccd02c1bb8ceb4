import { BaseCommand } from '../cli/base-command.ts';
import { renderCache } from '../cli/render/cache.ts';

export default class Ps extends BaseCommand {
  static override summary = 'Show the device cache: what is resident where';
  static override description =
    'Bytes, hits, last use, whether in use, and until when it stays if nothing wants its memory.';
  static override examples = [
    { description: 'All devices', command: '<%= config.bin %> ps' },
    {
      description: 'Models in use',
      command: "<%= config.bin %> ps --json | jq '.devices[].resident[] | select(.inUse)'",
    },
  ];

  async run(): Promise<unknown> {
    await this.parse(Ps);
    const ps = await (await this.client()).ps();
    this.print(renderCache(ps, Date.now()));
    return ps;
  }
}
