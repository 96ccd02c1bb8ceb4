// `locality`, the product's own policy and its default. Requests are bound to a device when it can start them, never
// before; models are loaded, copied and evicted by one economic rule (loads.ts); nobody is overtaken without bound.

import { DenseHeap } from '../../dense-heap.ts';
import type { Policy, PolicyInstance } from '../../policy.ts';
import type { Pool } from '../../pool.ts';
import { isEarlier } from '../../request-list.ts';
import type { Copy, DeviceState, ModelState, RequestState } from '../../state.ts';
import type { SchedulerOptions } from '../../types.ts';
import { UniqueList } from '../../unique-list.ts';
import { waitsUntil } from './batching.ts';
import { Blocking } from './blocking.ts';
import { dueMs } from './due.ts';
import { Loads } from './loads.ts';
import { type Switches, switchesWithout } from './mechanisms.ts';
import { Outlook } from './outlook.ts';
import { Popularity } from './popularity.ts';
import { nextRun, shouldWiden } from './side-by-side.ts';
import { TUNING, type Tuning } from './tuning.ts';
import { Worth } from './worth.ts';

/** What a priority above or below normal is worth when a device chooses, in run times of its model. */
const PRIORITY_RUNS = 10;

/** `locality` with its own tuning. */
export const locality: Policy = localityWith(TUNING);

/** `locality` with other numbers: for searches and experiments. */
export function localityWith(tuning: Tuning): Policy {
  return {
    name: 'locality',
    overlaps: (options) => switchesWithout(options.disable).overlap,
    batches: (options) => switchesWithout(options.disable).batching,
    create: (pool, options) => new Locality(pool, options, tuning),
  };
}

/** The stated bound: a request of the model is never overtaken by one that arrived so many milliseconds later. */
export function overtakeLimitMs(
  model: { readonly loadMs: number; readonly runMs: number },
  tuning: Tuning = TUNING,
): number {
  return Math.max(tuning.overtakeFloorMs, tuning.overtakeCosts * (model.loadMs + model.runMs));
}

class Locality implements PolicyInstance {
  readonly #pool: Pool;
  readonly #tuning: Tuning;
  readonly #switches: Switches;
  readonly #preloads: boolean;
  readonly #popularity: Popularity;
  readonly #outlook: Outlook;
  readonly #worth: Worth;
  readonly #blocking: Blocking;
  readonly #loads: Loads;
  /** Models whose queue or copies changed, devices on which something ended: all that can make a run possible. */
  readonly #touched = new UniqueList<ModelState>();
  readonly #freed = new UniqueList<DeviceState>();
  /** Arrived with a deadline since the last decision. */
  readonly #deadlines: RequestState[] = [];
  /** Models whose queue waits for companions, and until when. */
  readonly #gathering = new Map<ModelState, number>();
  /** Waiting models by the arrival after which nothing may overtake their head. */
  readonly #limits = new DenseHeap<ModelState>((model) => model.overtakeEndMs);
  /** Whom the limit kept from running, and the least limit at which. */
  readonly #barredDevices = new Set<DeviceState>();
  readonly #barredModels = new Set<ModelState>();
  #barredAtMs = Infinity;
  /** Models whose limit is suspended: what they wait for is overdue. */
  readonly #stuck = new Set<ModelState>();
  /** A device that starts nothing until a large model, overtaken long, fits on it. */
  #draining: { readonly device: DeviceState; readonly model: ModelState } | null = null;
  #devices = 0;
  readonly #found: Copy[] = [];
  readonly #models: ModelState[] = [];

