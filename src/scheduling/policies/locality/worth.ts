// What copies are worth: how much waiting per second one copy more or less of a model would mean, and what making room
// on a device would lose. All in milliseconds of waiting per millisecond of time, unless said otherwise.

import type { Copy, DeviceState, ModelState } from '../../state.ts';
import type { Pool } from '../../pool.ts';
import { Numbers } from '../../numbers.ts';
import type { Popularity } from './popularity.ts';
import type { Tuning } from './tuning.ts';

/** Room for a model on a device: what goes, and what that loses. */
export interface Room {
  readonly victims: readonly Copy[];
  /** Waiting per time from here on. */
  readonly lossRate: number;
  /** Waiting of requests that wait for the victims now, in milliseconds. */
  readonly lossMs: number;
}

/** A copy that may go. */
interface Offer {
  copy: Copy;
  lossRate: number;
  lossMs: number;
  /** What is lost with each byte. */
  density: number;
}

const NOTHING_LOST: Room = { victims: [], lossRate: 0, lossMs: 0 };
const LEAST_UTILIZATION = 0.1;
const MOST_UTILIZATION = 0.95;
/** Utilizations change slowly; one is computed anew after so long. */
const UTILIZATION_AGE_MS = 1000;
/** At most so many copies of one device are looked at, least recently used first. */
const MOST_COPIES = 32;

/** The values of one pool at one instant. */
export class Worth {
  readonly #pool: Pool;
  readonly #popularity: Popularity;
  readonly #tuning: Tuning;
  readonly #byValue: boolean;
  /** By device, two numbers each: its utilization, and until when it holds. */
  readonly #utilization = new Numbers();
  /** By model, three numbers each: the chance that all its copies are busy, until when it holds, and for how many copies. */
  readonly #busy = new Numbers();
  /** Scratch of `roomFor`. */
  readonly #offers: Offer[] = [];
  /** The model whose oldest request may not be overtaken any more while others could run: it gets room anywhere. */
  urgent: ModelState | null = null;
  /** How busy devices are, as the popularity of all models tells. */
  meanUtilization = LEAST_UTILIZATION;

  /** `byValue` false: victims are the least recently used, whatever they are worth. */
  constructor(pool: Pool, popularity: Popularity, tuning: Tuning, byValue: boolean) {
    this.#pool = pool;
    this.#popularity = popularity;
    this.#tuning = tuning;
    this.#byValue = byValue;
  }

  get nowMs(): number {
    return this.#pool.nowMs;
  }

