// Memory of devices that is lent to something other than a resident model: a throwaway worker that measures one. While it
// is held it is accounted like a copy in use, and the device neither loads nor evicts, so that what is measured there is
// the measured model's alone. Runs go on.

import type { Pool } from './pool.ts';
import type { DeviceState } from './state.ts';
import type { DeviceId, SchedulerAction } from './types.ts';

type Answer = Extract<SchedulerAction, { readonly type: 'reservation' }>;

/** The reservations of one pool: those that wait, in order, and at most one that is held on each device. */
export class Reservations {
  readonly #pool: Pool;
  readonly #waiting = new Map<string, { readonly device: DeviceId; readonly bytes: number }>();
  readonly #held = new Map<string, DeviceState>();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  ask(id: string, device: DeviceId, bytes: number): void {
    if (!this.#held.has(id)) this.#waiting.set(id, { device, bytes: Math.max(1, bytes) });
  }

  /** Ends the reservation, or the wait for it; one that is unknown has ended already. */
  release(id: string): void {
    this.#waiting.delete(id);
    const device = this.#held.get(id);
    if (device === undefined) return;
    this.#held.delete(id);
    this.#pool.residency.unreserve(device);
    this.#pool.settle(device);
  }

  /** Grants what can be had now, and says so of what never can. Evictions for it are among the pool's actions. */
  grant(): Answer[] {
    const answers: Answer[] = [];
    for (const [reservation, { device: id, bytes }] of this.#waiting) {
      const device = this.#pool.devicesById.get(id);
      const isPossible = device !== undefined && device.memoryBytes - device.pinnedBytes >= bytes;
      // A load under way would blur what is measured; it ends, and until then its memory is in use anyway.
      if (isPossible && (!device.present || device.load !== null || !device.canHold(bytes))) continue;
      this.#waiting.delete(reservation);
      if (isPossible) {
        this.#held.set(reservation, device);
        this.#pool.residency.reserve(device, bytes);
        this.#pool.settle(device);
      }
      answers.push({ type: 'reservation', reservation, device: id, granted: isPossible });
    }
    return answers;
  }
}
