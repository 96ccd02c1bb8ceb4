// Which model to load where, by one rule: what the load saves those who wait now, plus what one more copy saves from
// here on, minus what its victims lose and what the device's other work loses.

import { DenseHeap } from '../../dense-heap.ts';
import { IndexSet } from '../../index-set.ts';
import type { Pool } from '../../pool.ts';
import { headArrival, headId } from '../../state.ts';
import type { DeviceState, ModelState, RequestState } from '../../state.ts';
import type { DecisionReason } from '../../types.ts';
import { UniqueList } from '../../unique-list.ts';
import type { Blocking } from './blocking.ts';
import type { Switches } from './mechanisms.ts';
import type { Outlook } from './outlook.ts';
import type { Popularity } from './popularity.ts';
import type { Tuning } from './tuning.ts';
import type { Room, Worth } from './worth.ts';

/** At most so many models that could not be placed are tried per decision, so many replicas started. */
const MOST_FAILURES = 4;
const MOST_REPLICAS = 3;
/** Of more devices than the sample, so many are looked at: a few random choices are nearly as good as all. */
const FEW_OF_MANY = 5;
const MOST_PATIENCE = 16;
/**
 * Waiting models looked at per decision beside those whose queue changed: in turn, because time alone changes little. The
 * fewer devices, the rarer are decisions, and the more it matters which load is worth most: so many divided by the devices,
 * but no more than the sample.
 */
const LEAST_IN_TURN = 4;
const IN_TURN_BY_DEVICES = 192;

interface Choice {
  readonly model: ModelState;
  readonly device: DeviceState;
  readonly room: Room;
  readonly worth: number;
}

/** The loads of one pool. */
export class Loads {
  /** Devices on which a load could start. */
  readonly loadable = new IndexSet();
  /** Models that are waited for and held nowhere, the longest waiting first. */
  readonly unheld = new DenseHeap<ModelState>(headArrival, headId);
  /** Of the registered models, those that have a copy. */
  held = 0;
  /** Models asked for lately: candidates for replicas. */
  readonly #recent = new Set<ModelState>();
  readonly #hinted = new Set<ModelState>();
  readonly #candidates = new UniqueList<ModelState>();
  #preload: ModelState[] = [];
  #cursor = 0;
  #turn = 0;
  #nextReplicaMs = -Infinity;
  /** By model: no look for a replica's place before, and for how many load times the next look in vain counts. */
  readonly #notBeforeMs: number[] = [];
  readonly #patience: number[] = [];

  readonly #pool: Pool;
  readonly #outlook: Outlook;
  readonly #worth: Worth;
  readonly #blocking: Blocking;
  readonly #popularity: Popularity;
  readonly #tuning: Tuning;
  readonly #switches: Switches;

  constructor(
    pool: Pool,
    parts: {
      outlook: Outlook;
      worth: Worth;
      blocking: Blocking;
      popularity: Popularity;
      tuning: Tuning;
      switches: Switches;
    },
  ) {
    this.#pool = pool;
    this.#outlook = parts.outlook;
    this.#worth = parts.worth;
    this.#blocking = parts.blocking;
    this.#popularity = parts.popularity;
    this.#tuning = parts.tuning;
    this.#switches = parts.switches;
  }

