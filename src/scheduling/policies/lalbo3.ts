// lalbo3, lalb with out-of-order dispatch (a reconstruction): an idle device takes the earliest request whose model it
// holds, past earlier ones, until those have been skipped too often. Equal to the scan of docs/scheduling.md, in O(log n).

import type { Policy, PolicyInstance } from '../policy.ts';
import type { Pool } from '../pool.ts';
import { RequestList, isEarlier } from '../request-list.ts';
import type { DeviceState, RequestState } from '../state.ts';
import { placeByThreeSteps } from './steps.ts';

const DEFAULT_SKIP_LIMIT = 25;

/** Locality with a limit of skips. */
export const lalbo3: Policy = {
  name: 'lalbo3',
  create: (pool, options) => new OutOfOrder(pool, options.skipLimit ?? DEFAULT_SKIP_LIMIT),
};

/**
 * Every dispatch past others skips all requests before it, so skips never increase along the queue. Each request
 * remembers only by how much its skips exceed those of the next one (`extraSkips`): the sum over the queue is then the
 * skips of the head, a dispatch adds one at a single place, and what is at the limit is looked for at the head only.
 */
class OutOfOrder implements PolicyInstance {
  readonly #pool: Pool;
  readonly #limit: number;
  readonly #order = new RequestList<RequestState>();
  #headSkips = 0;

  constructor(pool: Pool, limit: number) {
    this.#pool = pool;
    this.#limit = limit;
  }

  place(): void {
    const { idle } = this.#pool;
    while (idle.size > 0 && this.#pool.head() !== undefined) {
      // One round. Keys do not change while a device is idle, so taking the best one by one gives the list made at the
      // start of the round without those that became busy meanwhile.
      const visited: DeviceState[] = [];
      while (this.#pool.head() !== undefined) {
        const device = idle.byDispatches.pop();
        if (device === undefined) break;
        visited.push(device);
        this.#serve(device);
      }
      for (const device of visited) if (device.idle) idle.byDispatches.put(device);
    }
  }

  queued(request: RequestState): void {
    request.policyNode = this.#order.insert(request);
    // In the middle of the queue it counts as skipped as often as the one behind it; after a failure it is due at once.
    request.extraSkips = request.returned ? this.#limit : 0;
    this.#headSkips += request.extraSkips;
  }

  left(request: RequestState): void {
    const node = request.policyNode!;
    const before = node.before;
    if (before === null) this.#headSkips -= request.extraSkips;
    else before.item.extraSkips += request.extraSkips;
    this.#order.remove(node);
    request.policyNode = null;
  }

  #serve(device: DeviceState): void {
    const pool = this.#pool;
    for (let head = pool.head(); head !== undefined && this.#headSkips >= this.#limit; head = pool.head()) {
      if (device.copies.has(head.model)) return this.#dispatchHit(head, device);
      placeByThreeSteps(pool, head, 'skip-limit');
      if (!device.idle) return;
    }
    const held = this.#earliestHeld(device);
    if (held !== undefined) return this.#dispatchHit(held, device);
    const head = pool.head();
    if (head !== undefined) placeByThreeSteps(pool, head);
  }

  #dispatchHit(request: RequestState, device: DeviceState): void {
    const before = request.policyNode!.before;
    if (before === null) return this.#pool.dispatch(request, device, 'hit-idle');
    before.item.extraSkips++;
    this.#headSkips++;
    this.#pool.dispatch(request, device, 'hit-out-of-order');
  }

  /** The earliest waiting request whose model the device holds: over its copies or the waiting models, if fewer. */
  #earliestHeld(device: DeviceState): RequestState | undefined {
    let earliest: RequestState | undefined;
    const consider = (request: RequestState | undefined): void => {
      if (request !== undefined && (earliest === undefined || isEarlier(request, earliest))) earliest = request;
    };
    const waiting = this.#pool.waitingModels;
    if (waiting.length < device.copies.size) {
      for (const model of waiting) if (device.copies.has(model)) consider(model.waiting.head());
    } else {
      for (const model of device.copies.keys()) if (!this.#pool.isSetAside(model)) consider(model.waiting.head());
    }
    return earliest;
  }
}
