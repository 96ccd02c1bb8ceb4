// Measures a model in a throwaway worker: what a load and a run take, by batch size too, and how much memory it holds
// once warm. Within seconds: growth of the batch stops when time or memory would pass a limit.

import { type Device, ownsMemory } from '../devices/types.ts';
import { GpufaasError } from '../errors.ts';
import type { Tensor } from '../tensors.ts';
import type { LoadableModel, LoadResult, RunResult } from '../workers/types.ts';
import { doesNotFit } from './prepare.ts';
import { FREE_SIZES, hasFreeSizes, mayBatch, sampleInputs } from './sample-inputs.ts';
import { type Trial, type TrialOptions, withTrial } from './trial.ts';
import type { ModelProfile } from './types.ts';

/** Bounds of one measurement. */
export interface ProfileOptions extends Omit<TrialOptions, 'callLimitMs'> {
  /** For the whole measurement; a single load or run may take that long too (default 10,000). */
  readonly limitMs?: number;
  /** The largest batch tried (default 8). */
  readonly maxRows?: number;
}

/** A profile with what it was derived from. Sizes in bytes. */
export interface Measurement extends ModelProfile {
  /** Growth of the worker once the model was loaded and had run. */
  readonly residentBytes: number;
  /** The most it was during a run of one row; null where the system does not tell. */
  readonly peakBytes: number | null;
  /** What it was measured on; null if no input was found that the model takes, and the run's time is given as the load's. */
  readonly sample: { readonly inputs: readonly Tensor[]; readonly outputs: readonly Tensor[] } | null;
}

export const PROFILE_LIMIT_MS = 10_000;
/** The largest batch that is measured where nobody asks for more. */
export const MAX_ROWS = 8;
const LEAST_RUNS = 3;
const MOST_RUNS = 30;
/** Time spent on the runs of one batch size. */
const RUNS_MS = 400;

/** The middle of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Loads the model in a throwaway worker and measures it. Throws BAD_MODEL, DOES_NOT_FIT, TIMEOUT, CANCELLED. */
export function profileModel(model: LoadableModel, device: Device, options: ProfileOptions): Promise<Measurement> {
  const limitMs = options.limitMs ?? PROFILE_LIMIT_MS;
  const deadlineMs = performance.now() + limitMs;
  return withTrial(device, { ...options, callLimitMs: limitMs }, async (trial) => {
    const load = await trial.load(model);
    return measureLoaded(trial, model.id, load, device, options, deadlineMs);
  });
}

/** Measures a model that was just loaded as the only one in a trial. */
export async function measureLoaded(
  trial: Trial,
  id: string,
  load: LoadResult,
  device: Device,
  options: ProfileOptions,
  deadlineMs: number,
): Promise<Measurement> {
  trial.resetPeak();
  const found = await firstRun(trial, id, load);
  const runMs = found === null ? load.loadMs : await timeRuns(trial, id, found.inputs, deadlineMs);
  const { residentBytes, peakBytes } = await trial.memory();
  // What a run needs beyond its weights is taken and given back with each run; only where that is much does it count,
  // so that what is accounted stays close to what the system shows.
  const memoryBytes = Math.ceil(Math.max(residentBytes, 0.9 * (peakBytes ?? 0)));
  if (memoryBytes > options.budgetBytes) throw doesNotFit(options.budgetBytes);
  const byRows =
    found !== null && mayBatch(load.inputs, load.outputs)
      ? await timeByRows(trial, id, load, { runMs, freeSize: found.freeSize, memoryBytes }, options, deadlineMs)
      : null;
  // A device's arena keeps what the largest batch took until the model goes.
  const keptBytes = byRows !== null && ownsMemory(device) ? (await trial.memory()).residentBytes : 0;
  return {
    loadMs: load.loadMs,
    runMs,
    memoryBytes: Math.min(options.budgetBytes, Math.max(memoryBytes, keptBytes)),
    ...(byRows !== null && { runMsByRows: byRows }),
    device: device.kind === 'cpu' ? `cpu x ${device.threads}` : device.id,
    residentBytes,
    peakBytes,
    sample: found === null ? null : { inputs: found.inputs, outputs: found.result.outputs },
  };
}

interface FirstRun {
  readonly inputs: readonly Tensor[];
  readonly freeSize: number;
  readonly result: RunResult;
}

/** Finds inputs that the model takes; null if none of ours is. */
async function firstRun(trial: Trial, id: string, load: LoadResult): Promise<FirstRun | null> {
  for (const freeSize of hasFreeSizes(load.inputs) ? FREE_SIZES : [1]) {
    const inputs = sampleInputs(load.inputs, 1, freeSize);
    try {
      return { inputs, freeSize, result: await trial.run(id, inputs) };
    } catch (error) {
      if (!(error instanceof GpufaasError) || error.code !== 'BAD_TENSOR') throw error;
    }
  }
  return null;
}

/** The median run, after one that warms up. */
async function timeRuns(trial: Trial, id: string, inputs: readonly Tensor[], deadlineMs: number): Promise<number> {
  const times: number[] = [];
  const untilMs = Math.min(performance.now() + RUNS_MS, deadlineMs);
  while (times.length < LEAST_RUNS || (times.length < MOST_RUNS && performance.now() < untilMs)) {
    times.push((await trial.run(id, inputs)).runMs);
    if (times.length > 0 && performance.now() > deadlineMs) break;
  }
  return median(times);
}

/** Run times of 1, 2, … rows; measured in doublings, in between on the line. Null if the model takes one row only. */
async function timeByRows(
  trial: Trial,
  id: string,
  load: LoadResult,
  one: { readonly runMs: number; readonly freeSize: number; readonly memoryBytes: number },
  options: ProfileOptions,
  deadlineMs: number,
): Promise<number[] | null> {
  const measured = [{ rows: 1, ms: one.runMs }];
  let extraBytes = 0;
  for (let rows = 2; rows <= (options.maxRows ?? MAX_ROWS); rows *= 2) {
    const predictedMs = measured.at(-1)!.ms * 2 * (LEAST_RUNS + 1);
    if (performance.now() + predictedMs > deadlineMs) break;
    if (one.memoryBytes + 2 * extraBytes > options.budgetBytes) break;
    const inputs = sampleInputs(load.inputs, rows, one.freeSize);
    try {
      trial.resetPeak();
      const { outputs } = await trial.run(id, inputs);
      if (outputs.some(({ shape }) => shape[0] !== rows)) break;
      measured.push({ rows, ms: await timeRuns(trial, id, inputs, deadlineMs) });
      const { residentBytes, peakBytes } = await trial.memory();
      extraBytes = Math.max(0, (peakBytes ?? residentBytes) - one.memoryBytes);
    } catch (error) {
      // A batch it does not take, or has no room for, ends the growth and says nothing against the model.
      if (error instanceof GpufaasError && (error.code === 'BAD_TENSOR' || error.code === 'OUT_OF_MEMORY')) break;
      throw error;
    }
  }
  return measured.length === 1 ? null : interpolate(measured);
}

/** Times of every number of rows up to the largest measured, on the line where one was not. */
export function interpolate(measured: readonly { readonly rows: number; readonly ms: number }[]): number[] {
  const times: number[] = [];
  for (const [index, { rows, ms }] of measured.entries()) {
    const next = measured[index + 1];
    times.push(ms);
    if (next === undefined) break;
    for (let between = rows + 1; between < next.rows; between++) {
      times.push(ms + ((next.ms - ms) * (between - rows)) / (next.rows - rows));
    }
  }
  return times;
}
