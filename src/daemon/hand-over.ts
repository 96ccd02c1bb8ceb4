// When the run that is under way on a device is about to end, so that the next one can be handed over behind it.

import type { Clock } from '../clock.ts';

/**
 * The next run is handed to a worker so long before the present one is expected to end, in milliseconds: it lies there when the device is
 * free, and the way to the daemon and back costs no device time.
 */
const AHEAD_MS = 1;
/** Runs expected to be shorter end sooner than a timer would fire. */
const LEAST_RUN_MS = 2.5;

/** The runs of one device. */
export interface RunsUnderWay {
  readonly runs: { readonly size: number };
  /** Told when the run under way ends, if another one was handed over behind it. */
  onRunEnd: (() => void) | null;
}

/** Announces ends of runs, for the sake of requests that wait: where none does, nothing wakes this process in the midst of a run. */
export class EndsAhead {
  readonly #clock: Clock;
  readonly #isAwaited: () => boolean;
  /** Ends that nobody has asked about yet. */
  readonly #unasked = new Set<() => void>();

  /** `isAwaited` says whether any request waits for a device. */
  constructor(clock: Clock, isAwaited: () => boolean) {
    this.#clock = clock;
    this.#isAwaited = isAwaited;
  }

  /**
   * Calls `announce` once, shortly before the run just added to `slot` is expected to end (after `expectedMs`; null: unknown), or when
   * somebody first waits after that. The function given back calls that off.
   */
  expect(slot: RunsUnderWay, expectedMs: number | null, announce: () => void): () => void {
    if (expectedMs === null || expectedMs < LEAST_RUN_MS) return () => undefined;
    let cancel = (): void => undefined;
    const begin = (): void => {
      if (slot.onRunEnd === begin) slot.onRunEnd = null;
      const dueAtMs = this.#clock.now() + expectedMs - AHEAD_MS;
      const watch = (): void => {
        const leftMs = dueAtMs - this.#clock.now();
        if (leftMs > 0) cancel = this.#clock.after(leftMs, announce);
        else announce();
      };
      if (this.#isAwaited()) return watch();
      this.#unasked.add(watch);
      cancel = () => void this.#unasked.delete(watch);
    };
    // One that was handed over behind another begins when that has ended.
    if (slot.runs.size > 1) slot.onRunEnd = begin;
    else begin();
    return () => {
      cancel();
      if (slot.onRunEnd === begin) slot.onRunEnd = null;
    };
  }

  /** A request came that may have to wait. */
  ask(): void {
    for (const watch of this.#unasked) {
      this.#unasked.delete(watch);
      watch();
    }
  }
}
