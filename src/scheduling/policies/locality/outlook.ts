// When waiting requests are expected to start: a virtual list schedule, kept up to date model by model. Each waiting
// request is expected on the copy that is free first; this binds nothing, the first device that can takes it.

import type { Pool } from '../../pool.ts';
import type { Copy, DeviceState, ModelState, RequestState } from '../../state.ts';

/** So that nothing is divided by 0. */
const LEAST_RUN_MS = 0.001;

/** The expectations of one pool; looks at no more than `sample` copies and requests of a model. */
export class Outlook {
  readonly #pool: Pool;
  readonly #sample: number;
  /** Scratch: the copies looked at, when each could start a run, and its device. */
  #looked = 0;
  readonly #freeAt: Float64Array;
  readonly #devices: DeviceState[] = [];

  constructor(pool: Pool, sample: number) {
    this.#pool = pool;
    this.#sample = sample;
    this.#freeAt = new Float64Array(sample + 1);
  }

  /** When the device could start a run, without what waits for it. */
  deviceFreeAt(device: DeviceState): number {
    let atMs = this.#pool.nowMs;
    if (device.run !== null) atMs = Math.max(atMs, device.runEndMs);
    if (device.load !== null && !device.overlap) atMs = Math.max(atMs, device.loadEndMs);
    return atMs;
  }

  /** When the copy could start a run, without what waits for it. */
  copyFreeAt(copy: Copy): number {
    const atMs = this.deviceFreeAt(copy.device);
    const { load } = copy.device;
    return copy.state === 'loading' && load !== null ? Math.max(atMs, copy.device.loadEndMs) : atMs;
  }

  /** How long until another copy than this could run the model; `atMostMs` if none could sooner. */
  alternativeMs(copy: Copy, atMostMs: number): number {
    let leastMs = atMostMs;
    let seen = 0;
    for (let other = copy.model.copies.first; other !== null; other = other.after) {
      if (other === copy) continue;
      leastMs = Math.min(leastMs, this.copyFreeAt(other) + other.device.expectedMs - this.#pool.nowMs);
      if (++seen >= this.#sample) break;
    }
    return leastMs;
  }

  /** Expects the waiting requests of the model anew, after its copies or its queue changed. */
  expect(model: ModelState): void {
    let seen = 0;
    for (let node = model.waiting.first; node !== null && seen < this.#sample; node = node.after) {
      this.forget(node.item);
      seen++;
    }
    this.#lookAtCopies(model);
    if (this.#looked === 0) return;
    seen = 0;
    for (let node = model.waiting.first; node !== null && seen < this.#sample; node = node.after) {
      const request = node.item;
      const first = this.#soonest();
      this.#freeAt[first]! += model.runMs;
      request.expectedOn = this.#devices[first]!;
      request.expectedRunMs = model.runMs;
      request.expectedOn.expectedMs += model.runMs;
      seen++;
    }
  }

  /** Takes back what was expected of the request. */
  forget(request: RequestState): void {
    if (request.expectedOn === null) return;
    request.expectedOn.expectedMs -= request.expectedRunMs;
    request.expectedOn = null;
  }

  /**
   * The waits still ahead of the queue of a model that has copies, summed, and the last of them, if one more copy could run
   * from `extraAtMs` on (Infinity: none).
   */
  waits(model: ModelState, extraAtMs: number): { readonly sumMs: number; readonly lastMs: number } {
    if (model.copies.size > this.#sample) return this.#flow(model, extraAtMs);
    this.#lookAtCopies(model);
    this.#exceptOwn(model);
    if (extraAtMs !== Infinity) this.#freeAt[this.#looked++] = extraAtMs;
    const queued = model.waiting.size;
    const { nowMs } = this.#pool;
    const { runMs } = model;
    const count = Math.min(queued, this.#sample);
    let sumMs = 0;
    let lastMs = 0;
    for (let i = 0; i < count; i++) {
      const first = this.#soonest();
      lastMs = Math.max(0, this.#freeAt[first]! - nowMs);
      sumMs += lastMs;
      this.#freeAt[first]! += runMs;
    }
    const rest = queued - count;
    if (rest === 0) return { sumMs, lastMs };
    const more = this.#drain(rest, Math.max(LEAST_RUN_MS, runMs));
    return { sumMs: sumMs + more.sumMs, lastMs: more.lastMs };
  }

  /** The waits of so many more requests as a fluid that fills the copies from `freeAt` to one level. */
  #drain(requests: number, runMs: number): { readonly sumMs: number; readonly lastMs: number } {
    const free = this.#freeAt.slice(0, this.#looked).map((atMs) => Math.max(0, atMs - this.#pool.nowMs));
    free.sort();
    let used = 0;
    let busyMs = requests * runMs;
    // A copy that is free only after the others have done everything takes no part.
    while (used < free.length && free[used]! * used <= busyMs) busyMs += free[used++]!;
    const lastMs = busyMs / used;
    let sumMs = 0;
    for (const fromMs of free.subarray(0, used)) sumMs += (lastMs * lastMs - fromMs * fromMs) / (2 * runMs);
    return { sumMs, lastMs };
  }

  /** `waits` for more copies than are looked at one by one: the queue as a fluid that they drain. */
  #flow(model: ModelState, extraAtMs: number): { readonly sumMs: number; readonly lastMs: number } {
    const { runMs, copies, waiting } = model;
    const lastMs = (waiting.size * runMs) / copies.size;
    const left = Math.max(0, waiting.size - ((extraAtMs - this.#pool.nowMs) * copies.size) / Math.max(1, runMs));
    const savedMs = (left * left * runMs) / (2 * copies.size * (copies.size + 1));
    return { sumMs: (waiting.size * lastMs) / 2 - savedMs, lastMs };
  }

  /** Notes when the model's copies could start a run, behind all that is expected of their devices. */
  #lookAtCopies(model: ModelState): void {
    let looked = 0;
    for (let copy = model.copies.first; copy !== null && looked < this.#sample; copy = copy.after) {
      this.#freeAt[looked] = this.copyFreeAt(copy) + copy.device.expectedMs;
      this.#devices[looked++] = copy.device;
    }
    this.#looked = looked;
  }

  /** What the devices expect of this very queue does not stand in its own way. */
  #exceptOwn(model: ModelState): void {
    let seen = 0;
    for (let node = model.waiting.first; node !== null && seen < this.#sample; node = node.after) {
      const { expectedOn, expectedRunMs } = node.item;
      seen++;
      if (expectedOn === null) continue;
      for (let at = 0; at < this.#looked; at++) {
        if (this.#devices[at] !== expectedOn) continue;
        this.#freeAt[at]! -= expectedRunMs;
        break;
      }
    }
  }

  /** Of the copies looked at, the one that could start first. */
  #soonest(): number {
    const freeAt = this.#freeAt;
    let least = 0;
    for (let at = 1; at < this.#looked; at++) if (freeAt[at]! < freeAt[least]!) least = at;
    return least;
  }
}
