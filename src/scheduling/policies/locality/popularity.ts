// How often each model is asked for, and how busy the devices are in the mean: counts of arrivals that fade with time.
// Instead of fading every count, the weight of a new arrival grows; so an arrival costs O(1).

import type { ModelState } from '../../state.ts';
import type { Tuning } from './tuning.ts';

const TICK_MS = 1000;
const LARGEST_WEIGHT = 1e100;

/** Rates of arrival per model. */
export class Popularity {
  readonly #growth: number;
  readonly #memoryMs: number;
  readonly #startedMs: number;
  #counts: number[] = [];
  #weight = 1;
  #startMs = -1;
  #tickMs = 0;
  /** Run time asked for, in the weights of the counts. */
  #work = 0;
  /** 1 / (weight x effective time watched). */
  #scale = 0;

  constructor({ memoryMs, startMs }: Tuning) {
    this.#memoryMs = memoryMs;
    this.#startedMs = startMs;
    // e^(tick / memory) to the second order: the same on every machine, which Math.exp need not be.
    const step = TICK_MS / memoryMs;
    this.#growth = 1 + step + (step * step) / 2;
  }

  /** To be called before the rates of this instant are read. */
  advance(nowMs: number): void {
    if (this.#startMs < 0) this.#startMs = this.#tickMs = nowMs;
    let ticks = Math.floor((nowMs - this.#tickMs) / TICK_MS);
    this.#tickMs += ticks * TICK_MS;
    for (let factor = this.#growth; ticks > 0; ticks = Math.floor(ticks / 2), factor *= factor) {
      if (ticks % 2 === 1) this.#weight *= factor;
      // After so long a pause nothing that was counted matters.
      if (this.#weight > LARGEST_WEIGHT) this.#rebase();
      if (factor > LARGEST_WEIGHT) break;
    }
    const watchedMs = nowMs - this.#startMs;
    // Tends to the memory, and to the time watched at first: a rational stand-in for memory x (1 - e^(-watched/memory)).
    const effectiveMs = (this.#memoryMs * watchedMs) / (this.#memoryMs * 0.9 + watchedMs) + this.#startedMs;
    this.#scale = 1 / (this.#weight * Math.min(effectiveMs, this.#memoryMs + this.#startedMs));
  }

  arrived(model: ModelState): void {
    this.#counts[model.index] = (this.#counts[model.index] ?? 0) + this.#weight;
    this.#work += this.#weight * model.runMs;
  }

  /** Arrivals per millisecond. */
  rate(model: ModelState): number {
    return (this.#counts[model.index] ?? 0) * this.#scale;
  }

  /** Run time asked for per millisecond: the number of devices it keeps busy. */
  load(): number {
    return this.#work * this.#scale;
  }

  #rebase(): void {
    for (const [index, count] of this.#counts.entries()) this.#counts[index] = (count ?? 0) / this.#weight;
    this.#work /= this.#weight;
    this.#weight = 1;
  }
}
