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
  /** Scratch of `waits`. */
  readonly #freeAt: number[] = [];

  constructor(pool: Pool, sample: number) {
    this.#pool = pool;
    this.#sample = sample;
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
    for (const other of copy.model.copies.values()) {
      if (other === copy) continue;
      leastMs = Math.min(leastMs, this.copyFreeAt(other) + other.device.expectedMs - this.#pool.nowMs);
      if (++seen >= this.#sample) break;
    }
    return leastMs;
  }

  /** Expects the waiting requests of the model anew, after its copies or its queue changed. */
  expect(model: ModelState): void {
    let seen = 0;
    for (const request of model.waiting) {
      this.forget(request);
      if (++seen >= this.#sample) break;
    }
    const copies: Copy[] = [];
    const freeAt = this.#freeAt;
    freeAt.length = 0;
    for (const copy of model.copies.values()) {
      copies.push(copy);
      freeAt.push(this.copyFreeAt(copy) + copy.device.expectedMs);
      if (copies.length >= this.#sample) break;
    }
    if (copies.length === 0) return;
    seen = 0;
    for (const request of model.waiting) {
      const first = indexOfLeast(freeAt);
      freeAt[first]! += model.runMs;
      request.expectedOn = copies[first]!.device;
      request.expectedRunMs = model.runMs;
      request.expectedOn.expectedMs += model.runMs;
      if (++seen >= this.#sample) break;
    }
  }

  /** Takes back what was expected of the request. */
  forget(request: RequestState): void {
    if (request.expectedOn === null) return;
    request.expectedOn.expectedMs -= request.expectedRunMs;
    request.expectedOn = null;
  }

  /**
   * The waits still ahead of the model's queue, summed, if one more copy could run from `extraAtMs` on (Infinity: none),
   * and the last of them. Without any copy each request waits `noCopyMs`.
   */
  waits(model: ModelState, extraAtMs: number, noCopyMs: number): { readonly sumMs: number; readonly lastMs: number } {
    if (model.copies.size > this.#sample) return this.#flow(model, extraAtMs);
    const freeAt = this.#availability(model);
    if (extraAtMs !== Infinity) freeAt.push(extraAtMs);
    const count = Math.min(model.waiting.size, this.#sample);
    if (freeAt.length === 0) return { sumMs: noCopyMs * model.waiting.size, lastMs: noCopyMs };
    let sumMs = 0;
    let lastMs = 0;
    for (let i = 0; i < count; i++) {
      const first = indexOfLeast(freeAt);
      lastMs = Math.max(0, freeAt[first]! - this.#pool.nowMs);
      sumMs += lastMs;
      freeAt[first]! += model.runMs;
    }
    const rest = model.waiting.size - count;
    if (rest === 0) return { sumMs, lastMs };
    const more = this.#drain(rest, Math.max(LEAST_RUN_MS, model.runMs));
    return { sumMs: sumMs + more.sumMs, lastMs: more.lastMs };
  }

  /** The waits of so many more requests as a fluid that fills the copies from `freeAt` to one level. */
  #drain(requests: number, runMs: number): { readonly sumMs: number; readonly lastMs: number } {
    const free = this.#freeAt.map((atMs) => Math.max(0, atMs - this.#pool.nowMs)).sort((a, b) => a - b);
    let used = 0;
    let busyMs = requests * runMs;
    // A copy that is free only after the others have done everything takes no part.
    while (used < free.length && free[used]! * used <= busyMs) busyMs += free[used++]!;
    const lastMs = busyMs / used;
    let sumMs = 0;
    for (const fromMs of free.slice(0, used)) sumMs += (lastMs * lastMs - fromMs * fromMs) / (2 * runMs);
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

  /** When each copy could start on the first of the model's queue. */
  #availability(model: ModelState): number[] {
    const freeAt = this.#freeAt;
    freeAt.length = 0;
    for (const copy of model.copies.values()) {
      freeAt.push(this.copyFreeAt(copy) + copy.device.expectedMs);
      if (freeAt.length >= this.#sample) break;
    }
    // What the devices expect of this very queue does not stand in its own way.
    let seen = 0;
    for (const request of model.waiting) {
      let at = 0;
      if (request.expectedOn !== null) {
        for (const device of model.copies.keys()) {
          if (at >= freeAt.length) break;
          if (device === request.expectedOn) {
            freeAt[at]! -= request.expectedRunMs;
            break;
          }
          at++;
        }
      }
      if (++seen >= this.#sample) break;
    }
    return freeAt;
  }
}

function indexOfLeast(values: readonly number[]): number {
  let least = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! < values[least]!) least = i;
  return least;
}
