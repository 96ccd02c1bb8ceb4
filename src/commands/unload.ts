import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import type { PsResponse } from '../api/schemas.ts';
import { BaseCommand } from '../cli/base-command.ts';
import { renderCache } from '../cli/render/cache.ts';

export default class Unload extends BaseCommand {
  static override summary = 'Evict the models of a function from the devices';
  static override description = 'Returns once the memory is back. What is in use is evicted after its run.';
  static override examples = [
    { description: 'Everywhere', command: '<%= config.bin %> unload digits' },
    { description: 'From one device', command: '<%= config.bin %> unload digits --device cpu:1' },
  ];
  static override args = { fn: Args.string({ description: 'name of the function', required: true }) };
  static override flags = { device: Flags.string({ description: 'only there', helpValue: 'DEVICE' }) };

  async run(): Promise<unknown> {
    const { args, flags } = await this.parse(Unload);
    const client = await this.client();
    const wasResident = isResident(await client.ps(), args.fn, flags.device);
    this.progress.show(`Evicting ${args.fn}`);
    const ps = await client.unload(args.fn, flags.device);
    this.progress.clear();
    if (!wasResident) this.note(`${args.fn} was not resident.`);
    this.print(renderCache(ps, Date.now()));
    this.next(`gpufaas load ${args.fn}`);
    return ps;
  }
}

function isResident(ps: PsResponse, fn: string, device: string | undefined): boolean {
  return ps.devices
    .filter((each) => device === undefined || each.id === device)
    .some((each) => each.resident.some((model) => model.functions.includes(fn) && model.state !== 'quarantined'));
}
