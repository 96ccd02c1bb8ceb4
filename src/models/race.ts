// Mapped against prepacked, run by run: whether weights that are packed at the load make runs faster, and how soon that repays.

import { GpufaasError } from '../errors.ts';
import type { Tensor, TensorSpec } from '../tensors.ts';
import type { LoadableModel } from '../workers/types.ts';
import { median } from './profile.ts';
import { hasFreeSizes, sampleInputs } from './sample-inputs.ts';
import type { Trial } from './trial.ts';

/** Both ways of loading one prepared model. */
export interface Rivals {
  readonly mapped: LoadableModel;
  readonly prepacked: LoadableModel;
}

/** Run times closer than this are the same. */
const NOTICEABLE = 0.05;
const ROUNDS = 15;
const LEAST_ROUNDS = 5;
/** The share of the rounds that prepacking must win. */
const WINS_SHARE = 2 / 3;
/** What a free dimension is raced at, if the model takes it: a sentence, a paragraph. */
const RACE_SIZES = [16, 64];
/** The longest run there is time to race, in milliseconds. */
const LONG_RUN_MS = 150;

/**
 * Prepacking makes a load slower and the runs of some models faster, above all those of several rows through large matrix
 * products, whose weights are packed anew for each run otherwise. Gives the number of runs of these inputs after which it has repaid
 * `extraLoadMs`, null if runs that take turns are not noticeably faster with it, most of them. Both models have to be resident.
 */
export async function runsUntilRepaid(
  trial: Trial,
  { mapped, prepacked }: Rivals,
  extraLoadMs: number,
  inputs: readonly Tensor[],
  deadlineMs: number,
): Promise<number | null> {
  await trial.run(mapped.id, inputs);
  await trial.run(prepacked.id, inputs);
  const mappedMs: number[] = [];
  const prepackedMs: number[] = [];
  let wins = 0;
  while (mappedMs.length < ROUNDS && (mappedMs.length < LEAST_ROUNDS || performance.now() < deadlineMs)) {
    const { runMs } = await trial.run(mapped.id, inputs);
    const rival = await trial.run(prepacked.id, inputs);
    mappedMs.push(runMs);
    prepackedMs.push(rival.runMs);
    if (rival.runMs < runMs) wins += 1;
  }
  const usualMs = median(mappedMs);
  const savedMs = usualMs - median(prepackedMs);
  if (wins < WINS_SHARE * mappedMs.length || savedMs <= NOTICEABLE * usualMs) return null;
  return Math.max(1, Math.ceil(extraLoadMs / savedMs));
}

/**
 * What a resident model is raced on: `sample`, or longer sequences and larger images where the model leaves their size open and its runs
 * are not too slow. The smallest input that a model takes says little of what its callers send. The model has to be resident.
 */
export async function raceInputs(
  trial: Trial,
  id: string,
  specs: readonly TensorSpec[],
  sample: readonly Tensor[],
): Promise<readonly Tensor[]> {
  let chosen = sample;
  if (!hasFreeSizes(specs)) return chosen;
  for (const freeSize of RACE_SIZES) {
    const inputs = sampleInputs(specs, 1, freeSize);
    if (inputs.every(({ data }, index) => data.byteLength <= sample[index]!.data.byteLength)) continue;
    try {
      const { runMs } = await trial.run(id, inputs);
      if (runMs > LONG_RUN_MS) break;
      chosen = inputs;
    } catch (error) {
      // Not every size is one that the model takes, or has room for.
      if (error instanceof GpufaasError && (error.code === 'BAD_TENSOR' || error.code === 'OUT_OF_MEMORY')) break;
      throw error;
    }
  }
  return chosen;
}