  constructor(pool: Pool, options: SchedulerOptions, tuning: Tuning) {
    this.#pool = pool;
    this.#tuning = tuning;
    this.#switches = switchesWithout(options.disable);
    this.#preloads = options.preload ?? false;
    this.#popularity = new Popularity(tuning);
    this.#outlook = new Outlook(pool, tuning.sample);
    this.#worth = new Worth(pool, this.#popularity, tuning, this.#switches['value-eviction']);
    this.#blocking = new Blocking({
      outlook: this.#outlook,
      worth: this.#worth,
      popularity: this.#popularity,
      tuning,
    });
    this.#loads = new Loads(pool, {
      outlook: this.#outlook,
      worth: this.#worth,
      blocking: this.#blocking,
      popularity: this.#popularity,
      tuning,
      switches: this.#switches,
    });
  }

  place(nowMs: number): void {
    this.#popularity.advance(nowMs);
    this.#worth.refresh(this.#devices);
    if (this.#deadlines.length > 0) this.#refuseHopeless(nowMs);
    if (this.#gathering.size > 0) this.#endGathering(nowMs);
    if (this.#stuck.size > 0) {
      for (const model of this.#stuck) this.#setLimit(model);
      this.#stuck.clear();
    }
    this.#unbar();
    for (const device of this.#freed.items) this.#serve(device);
    const models = this.#models;
    models.length = 0;
    for (const model of this.#touched.items) if (model.waiting.size > 0) models.push(model);
    if (models.length > 1) models.sort((a, b) => (isEarlier(a.waiting.head()!, b.waiting.head()!) ? -1 : 1));
    for (const model of models) {
      this.#dispatch(model);
      if (model.waiting.size > 0) this.#outlook.expect(model);
    }
    const isBarring = this.#barredDevices.size > 0 || this.#barredModels.size > 0;
    this.#worth.urgent = isBarring ? (this.#limits.top() ?? null) : null;
    this.#loads.start(models, this.#devices);
    this.#freed.clear();
    this.#touched.clear();
  }

  nextWakeMs(): number | null {
    let wakeMs = Infinity;
    for (const untilMs of this.#gathering.values()) wakeMs = Math.min(wakeMs, untilMs);
    if (this.#barredDevices.size > 0 || this.#barredModels.size > 0) {
      const first = this.#limits.top();
      // If it is not over by then, those it keeps from running are to go on.
      if (first !== undefined) wakeMs = Math.min(wakeMs, Math.floor(dueMs(first, this.#pool, this.#tuning.sample)) + 1);
    }
    return wakeMs === Infinity ? null : wakeMs;
  }

  modelAdded(model: ModelState): void {
    if (this.#preloads) this.#loads.toPreload(model);
  }

  hinted(model: ModelState): void {
    if (this.#switches.hints) this.#loads.hinted(model);
  }

  queued(request: RequestState): void {
    const { model } = request;
    this.#touched.add(model);
    this.#setLimit(model);
    if (model.copies.size === 0) this.#loads.unheld.put(model);
    if (request.returned) return;
    this.#popularity.advance(this.#pool.nowMs);
    this.#popularity.arrived(model);
    this.#loads.asked(model);
    if (request.deadlineAtMs !== undefined && this.#switches.admission) this.#deadlines.push(request);
  }

  left(request: RequestState): void {
    const { model } = request;
    this.#outlook.forget(request);
    this.#setLimit(model);
    if (model.waiting.size === 0) this.#loads.unheld.remove(model);
    else if (this.#loads.unheld.has(model)) this.#loads.unheld.put(model);
  }

  copyAdded(copy: Copy): void {
    this.#loads.unheld.remove(copy.model);
    if (copy.model.copies.size === 1) this.#loads.held++;
    this.#setLimit(copy.model);
    if (copy.model.waiting.size > 0) this.#outlook.expect(copy.model);
  }

  copyRemoved({ model }: Copy): void {
    if (model.copies.size === 0) this.#loads.held--;
    if (model.waiting.size === 0) return;
    this.#touched.add(model);
    if (model.copies.size === 0) this.#loads.unheld.put(model);
  }

  deviceStarted(device: DeviceState): void {
    if (!device.canLoad) this.#loads.loadable.delete(device.index);
  }

  deviceChanged(device: DeviceState): void {
    this.#freed.add(device);
    if (device.canLoad) this.#loads.loadable.add(device.index);
    else this.#loads.loadable.delete(device.index);
  }

  devicesChanged(present: number): void {
    this.#devices = present;
  }

  /** Runs the model's queue on copies that are free, each where it stands least in the way. */
  #dispatch(model: ModelState): void {
    for (let head = model.waiting.head(); head !== undefined; head = model.waiting.head()) {
      if (this.#isBarred(head)) {
        this.#barredModels.add(model);
        return;
      }
      if (this.#gathers(model)) return;
      const copies = this.#pool.residency.someFreeCopies(model, this.#tuning.sample);
      const copy = this.#leastInTheWay(copies, model);
      if (copy === undefined) return;
      this.#run(copy);
    }
  }

  #leastInTheWay(copies: readonly Copy[], model: ModelState): Copy | undefined {
    let best: Copy | undefined;
    let leastMs = Infinity;
    for (const copy of copies) {
      if (this.#draining?.device === copy.device) continue;
      const costMs = this.#switches.flexibility ? this.#blocking.costMs(copy.device, model.runMs, model) : 0;
      const isBetter = costMs < leastMs;
      const isTie = costMs === leastMs && best !== undefined && copy.device.index < best.device.index;
      if (!isBetter && !isTie) continue;
      best = copy;
      leastMs = costMs;
    }
    return best;
  }

  /** The device takes the waiting request it should run next, or loads for one that waits unfairly long. */
  #serve(device: DeviceState): void {
    if (!device.present || !device.canRun) return;
    let best: Copy | undefined;
    let bestScore = -Infinity;
    for (const copy of this.#runnable(device)) {
      const head = copy.model.waiting.head()!;
      if (this.#isBarred(head)) {
        this.#barredDevices.add(device);
        continue;
      }
      if (this.#gathers(copy.model)) continue;
      const score = this.#score(copy, head);
      if (
        best !== undefined &&
        (score < bestScore || (score === bestScore && head.id > best.model.waiting.head()!.id))
      ) {
        continue;
      }
      best = copy;
      bestScore = score;
    }
    if (this.#switches.fairness && this.#yields(device, best)) return;
    if (best !== undefined) this.#run(best);
  }

  /** Copies on the device that are ready and waited for: over its copies or the waiting models, if fewer. */
  #runnable(device: DeviceState): readonly Copy[] {
    const found = this.#found;
    found.length = 0;
    const waiting = this.#pool.waitingModels;
    if (waiting.length < device.copies.size) {
      for (const model of waiting) {
        const copy = device.copies.get(model);
        if (copy?.state === 'ready') found.push(copy);
      }
    } else {
      for (let copy = device.copies.oldest; copy !== null; copy = copy.newer) {
        if (copy.state === 'ready' && copy.model.waiting.size > 0) found.push(copy);
      }
    }
    return found;
  }

  /** How long it waited, and how long it would wait for the next chance elsewhere (a load at worst). */
  #score(copy: Copy, head: RequestState): number {
    const { model } = copy;
    const aloneMs = this.#switches.flexibility
      ? this.#tuning.leastFlexible * this.#outlook.alternativeMs(copy, model.loadMs)
      : 0;
    return this.#pool.nowMs - head.arrivedAtMs + aloneMs + head.priority * PRIORITY_RUNS * model.runMs;
  }

  /**
   * True if the device should not run what it could: it loads instead for the oldest request of all, or for the oldest whose
   * model is held nowhere (the oldest of all may only be waiting for its load to end); or it drains for one of them.
   */
  #yields(device: DeviceState, best: Copy | undefined): boolean {
    if (this.#draining !== null && this.#draining.model.copies.size > 0) this.#draining = null;
    if (this.#draining !== null && this.#draining.model.waiting.size === 0) this.#draining = null;
    if (best === undefined) return false;
    const oldest = this.#pool.head();
    const unheld = this.#loads.unheld.top()?.waiting.head();
    if (oldest !== undefined && this.#yieldsTo(oldest, device, best)) return true;
    return unheld !== undefined && unheld !== oldest && this.#yieldsTo(unheld, device, best);
  }

  /** True if the device loads for a request that is older by far than what it could run, and that finds no copy soon. */
  #yieldsTo(oldest: RequestState, device: DeviceState, best: Copy): boolean {
    if (device.copies.has(oldest.model)) return false;
    const { model } = oldest;
    const older = best.model.waiting.head()!.arrivedAtMs - oldest.arrivedAtMs;
    if (older < this.#tuning.fairLoad * (model.loadMs + model.runMs) || model.barred) return false;
    if (!this.#pool.hasLoadLane || device.reservedBytes > 0 || this.#isSoonServed(model)) return false;
    const drains = this.#draining?.device === device;
    if (!device.canHold(model.memoryBytes) || (drains && !device.canLoad)) {
      const couldHold = device.memoryBytes - device.pinnedBytes >= model.memoryBytes;
      if (!couldHold || model.copies.size > 0) return false;
      this.#draining ??= { device, model };
      return this.#draining.device === device;
    }
    // Where loads are free a lane of its own serves the oldest, unless the device was drained for it.
    if (!device.canLoad || (device.loadsAreFree && !drains)) return false;
    if (!this.#loads.loadFor(oldest, device)) return false;
    if (drains) this.#draining = null;
    if (device.overlap) this.#serve(device);
    return true;
  }

  #isSoonServed(model: ModelState): boolean {
    let seen = 0;
    for (let copy = model.copies.first; copy !== null; copy = copy.after) {
      const freeInMs = this.#outlook.copyFreeAt(copy) + copy.device.expectedMs - this.#pool.nowMs;
      if (copy.state === 'loading' || freeInMs < model.loadMs) return true;
      if (++seen >= this.#tuning.sample) break;
    }
    return false;
  }

  #run(copy: Copy): void {
    const requests = nextRun(copy, this.#switches.batching);
    this.#pool.run(requests, copy, requests[0] === this.#pool.head() ? 'hit-idle' : 'hit-out-of-order');
    if (this.#switches.batching && shouldWiden(copy)) this.#pool.residency.instances.widen(copy);
  }

  /** Queues that waited for companions long enough are looked at. */
  #endGathering(nowMs: number): void {
    for (const [model, untilMs] of this.#gathering) {
      if (untilMs > nowMs && model.waiting.size > 0) continue;
      this.#gathering.delete(model);
      this.#touched.add(model);
    }
  }

  #gathers(model: ModelState): boolean {
    if (model.batching === undefined || !this.#switches.batching) return false;
    const untilMs = waitsUntil(model, this.#pool.nowMs, this.#popularity, this.#devices);
    if (untilMs <= this.#pool.nowMs) return false;
    this.#gathering.set(model, untilMs);
    return true;
  }

  #isBarred(request: RequestState): boolean {
    if (!this.#switches.fairness) return false;
    const endMs = this.#limits.top()?.overtakeEndMs ?? Infinity;
    if (request.arrivedAtMs <= endMs || request.arrivedAtMs <= this.#limitMs()) return false;
    this.#barredAtMs = Math.min(this.#barredAtMs, this.#limitMs());
    return true;
  }

  /** The arrival after which nothing may run now; a model behind a load or run that is overdue limits nobody. */
  #limitMs(): number {
    for (let model = this.#limits.top(); model !== undefined; model = this.#limits.top()) {
      const { overtakeEndMs } = model;
      if (overtakeEndMs === Infinity) break;
      if (dueMs(model, this.#pool, this.#tuning.sample) >= this.#pool.nowMs) return overtakeEndMs;
      model.overtakeEndMs = Infinity;
      this.#limits.put(model);
      this.#stuck.add(model);
    }
    return Infinity;
  }

  /** Whom the limit kept from running is looked at again once the limit has moved. */
  #unbar(): void {
    if (this.#barredDevices.size === 0 && this.#barredModels.size === 0) return;
    if (this.#limitMs() <= this.#barredAtMs) return;
    for (const device of this.#barredDevices) this.#freed.add(device);
    for (const model of this.#barredModels) this.#touched.add(model);
    this.#barredDevices.clear();
    this.#barredModels.clear();
    this.#barredAtMs = Infinity;
  }

  #setLimit(model: ModelState): void {
    const head = model.waiting.head();
    if (head === undefined) {
      this.#limits.remove(model);
      return;
    }
    model.overtakeEndMs = head.arrivedAtMs + overtakeLimitMs(model, this.#tuning);
    this.#limits.put(model);
  }

  /** Ends requests that could not meet their deadline even if nobody else were there; the model is loaded all the same. */
  #refuseHopeless(nowMs: number): void {
    for (const request of this.#deadlines) {
      const { model } = request;
      if (request.state !== 'waiting') continue;
      const leastMs = model.runMsOf(request.rows) + (model.copies.size === 0 ? model.loadMs : 0);
      if (nowMs + leastMs <= request.deadlineAtMs!) continue;
      this.#pool.reject(request, 'DEADLINE', { retryAfterMs: Math.ceil(leastMs) });
      this.#loads.hinted(model);
    }
    this.#deadlines.length = 0;
  }
}
