// Time as a value that can be passed in: the system's clock, and one that tests move by hand. Imports nothing.

/** Milliseconds; `now` is monotonic (for durations), `wall` counts from the Unix epoch (for records). */
export interface Clock {
  now(): number;
  wall(): number;
  /** Calls `fire` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, fire: () => void): () => void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, Math.min(Math.max(0, delayMs), 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until `advance` is called; timers fire in order of time, then of creation. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #sequence = 0;
  readonly #wallStartMs: number;
  readonly #timers = new Map<number, { atMs: number; fire: () => void }>();

  constructor(wallStartMs = 1_700_000_000_000) {
    this.#wallStartMs = wallStartMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wall(): number {
    return this.#wallStartMs + this.#nowMs;
  }

  after(delayMs: number, fire: () => void): () => void {
    const key = this.#sequence++;
    this.#timers.set(key, { atMs: this.#nowMs + Math.max(0, delayMs), fire });
    return () => void this.#timers.delete(key);
  }

  /** Moves time forward by `ms`, firing every timer that falls due on the way. */
  advance(ms: number): void {
    const target = this.#nowMs + ms;
    for (;;) {
      let next: { key: number; atMs: number; fire: () => void } | undefined;
      for (const [key, timer] of this.#timers) {
        if (timer.atMs <= target && (next === undefined || timer.atMs < next.atMs)) next = { key, ...timer };
      }
      if (next === undefined) break;
      this.#timers.delete(next.key);
      this.#nowMs = next.atMs;
      next.fire();
    }
    this.#nowMs = target;
  }
}
