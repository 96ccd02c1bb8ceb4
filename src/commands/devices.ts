import { BaseCommand } from '../cli/base-command.ts';
import { renderDevices } from '../cli/render/cache.ts';

export default class Devices extends BaseCommand {
  static override summary = 'List the devices with their memory';
  static override description = 'USED is what is accounted, MEASURED what the system says the worker really takes.';
  static override examples = [{ description: 'All devices', command: '<%= config.bin %> devices' }];

  async run(): Promise<unknown> {
    await this.parse(Devices);
    const devices = await (await this.client()).devices();
    this.print(renderDevices(devices));
    return devices;
  }
}
