import { BaseCommand } from '../cli/base-command.ts';
import { renderDevices, renderHostCache } from '../cli/render/cache.ts';

export default class Devices extends BaseCommand {
  static override summary = 'List the devices with their memory';
  static override description =
    'USED is what is accounted, MEASURED what the system says the worker really takes. With GPUs, what the host cache keeps ready is shown too.';
  static override examples = [{ description: 'All devices', command: '<%= config.bin %> devices' }];

  async run(): Promise<unknown> {
    await this.parse(Devices);
    const { devices, hostCache } = await (await this.client()).ps();
    this.print(renderDevices(devices));
    if (hostCache !== undefined) this.print(renderHostCache(hostCache));
    return devices;
  }
}
