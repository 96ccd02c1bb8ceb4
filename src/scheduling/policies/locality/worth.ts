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
  /** By device: its utilization, and until when it holds. */
  readonly #utilization = new Numbers();
  readonly #utilizationUntilMs = new Numbers();
  /** By model: the chance that all its copies are busy, until when it holds, and for how many copies. */
  readonly #busy = new Numbers();
  readonly #busyUntilMs = new Numbers();
  readonly #busyCopies = new Numbers();
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
  utilizationWithout(device: DeviceState, except: ModelState): number {
    let sum = 0;
    let seen = 0;
    for (const { model } of device.copies.values()) {
      if (model !== except) sum += (this.#popularity.rate(model) * model.runMs) / model.copies.size;
      if (++seen >= MOST_COPIES) break;
    }
    return sum;
  }

  /** The cheapest victims that make room, or null if what may go is not enough. `horizonMs` weighs losses to come. */
  roomFor(model: ModelState, device: DeviceState, horizonMs: number): Room | null {
    let missing = model.memoryBytes - device.freeBytes;
    if (missing <= 0) return NOTHING_LOST;
    const offers: { copy: Copy; lossRate: number; lossMs: number; density: number }[] = [];
    for (const copy of device.copies.values()) {
      // What was just loaded for someone stays until they ran, unless others must not run before this model does.
      if (!copy.evictable || (copy.loadedFor?.state === 'waiting' && model !== this.urgent)) continue;
      const lossRate = this.loss(copy);
      const lossMs = this.#queueLossMs(copy);
      offers.push({ copy, lossRate, lossMs, density: (lossRate * horizonMs + lossMs) / copy.bytes });
      // Least recently used first: with many small copies the rest is not looked at unless it is needed.
      if (offers.length >= MOST_COPIES && sumOfBytes(offers) >= missing) break;
    }
    if (this.#byValue) offers.sort((a, b) => a.density - b.density);
    const chosen: typeof offers = [];
    for (const offer of offers) {
      if (missing <= 0) break;
      chosen.push(offer);
      missing -= offer.copy.bytes;
    }
    if (missing > 0) return null;
    // A large victim may have made smaller ones needless.
    for (let i = chosen.length - 1; i >= 0; i--) {
      const { bytes } = chosen[i]!.copy;
      if (missing + bytes > 0) continue;
      missing += bytes;
      chosen.splice(i, 1);
    }
    let lossRate = 0;
    let lossMs = 0;
    for (const offer of chosen) {
      lossRate += offer.lossRate;
      lossMs += offer.lossMs;
    }
    return { victims: chosen.map((offer) => offer.copy), lossRate, lossMs };
  }

  #queueLossMs(copy: Copy): number {
    const { waiting, copies, loadMs, runMs } = copy.model;
    if (waiting.size === 0) return 0;
    return this.#tuning.victimQueue * waiting.size * (copies.size === 1 ? loadMs : runMs / 2);
  }

  /** The chance that all copies are busy when a request comes, as far as the devices' utilizations tell. */
  #allBusy(model: ModelState): number {
    const copies = model.copies.size;
    const { index } = model;
    const { nowMs } = this.#pool;
    if (this.#busyUntilMs.get(index) > nowMs && this.#busyCopies.get(index) === copies) return this.#busy.get(index);
    let product = 1;
    let seen = 0;
    for (const device of model.copies.keys()) {
      product *= this.#utilizationOf(device);
      if (++seen >= this.#tuning.sample) break;
    }
    this.#busy.set(index, product);
    this.#busyUntilMs.set(index, nowMs + UTILIZATION_AGE_MS);
    this.#busyCopies.set(index, copies);
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
    if (this.#utilizationUntilMs.get(device.index) <= nowMs) {
      let own = 0;
      let seen = 0;
      for (const { model } of device.copies.values()) {
        own += (this.#popularity.rate(model) * model.runMs) / model.copies.size;
        if (++seen >= MOST_COPIES) break;
      }
      const value = clamp((1 - ownUtilization) * this.meanUtilization + ownUtilization * utilizationBias * own);
      this.#utilization.set(device.index, value);
      this.#utilizationUntilMs.set(device.index, nowMs + UTILIZATION_AGE_MS);
    }
    return this.#utilization.get(device.index);
  }
}

function sumOfBytes(offers: readonly { readonly copy: Copy }[]): number {
  return offers.reduce((sum, offer) => sum + offer.copy.bytes, 0);
}

function clamp(utilization: number): number {
  return Math.min(MOST_UTILIZATION, Math.max(LEAST_UTILIZATION, utilization));
}
