// How many requests of one model run together, and whether to wait for more of them.

import type { ModelState, RequestState } from '../../state.ts';
import type { Popularity } from './popularity.ts';

/** Rows may join a batch if they take at most this share of what they would take in batches of their own. */
const WORTH_JOINING = 0.95;
/** Runs that seem better alone after which one is made together all the same: what is known of batches may be wrong or old. */
const RUNS_PER_TRIAL = 200;
/** Companions are late when nobody came for so many times the mean gap between two arrivals. */
const LATE_GAPS = 3;

/** The earliest waiting requests that should run as one batch: one where the model can't be batched. */
export function nextBatch(model: ModelState, isOn: boolean): RequestState[] {
  const { batching } = model;
  const batch: RequestState[] = [];
  let rows = 0;
  let [bestCount, bestRows] = [1, 0];
  for (const request of model.waiting) {
    if (batch.length > 0 && rows + request.rows > batching!.maxSize) break;
    // What a worker died of in a batch that nobody asked for is tried again alone.
    if (batching?.unasked === true && request.returned && batch.length > 0) break;
    batch.push(request);
    rows += request.rows;
    if (!isOn || batching === undefined || (batching.unasked === true && request.returned)) return batch;
    // A few rows may gain nothing where many do, so the search goes on to the largest batch there could be.
    if (bestRows === 0 || gains(model, bestRows, rows)) [bestCount, bestRows] = [batch.length, rows];
  }
  if (bestCount === batch.length) {
    model.runsApart = 0;
    return batch;
  }
  if (++model.runsApart >= RUNS_PER_TRIAL) {
    model.runsApart = 0;
    return batch;
  }
  return batch.slice(0, bestCount);
}

/** True if a run of `most` rows is better than one of `least` rows and the rest in runs like that. */
function gains(model: ModelState, least: number, most: number): boolean {
  const table = model.batching?.runMsByRows;
  // Nothing known: rows are taken to share a run until one has shown what it takes.
  if (table === undefined || table.length === 0) return true;
  const leastMs = model.runMsOf(least);
  return model.runMsOf(most) - leastMs <= WORTH_JOINING * (most - least) * (leastMs / least);
}

/**
 * Until when the model's queue should wait for companions: only if what they save of the devices' time is more than what the
 * devices would stand idle for them, and only while they are to be expected, at most for the delay that the model allows. Not
 * after now: run.
 */
export function waitsUntil(model: ModelState, nowMs: number, popularity: Popularity, devices: number): number {
  const { batching, waiting } = model;
  const [head, last] = [waiting.head(), waiting.last()];
  if (batching === undefined || head === undefined || last === undefined) return nowMs;
  if (waiting.size >= batching.maxSize) return nowMs;
  const rate = popularity.rate(model);
  const untilMs = Math.min(head.submittedAtMs + batching.maxDelayMs, last.submittedAtMs + LATE_GAPS / rate);
  if (rate * (untilMs - nowMs) < 1) return nowMs;
  const idle = Math.max(0, devices - (popularity.load() - rate * model.runMs));
  const least = waiting.size;
  const leastMs = model.runMsOf(least);
  for (let rows = least + 1; rows <= batching.maxSize; rows++) {
    const savedMs = leastMs / least - (model.runMsOf(rows) - leastMs) / (rows - least);
    if (gains(model, least, rows) && rate * savedMs >= idle) return untilMs;
  }
  return nowMs;
}