  /** To be called once per decision, with the number of devices present. */
  refresh(devices: number): void {
    this.meanUtilization = clamp((this.#tuning.utilizationBias * this.#popularity.load()) / Math.max(1, devices));
  }

  /** Waiting saved per time by one more copy of the model on the device. */
  gain(model: ModelState, device: DeviceState): number {
    return this.#gain(model, this.#utilizationOf(device));
  }

  /** An estimate of `gain`, on a device of mean utilization. */
  likelyGain(model: ModelState): number {
    return this.#gain(model, this.meanUtilization);
  }

  #gain(model: ModelState, utilization: number): number {
    const copies = model.copies.size;
    const busy = this.#allBusy(model);
    const more = this.#delayMs(model, copies + 1, busy * utilization);
    return this.#popularity.rate(model) * (this.#delayMs(model, copies, busy) - more);
  }

  /** Waiting lost per time without this copy. */
  loss(copy: Copy): number {
    const { model } = copy;
    const copies = model.copies.size;
    const busy = this.#allBusy(model);
    const less = this.#delayMs(model, copies - 1, busy / this.#utilizationOf(copy.device));
    const { unseen, memoryMs } = this.#tuning;
    const rate = this.#popularity.rate(model) + (copies === 1 ? unseen / memoryMs : 0);
    return rate * (less - this.#delayMs(model, copies, busy));
  }

  /** The share of its time that the device's copies ask for, if each model's load is shared evenly. */
  utilizationWithout(device: DeviceState, except: ModelState | null): number {
    let sum = 0;
    let seen = 0;
    for (let copy = device.copies.oldest; copy !== null; copy = copy.newer) {
      const { model } = copy;
      if (model !== except) sum += (this.#popularity.rate(model) * model.runMs) / model.copies.size;
      if (++seen >= MOST_COPIES) break;
    }
    return sum;
  }

  /** The cheapest victims that make room, or null if what may go is not enough. `horizonMs` weighs losses to come. */
  roomFor(model: ModelState, device: DeviceState, horizonMs: number): Room | null {
    let missing = model.memoryBytes - device.freeBytes;
    if (missing <= 0) return NOTHING_LOST;
    const offers = this.#offers;
    let count = 0;
    let offered = 0;
    for (let copy = device.copies.oldest; copy !== null; copy = copy.newer) {
      // What was just loaded for someone stays until they ran, unless others must not run before this model does.
      if (!copy.evictable || (copy.loadedFor?.state === 'waiting' && model !== this.urgent)) continue;
      const offer = (offers[count] ??= { copy, lossRate: 0, lossMs: 0, density: 0 });
      offer.copy = copy;
      offer.lossRate = this.loss(copy);
      offer.lossMs = this.#queueLossMs(copy);
      offer.density = (offer.lossRate * horizonMs + offer.lossMs) / copy.bytes;
      if (this.#byValue) insertLast(offers, count);
      count++;
      offered += copy.bytes;
      // Least recently used first: with many small copies the rest is not looked at unless it is needed.
      if (count >= MOST_COPIES && offered >= missing) break;
    }
    if (offered < missing) return null;
    let chosen = 0;
    while (missing > 0) missing -= offers[chosen++]!.copy.bytes;
    const kept = offers.slice(0, chosen);
    // A large victim may have made smaller ones needless.
    for (let i = chosen - 1; i >= 0; i--) {
      const { bytes } = kept[i]!.copy;
      if (missing + bytes > 0) continue;
      missing += bytes;
      kept.splice(i, 1);
    }
    const victims: Copy[] = [];
    let lossRate = 0;
    let lossMs = 0;
    for (const offer of kept) {
      victims.push(offer.copy);
      lossRate += offer.lossRate;
      lossMs += offer.lossMs;
    }
    return { victims, lossRate, lossMs };
  }

  #queueLossMs(copy: Copy): number {
    const { waiting, copies, loadMs, runMs } = copy.model;
    if (waiting.size === 0) return 0;
    return this.#tuning.victimQueue * waiting.size * (copies.size === 1 ? loadMs : runMs / 2);
  }

  /** The chance that all copies are busy when a request comes, as far as the devices' utilizations tell. */
  #allBusy(model: ModelState): number {
    const copies = model.copies.size;
    const at = 3 * model.index;
    const { nowMs } = this.#pool;
    if (this.#busy.get(at + 1) > nowMs && this.#busy.get(at + 2) === copies) return this.#busy.get(at);
    let product = 1;
    let seen = 0;
    for (let copy = model.copies.first; copy !== null; copy = copy.after) {
      product *= this.#utilizationOf(copy.device);
      if (++seen >= this.#tuning.sample) break;
    }
    this.#busy.set(at, product);
    this.#busy.set(at + 1, nowMs + UTILIZATION_AGE_MS);
    this.#busy.set(at + 2, copies);
    return product;
  }

  /** The expected wait of a request, in milliseconds, with so many copies that are all busy with that chance. */
  #delayMs(model: ModelState, copies: number, busy: number): number {
    if (copies === 0) return model.loadMs;
    const ownLoad = (this.#popularity.rate(model) * model.runMs) / copies;
    const untilFreeMs = (this.#tuning.busyBias * model.runMs) / (copies + 1);
    return Math.min(model.loadMs, (Math.min(1, busy) * untilFreeMs) / (1 - Math.min(MOST_UTILIZATION, ownLoad)));
  }

  #utilizationOf(device: DeviceState): number {
    const { ownUtilization, utilizationBias } = this.#tuning;
    const { nowMs } = this.#pool;
    const at = 2 * device.index;
    if (this.#utilization.get(at + 1) > nowMs) return this.#utilization.get(at);
    const own = this.utilizationWithout(device, null);
    const value = clamp((1 - ownUtilization) * this.meanUtilization + ownUtilization * utilizationBias * own);
    this.#utilization.set(at, value);
    this.#utilization.set(at + 1, nowMs + UTILIZATION_AGE_MS);
    return value;
  }
}

/** Moves the last of so many offers to its place among those before it, which are in order: the cheapest first. */
function insertLast(offers: Offer[], last: number): void {
  const offer = offers[last]!;
  let at = last;
  for (; at > 0 && offers[at - 1]!.density > offer.density; at--) offers[at] = offers[at - 1]!;
  offers[at] = offer;
}

function clamp(utilization: number): number {
  return Math.min(MOST_UTILIZATION, Math.max(LEAST_UTILIZATION, utilization));
}
