// Whether requests of one model run side by side, each on a core of its own, or one after the other on all cores. All cores answer one
// request sooner; a core for each wastes nothing on waiting for the others, so that a long queue is over sooner.

import type { Copy, ModelState, RequestState } from '../../state.ts';
import { nextBatch } from './batching.ts';

/** A queue is long from so many requests for each run side by side. */
const LONG = 2;
/** Runs that left a long queue behind them before instances are made for it. */
const CROWDED_RUNS = 20;
/** Runs alone from a long queue after which some go side by side all the same: what is known of those may be old. */
const RUNS_PER_TRIAL = 200;

/** The earliest waiting requests that the copy should take now: one, a batch where the model has them, or some side by side. */
export function nextRun(copy: Copy, together: boolean): RequestState[] {
  const { model, width } = copy;
  if (!together || width === 1 || model.batching !== undefined) return nextBatch(model, together);
  const requests = singles(model, width);
  if (requests.length > 1 && goesSideBySide(model, width)) return requests;
  return nextBatch(model, false);
}

function goesSideBySide(model: ModelState, width: number): boolean {
  const gain = gains(model, model.waiting.size, width);
  if (!gain && (model.waiting.size < LONG * width || ++model.runsApart < RUNS_PER_TRIAL)) return false;
  model.runsApart = 0;
  return true;
}

/** To be asked after each run began: true when the copy had a long queue so often that instances would be of use. */
export function shouldWiden(copy: Copy): boolean {
  const { model, device } = copy;
  const width = device.instances;
  if (width === 1 || copy.instances > 0 || model.batching !== undefined) return false;
  if (model.waiting.size < LONG * width || !gains(model, model.waiting.size, width)) {
    if (copy.crowdedRuns > 0) copy.crowdedRuns--;
    return false;
  }
  if (++copy.crowdedRuns < CROWDED_RUNS) return false;
  copy.crowdedRuns = 0;
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
