// Instances: more sessions of a resident model on a device with several cores, each for one run on one core, so that runs of one
// model go on side by side. They live in free memory only: to the policies it stays free, and they go when it is wanted.

import type { Copy, DeviceState } from './state.ts';
import type { SchedulerAction } from './types.ts';

/** Fewer are of no use: one run at a time is what the copy does by itself. */
const FEWEST = 2;
/** Crowded runs that do not count after instances had to go, and after they could not be made. */
const PAUSE_RUNS = 200;
const LONG_PAUSE_RUNS = 5_000;

/** The instances of all copies. */
export class Instances {
  readonly #act: (action: SchedulerAction) => void;

  constructor(act: (action: SchedulerAction) => void) {
    this.#act = act;
  }

  /** Asks for as many as the device can run and its free memory holds; each is taken to need what the copy needs. */
  widen(copy: Copy): void {
    const { device, model } = copy;
    if (device.reservedBytes > 0) return;
    const fit = Math.floor((device.freeBytes - device.extraBytes) / Math.max(1, copy.bytes));
    const instances = Math.min(device.instances, fit);
    if (instances < FEWEST || copy.instances > 0) return;
    copy.instances = instances;
    copy.extraBytes = instances * copy.bytes;
    device.extraBytes += copy.extraBytes;
    device.wide.add(copy);
    this.#act({ type: 'widen', device: device.id, model: model.id, instances });
  }

  /** The driver has them, or could not make them. */
  widened(copy: Copy, ready: boolean): void {
    if (ready) copy.width = Math.max(1, copy.instances);
    else this.#giveUp(copy, LONG_PAUSE_RUNS);
  }

  /** Gives up instances until the device uses no more than it has: to be called whenever something took free memory. */
  makeRoom(device: DeviceState): void {
    for (const copy of device.wide) {
      if (device.freeBytes >= device.extraBytes) return;
      this.narrow(copy);
    }
  }

  /** Gives up the instances of a copy, if it has any. */
  narrow(copy: Copy): void {
    if (copy.instances === 0) return;
    this.#giveUp(copy, PAUSE_RUNS);
    this.#act({ type: 'narrow', device: copy.device.id, model: copy.model.id });
  }

  /** The device is lost: perhaps because of what was being made there. */
  lost(device: DeviceState): void {
    for (const copy of device.wide) if (copy.width === 1) copy.model.crowdedRuns = -LONG_PAUSE_RUNS;
  }

  #giveUp(copy: Copy, pauseRuns: number): void {
    this.forget(copy);
    copy.model.crowdedRuns = -pauseRuns;
  }

  /** They are gone, with their copy or without it. */
  forget(copy: Copy): void {
    if (!copy.device.wide.delete(copy)) return;
    copy.device.extraBytes -= copy.extraBytes;
    copy.extraBytes = 0;
    copy.instances = 0;
    copy.width = 1;
    // What others take, made at another time, is to be seen.
    copy.model.sideBySideMs = null;
  }
}
