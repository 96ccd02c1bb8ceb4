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

/**
 * Calls `announce` once, shortly before the run just added to `slot` is expected to end (after `expectedMs`; null: unknown). The
 * function given back calls that off.
 */
export function announceEnd(
  slot: RunsUnderWay,
  expectedMs: number | null,
  clock: Clock,
  announce: () => void,
): () => void {
  if (expectedMs === null || expectedMs < LEAST_RUN_MS) return () => undefined;
  let cancel = (): void => undefined;
  const begin = (): void => {
    if (slot.onRunEnd === begin) slot.onRunEnd = null;
    cancel = clock.after(expectedMs - AHEAD_MS, announce);
  };
  // One that was handed over behind another begins when that has ended.
  if (slot.runs.size > 1) slot.onRunEnd = begin;
  else begin();
  return () => {
    cancel();
    if (slot.onRunEnd === begin) slot.onRunEnd = null;
  };
}