  asked(model: ModelState): void {
    this.#recent.delete(model);
    this.#recent.add(model);
    if (this.#recent.size <= this.#tuning.sample) return;
    for (const oldest of this.#recent) {
      this.#recent.delete(oldest);
      break;
    }
  }

  hinted(model: ModelState): void {
    this.#hinted.add(model);
  }

  /** The model may be loaded before anyone asks for it, as long as memory is free. */
  toPreload(model: ModelState): void {
    this.#preload.push(model);
  }

  /** Starts every load that is worth it now. `touched` are models whose queue changed. */
  start(touched: Iterable<ModelState>, devices: number): void {
    if (!this.#canLoad) return;
    const isMet = this.#loadUnheld();
    // While some wait for a first copy, lanes are not spent on further ones.
    if (isMet && this.#switches.economics) {
      const candidates = this.#candidates;
      candidates.clear();
      for (const model of touched) candidates.add(model);
      const waiting = this.#pool.waitingModels;
      const share = Math.min(this.#tuning.sample, Math.ceil(IN_TURN_BY_DEVICES / Math.max(1, devices)));
      const inTurn = Math.max(LEAST_IN_TURN, share);
      for (let looked = Math.min(inTurn, waiting.length); looked > 0; looked--) {
        candidates.add(waiting[this.#turn++ % waiting.length]!);
      }
      this.#loadForQueues(candidates.items);
    }
    if (this.#hinted.size > 0) this.#loadHinted();
    if (this.#preload.length > 0) this.#loadAhead();
    if (this.#switches.replicas && isMet) this.#replicate(devices);
  }

  /** Loads for a request that was overtaken long, whatever it costs; false if the device has no room for it. */
  loadFor(request: RequestState, device: DeviceState): boolean {
    const { model } = request;
    const room = this.#worth.roomFor(model, device, this.#tuning.demandHorizon * model.loadMs);
    if (room === null) return false;
    this.#load({ model, device, room, worth: 0 }, request, 'age-limit');
    return true;
  }

  get #canLoad(): boolean {
    return this.loadable.size > 0 && this.#pool.hasLoadLane;
  }

  /** False if some model that is waited for could not be given its first copy. */
  #loadUnheld(): boolean {
    const failed: ModelState[] = [];
    let model = this.unheld.top();
    while (model !== undefined && this.#canLoad && failed.length < MOST_FAILURES) {
      const choice = this.#chooseForQueue(model, -Infinity);
      if (choice === null) {
        this.unheld.remove(model);
        failed.push(model);
        // The core rejects its requests if no device could ever hold it.
        this.#pool.setAside(model);
      } else {
        this.#load(choice, model.waiting.head()!, 'economic');
      }
      model = this.unheld.top();
    }
    for (const each of failed) this.unheld.put(each);
    return this.unheld.size === 0;
  }

  /** Further copies of models that are waited for, where they are worth it: the one that is worth most first. */
  #loadForQueues(candidates: readonly ModelState[]): void {
    while (this.#canLoad) {
      let best: Choice | null = null;
      let bestWorth = 0;
      for (const model of candidates) {
        if (model.waiting.size === 0 || model.copies.size === 0 || model.barred) continue;
        const choice = this.#chooseForQueue(model, bestWorth);
        if (choice === null) continue;
        best = choice;
        bestWorth = choice.worth;
      }
      if (best === null) return;
      this.#load(best, best.model.waiting.head()!, 'economic');
    }
  }

  /** Where a load serves the model's queue best, if it is worth more than `least` there. */
  #chooseForQueue(model: ModelState, least: number): Choice | null {
    const { demandHorizon, spread, demandBlocking } = this.#tuning;
    const { loadMs, runMs } = model;
    const { nowMs } = this.#pool;
    const isHeld = model.copies.size > 0;
    const queued = model.waiting.size;
    const before = isHeld ? this.#outlook.waits(model, Infinity) : null;
    // A load ends no sooner than the last of the queue would start anyway.
    if (before !== null && before.lastMs <= loadMs) return null;
    const horizonMs = demandHorizon * loadMs;
    return this.#choose(model, horizonMs, least, (device, room) => {
      const freeAtMs = this.#outlook.deviceFreeAt(device) + device.expectedMs;
      const readyAtMs = device.overlap ? Math.max(nowMs + loadMs, freeAtMs) : freeAtMs + loadMs;
      const savedMs =
        before === null
          ? queued * (loadMs - (readyAtMs - nowMs) - ((queued - 1) * runMs) / 2)
          : before.sumMs - this.#outlook.waits(model, readyAtMs).sumMs;
      if (before !== null && savedMs <= 0) return -Infinity;
      const ahead = horizonMs * (this.#worth.gain(model, device) - room.lossRate);
      const crowding = spread * runMs * this.#worth.utilizationWithout(device, model);
      const blocking = device.loadsAreFree ? 0 : demandBlocking * this.#blocking.costMs(device, loadMs, model);
      return savedMs + ahead - room.lossMs - crowding - blocking;
    });
  }

  /** Of a sample of the devices that could load it, the one where the load is worth most, if that is above `least`. */
  #choose(
    model: ModelState,
    horizonMs: number,
    least: number,
    value: (device: DeviceState, room: Room) => number,
  ): Choice | null {
    let best: Choice | null = null;
    let bestValue = least;
    const consider = (device: DeviceState): void => {
      if (device.copies.has(model) || !device.canHold(model.memoryBytes)) return;
      const room = this.#worth.roomFor(model, device, horizonMs);
      if (room === null) return;
      const worth = value(device, room);
      if (best !== null && worth <= bestValue) return;
      if (worth <= bestValue && bestValue !== -Infinity) return;
      best = { model, device, room, worth };
      bestValue = worth;
    };
    const { sample } = this.#tuning;
    if (this.loadable.size <= sample) {
      for (let at = this.loadable.next(0); at >= 0; at = this.loadable.next(at + 1)) consider(this.#pool.devices[at]!);
      return best;
    }
    for (let seen = 0; seen < FEW_OF_MANY; seen++) {
      let at = this.loadable.next(this.#cursor);
      if (at < 0) at = this.loadable.next(0);
      this.#cursor = at + 1;
      consider(this.#pool.devices[at]!);
    }
    return best;
  }

  #loadHinted(): void {
    for (const model of this.#hinted) {
      if (model.copies.size > 0 || model.waiting.size > 0 || model.barred || model.removed) continue;
      if (!this.#canLoad) break;
      const horizonMs = this.#tuning.demandHorizon * model.loadMs;
      const choice = this.#choose(model, horizonMs, 0, (device, room) => {
        const ahead = horizonMs * (this.#worth.gain(model, device) - room.lossRate);
        const blocking = device.loadsAreFree ? 0 : this.#blocking.costMs(device, model.loadMs, model);
        return model.loadMs + ahead - room.lossMs - blocking;
      });
      if (choice !== null) this.#load(choice, null, 'hint');
    }
    this.#hinted.clear();
  }

  /** Fills free memory with models that nobody asked for yet, in order of registration. */
  #loadAhead(): void {
    const left: ModelState[] = [];
    for (const [at, model] of this.#preload.entries()) {
      if (!this.#canLoad) {
        left.push(...this.#preload.slice(at));
        break;
      }
      if (model.copies.size > 0 || model.waiting.size > 0 || model.barred || model.removed) continue;
      const choice = this.#choose(model, 0, -Infinity, (device, room) =>
        room.victims.length > 0 ? -Infinity : device.freeBytes,
      );
      if (choice === null || choice.room.victims.length > 0) continue;
      this.#load(choice, null, 'preload');
    }
    this.#preload = left;
  }

  /** Copies popular models into room that is worth less otherwise, while most lanes are free. */
  #replicate(devices: number): void {
    const { nowMs } = this.#pool;
    if (nowMs < this.#nextReplicaMs) return;
    let tried: ModelState | undefined;
    for (let started = 0; started < MOST_REPLICAS; started++) {
      if (this.loadable.size <= this.#lanesKept(devices) || !this.#pool.hasLoadLane) return;
      const model = this.#mostWanting();
      if (model === undefined) break;
      tried = model;
      const choice = this.#chooseForReplica(model);
      if (choice === null) {
        // Each time in vain makes the next look wait twice as long.
        const waitMs = Math.max(model.loadMs, 1) * (this.#patience[model.index] ?? 1);
        this.#notBeforeMs[model.index] = nowMs + waitMs;
        this.#patience[model.index] = Math.min(MOST_PATIENCE, 2 * (this.#patience[model.index] ?? 1));
        continue;
      }
      this.#patience[model.index] = 1;
      this.#load(choice, null, 'replica');
    }
    // Popularity changes slowly: so many looks per load time are enough for each device.
    this.#nextReplicaMs = nowMs + (tried === undefined ? 0 : tried.loadMs / Math.max(1, devices));
  }

  /**
   * How many devices replicas leave for first copies to be loaded. Where loads hold up no run it is no more than there are
   * models to come; elsewhere the devices are left to runs as well.
   */
  #lanesKept(devices: number): number {
    const { freeLanes, lanesPerUnheld } = this.#tuning;
    const most = freeLanes * devices;
    if (this.#pool.devices[this.loadable.next(0)]?.loadsAreFree !== true) return most;
    return Math.min(most, lanesPerUnheld * (this.#pool.models.size - this.held));
  }

  /** One more copy would go by its keep-alive before anyone used it. */
  #wouldExpire(model: ModelState): boolean {
    if (model.keepAliveMs === undefined) return false;
    return this.#popularity.rate(model) * model.keepAliveMs < model.copies.size + 1;
  }

  #mostWanting(): ModelState | undefined {
    const { replicaHorizon, replicaCost } = this.#tuning;
    let most: ModelState | undefined;
    let mostGain = 0;
    for (const model of this.#recent) {
      if (model.copies.size === 0 || model.barred || model.removed) continue;
      if (this.#wouldExpire(model)) continue;
      if ((this.#notBeforeMs[model.index] ?? 0) > this.#pool.nowMs) continue;
      const gain = this.#worth.likelyGain(model);
      if (gain > mostGain && replicaHorizon * gain > replicaCost) {
        most = model;
        mostGain = gain;
      }
    }
    return most;
  }

  #chooseForReplica(model: ModelState): Choice | null {
    const { replicaHorizon, replicaCost, spread, replicaBlocking } = this.#tuning;
    const { loadMs, runMs } = model;
    const expected = this.#popularity.rate(model) * loadMs;
    const horizonMs = replicaHorizon * loadMs;
    return this.#choose(model, horizonMs, 0, (device, room) => {
      if (room.lossMs > 0) return -Infinity;
      const ahead = horizonMs * (this.#worth.gain(model, device) - room.lossRate);
      const crowding = spread * expected * runMs * this.#worth.utilizationWithout(device, model);
      const blocking = device.loadsAreFree ? 0 : replicaBlocking * this.#blocking.costMs(device, loadMs, model);
      return ahead - replicaCost * loadMs - crowding - blocking;
    });
  }

  #load({ model, device, room }: Choice, request: RequestState | null, reason: DecisionReason): void {
    for (const victim of room.victims) this.#pool.evict(victim, 'capacity');
    this.#pool.load(model, device, request, reason);
  }
}
