// Whether requests of one model run side by side, each on a core of its own, or one after the other on all cores. All cores answer one
// request sooner; a core for each wastes nothing on waiting for the others, so that a long queue is over sooner.

import type { Copy, ModelState, RequestState } from '../../state.ts';
import { nextBatch } from './batching.ts';

/** A queue is long from so many requests for each run side by side. */
const LONG = 2;
/** Runs that left a long queue behind them before instances are made for it. */
const CROWDED_RUNS = 20;
/** Runs of a copy with instances after which one goes the way that seems worse: what is known of that may be old. */
const RUNS_PER_TRIAL = 200;

/** The earliest waiting requests that the copy should take now: one, a batch where the model has them, or some side by side. */
export function nextRun(copy: Copy, together: boolean): RequestState[] {
  const { model, width } = copy;
  if (!together || width === 1 || model.batching !== undefined) return nextBatch(model, together);
  const requests = singles(model, width);
  if (requests.length > 1 && goesSideBySide(model, requests.length, width)) return requests;
  return nextBatch(model, false);
}

function goesSideBySide(model: ModelState, count: number, width: number): boolean {
  const waiting = model.waiting.size;
  const gain = gains(model, waiting, width) && (count === Math.min(width, waiting) || fewGain(model, count));
  // Now and then the other way: what is known of it may be old.
  if (++model.runsApart < RUNS_PER_TRIAL) return gain;
  model.runsApart = 0;
  return !gain && waiting >= LONG * width && count === width;
}

/** To be asked after each run began: true when the copy had a long queue so often that instances would be of use. */
export function shouldWiden(copy: Copy): boolean {
  const { model, device } = copy;
  const width = device.instances;
  if (width === 1 || copy.instances > 0 || model.batching !== undefined) return false;
  if (model.waiting.size < LONG * width || !gains(model, model.waiting.size, width)) {
    if (model.crowdedRuns > 0) model.crowdedRuns--;
    return false;
  }
  if (++model.crowdedRuns < CROWDED_RUNS) return false;
  model.crowdedRuns = 0;
  return true;
}

/** Of the earliest requests, at most `most`, those of one row: others would keep the device for themselves. */
function singles(model: ModelState, most: number): RequestState[] {
  const found: RequestState[] = [];
  for (const request of model.waiting) {
    if (request.rows !== 1 || found.length === most) break;
    found.push(request);
  }
  return found;
}

/** True if so many requests wait less in all when they go side by side. Not known yet: to be tried on a long queue. */
function gains({ runMs, sideBySideMs }: ModelState, waiting: number, width: number): boolean {
  if (sideBySideMs === null) return waiting >= LONG * width;
  return sideBySideMs * (Math.ceil(waiting / width) + 1) < runMs * (waiting + 1);
}

/** True if fewer requests than there are instances are done sooner side by side than one after the other. */
function fewGain({ runMs, sideBySideMs }: ModelState, count: number): boolean {
  return sideBySideMs !== null && sideBySideMs < count * runMs;
}
