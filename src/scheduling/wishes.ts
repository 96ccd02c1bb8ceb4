// What operators want resident: explicit requests to load, kept until a device can take them or it proves impossible.

import type { Intake } from './intake.ts';
import type { Pool } from './pool.ts';
import type { DeviceState, ModelState } from './state.ts';
import type { SchedulerAction } from './types.ts';

type Refusal = Extract<SchedulerAction, { readonly type: 'load-refused' }>;

interface Wish {
  readonly model: ModelState;
  readonly device: DeviceState | null;
}

/** Explicit loads that wait for a device; one per model and device however often asked. */
export class Wishes {
  readonly #pool: Pool;
  readonly #intake: Intake;
  readonly #open = new Map<string, Wish>();

  constructor(pool: Pool, intake: Intake) {
    this.#pool = pool;
    this.#intake = intake;
  }

  add(model: ModelState, device: DeviceState | null): void {
    this.#open.set(`${model.index} ${device?.index ?? '*'}`, { model, device });
  }

  /** Forgets wishes for the model (on the device, if one is given). */
  drop(model: ModelState, device: DeviceState | null): void {
    for (const [key, wish] of this.#open) {
      if (wish.model === model && (device === null || wish.device === device)) this.#open.delete(key);
    }
  }

  /** Starts what can be started now, and says so of what never can. Loads are among the pool's actions. */
  fulfil(): Refusal[] {
    const refusals: Refusal[] = [];
    for (const [key, { model, device }] of this.#open) {
      const isHeld = device === null ? model.copies.size > 0 : device.copies.has(model);
      const misfit = isHeld || model.removed || model.barred ? null : this.#intake.misfitOf(model, device);
      if (misfit !== null) refusals.push({ type: 'load-refused', model: model.id, device: device?.id ?? null, misfit });
      // What waits for a device that is lost is asked for again when it comes back.
      if (isHeld || model.removed || model.barred || !this.#isPossible(model, device)) {
        this.#open.delete(key);
        continue;
      }
      if (!this.#pool.hasLoadLane) continue;
      const target = device === null ? this.#best(model) : this.#canLoad(device, model) ? device : undefined;
      if (target === undefined) continue;
      this.#open.delete(key);
      this.#pool.load(model, target, null, 'requested');
    }
    return refusals;
  }

  #isPossible(model: ModelState, device: DeviceState | null): boolean {
    if (device !== null) return device.present && device.memoryBytes - device.pinnedBytes >= model.memoryBytes;
    return this.#pool.devices.some((each) => this.#isPossible(model, each));
  }

  #canLoad(device: DeviceState, model: ModelState): boolean {
    return device.canLoad && device.canHold(model.memoryBytes);
  }

  #best(model: ModelState): DeviceState | undefined {
    let best = this.#pool.idle.mostFree(model.memoryBytes);
    if (best !== undefined) return best;
    for (const device of this.#pool.devices) {
      if (this.#canLoad(device, model) && (best === undefined || device.freeBytes > best.freeBytes)) best = device;
    }
    return best;
  }
}
