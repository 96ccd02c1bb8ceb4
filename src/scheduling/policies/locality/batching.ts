// How many requests of one model run together, and whether to wait for more of them.

import type { ModelState, RequestState } from '../../state.ts';
import type { Popularity } from './popularity.ts';

/** Below this share of busy time there is nothing to gain by making anyone wait. */
const WORTH_WAITING_LOAD = 0.5;

/** The earliest waiting requests that should run as one batch: one where the model can't be batched. */
export function nextBatch(model: ModelState, isOn: boolean): RequestState[] {
  const batch: RequestState[] = [];
  const { batching } = model;
  let rows = 0;
  for (const request of model.waiting) {
    if (batch.length > 0) {
      if (!isOn || batching === undefined || rows + request.rows > batching.maxSize) break;
      // Rows that make the run longer by as much as a run of their own gain nothing and delay the others.
      const isKnown = batching.runMsByRows !== undefined && batching.runMsByRows.length > 0;
      const addedMs = model.runMsOf(rows + request.rows) - model.runMsOf(rows);
      if (isKnown && addedMs >= model.runMsOf(request.rows)) break;
    }
    batch.push(request);
    rows += request.rows;
    if (batching === undefined) break;
  }
  return batch;
}

/**
 * Until when the model's queue should wait for companions: only when devices are scarce, and only if one is expected
 * within the delay that the model allows. Not after now: run.
 */
export function waitsUntil(model: ModelState, nowMs: number, popularity: Popularity, devices: number): number {
  const { batching } = model;
  const head = model.waiting.head();
  if (batching === undefined || head === undefined || model.waiting.size >= batching.maxSize) return nowMs;
  const untilMs = head.submittedAtMs + batching.maxDelayMs;
  if (popularity.load() < WORTH_WAITING_LOAD * devices) return nowMs;
  return popularity.rate(model) * (untilMs - nowMs) >= 1 ? untilMs : nowMs;
}
