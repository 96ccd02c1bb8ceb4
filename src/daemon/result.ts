// What a request is answered with: its outputs, where its time went, and whether it was a hit.

import type { SchedulerAction } from '../scheduling/types.ts';
import type { InferenceResult, Pending } from './pending.ts';
import type { Load } from './slot.ts';

/** Times in milliseconds on the dispatcher's clock; `load` is that of the copy that ran it, undefined if it is gone. */
export function resultOf(
  { submittedAtMs, request }: Pending,
  { outputs, together, wentAlong }: Pick<InferenceResult, 'outputs' | 'together' | 'wentAlong'>,
  { device, cache, decision }: Extract<SchedulerAction, { type: 'run' }>,
  load: Load | undefined,
  startedAtMs: number,
  endedAtMs: number,
): InferenceResult {
  const loadMs =
    load === undefined
      ? 0
      : Math.max(0, Math.min(load.endedAtMs ?? startedAtMs, startedAtMs) - Math.max(load.startedAtMs, submittedAtMs));
  const coldAfterMs = request.coldAfterMs ?? submittedAtMs;
  const loadedAtMs = load?.endedAtMs ?? 0;
  const isMiss = cache === 'miss' || loadMs > 0 || loadedAtMs > coldAfterMs;
  const hiddenLoadMs = Math.min(loadedAtMs, submittedAtMs) - Math.max(load?.startedAtMs ?? 0, coldAfterMs);
  return {
    outputs,
    together,
    wentAlong,
    device,
    cache: isMiss ? 'miss' : 'hit',
    queueMs: Math.max(0, startedAtMs - submittedAtMs - loadMs),
    loadMs,
    hiddenLoadMs: Math.max(0, hiddenLoadMs),
    runMs: endedAtMs - startedAtMs,
    // What waited for a load runs where it does because of the load: by the time of the run the device holds the model.
    decision: (isMiss ? load?.decision : null) ?? decision ?? null,
  };
}
