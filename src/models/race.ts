// Mapped against prepacked, run by run: whether weights that are packed make runs faster, and how soon that repays the slower load.
// Throws what the trial throws; nothing of it says anything against the model.

import { GpufaasError } from '../errors.ts';
import type { Tensor } from '../tensors.ts';
import type { LoadableModel } from '../workers/types.ts';
import { MAX_ROWS, median, type Measurement } from './profile.ts';
import { hasFreeSizes, repeatRows, sampleBytes, sampleInputs } from './sample-inputs.ts';
import type { Trial } from './trial.ts';
import type { StoredModel } from './types.ts';

/** Both ways of loading one prepared model. */
export interface Rivals {
  readonly mapped: LoadableModel;
  readonly prepacked: LoadableModel;
}

/** A load that is slower for prepacking is worth it if that repays within so many runs: a model may be evicted before it runs more often. */
const RUNS_PER_LOAD = 10;
/** The same of runs of several rows. Their times decide how requests are gathered, so they are those of a prepacked model from the start. */
const BATCHES_PER_LOAD = 100;
/** A model that would have to run more often than this is never packed anew. */
const MOST_RUNS = 10_000;
/** Nor is one whose calls would have to wait for longer than this while it is. */
const LONGEST_PACKING_MS = 1_000;
/** A race does not tell run times apart that are closer than this. */
const NOTICEABLE = 0.05;
/**
 * Where it doesn't, a model is packed all the same once that has cost no more than this share of the time that it ran, and if it takes no
 * longer than this: most models have something to pack, and gain a little.
 */
const SMALL_SHARE = 0.02;
const SHORT_PACKING_MS = 100;
const ROUNDS = 15;
const LEAST_ROUNDS = 5;
/** The longest that one race takes, but for the least rounds. */
const RACE_MS = 1_500;
/** The share of the rounds that prepacking must win. */
const WINS_SHARE = 2 / 3;
/** If it wins fewer than this, it makes runs slower. */
const FEW_WINS_SHARE = 1 / 5;
/** What a free dimension is raced at, if the model takes it: a sentence, a paragraph. */
const RACE_SIZES = [16, 64];
/** The most bytes of inputs that are raced. */
const MOST_INPUT_BYTES = 1e6;
/** The longest run there is time to race, in milliseconds. */
const LONG_RUN_MS = 150;

/**
 * When the weights of a prepared model are to be packed that is resident as `mapped` and was measured alone: at its load, after so
 * many runs, or never (null). Both ways of loading it are resident afterwards. Races end at `deadlineMs` but for a few last rounds.
 */
export async function whenToPack(
  trial: Trial,
  rivals: Rivals,
  stored: StoredModel,
  alone: Measurement,
  batchRows: number,
  deadlineMs: number,
): Promise<'at the load' | number | null> {
  const sample = alone.sample!.inputs;
  const rowsTaken = alone.runMsByRows?.length ?? 1;
  const { loadMs: packingMs } = await trial.load(rivals.prepacked);
  const extraLoadMs = packingMs - alone.loadMs;
  const repaidAfter = ({ savedMs }: Outcome): number => Math.max(1, Math.ceil(extraLoadMs / savedMs));
  // Rows beyond those that were measured would take longer than there is time for, or are not taken.
  const rows = Math.min(batchRows, rowsTaken);
  const inputs = rows > 1 ? repeatRows(sample, rows) : await raceInputs(trial, rivals.mapped.id, stored, sample);
  const first = await race(trial, rivals, inputs, deadlineMs);
  if (first.savedMs > 0 && repaidAfter(first) <= (rows > 1 ? BATCHES_PER_LOAD : RUNS_PER_LOAD)) return 'at the load';
  if (extraLoadMs > LONGEST_PACKING_MS) return null;
  let runs = Infinity;
  if (first.savedMs > 0) runs = repaidAfter(first);
  else if (!first.isSlower && packingMs <= SHORT_PACKING_MS) {
    runs = Math.ceil(packingMs / (SMALL_SHARE * first.usualMs));
  }
  if (first.savedMs === 0 && rows === 1 && rowsTaken > 1) {
    // Callers may send several rows at once; whether they do is not known.
    const several = await race(trial, rivals, repeatRows(sample, Math.min(MAX_ROWS, rowsTaken)), deadlineMs);
    if (several.savedMs > 0) runs = Math.min(runs, Math.max(repaidAfter(several), BATCHES_PER_LOAD));
  }
  return runs <= MOST_RUNS ? runs : null;
}

interface Outcome {
  /** What a mapped run takes, in the median. */
  readonly usualMs: number;
  /** How much less a prepacked one takes; 0 if that is not noticeable, or not so in most of the rounds. */
  readonly savedMs: number;
  /** True if mapped runs won nearly all rounds. */
  readonly isSlower: boolean;
}

/**
 * Prepacking makes a load slower and the runs of some models faster, above all those of several rows through large matrix
 * products, whose weights are packed anew for each run otherwise. Both ways run these inputs in turns.
 */
async function race(
  trial: Trial,
  { mapped, prepacked }: Rivals,
  inputs: readonly Tensor[],
  deadlineMs: number,
): Promise<Outcome> {
  await trial.run(mapped.id, inputs);
  await trial.run(prepacked.id, inputs);
  const mappedMs: number[] = [];
  const prepackedMs: number[] = [];
  let wins = 0;
  const untilMs = Math.min(performance.now() + RACE_MS, deadlineMs);
  while (mappedMs.length < ROUNDS && (mappedMs.length < LEAST_ROUNDS || performance.now() < untilMs)) {
    const { runMs } = await trial.run(mapped.id, inputs);
    const rival = await trial.run(prepacked.id, inputs);
    mappedMs.push(runMs);
    prepackedMs.push(rival.runMs);
    if (rival.runMs < runMs) wins += 1;
  }
  const usualMs = median(mappedMs);
  const savedMs = usualMs - median(prepackedMs);
  const isFaster = wins >= WINS_SHARE * mappedMs.length && savedMs > NOTICEABLE * usualMs;
  return { usualMs, savedMs: isFaster ? savedMs : 0, isSlower: wins < FEW_WINS_SHARE * mappedMs.length };
}

/**
 * What is raced on: `sample`, or longer sequences and larger images where the model leaves their size open and its runs are not too
 * slow. The smallest input that a model takes says little of what its callers send.
 */
async function raceInputs(
  trial: Trial,
  id: string,
  { inputs: specs }: StoredModel,
  sample: readonly Tensor[],
): Promise<readonly Tensor[]> {
  let chosen = sample;
  if (!hasFreeSizes(specs)) return chosen;
  let bytes = bytesOf(sample);
  let lastMs = 0;
  for (const freeSize of RACE_SIZES) {
    const next = sampleBytes(specs, 1, freeSize);
    if (next > MOST_INPUT_BYTES) break;
    if (next <= bytes) continue;
    // At least as much longer as there is more to read; some take the square of that.
    if (lastMs * (next / bytes) > LONG_RUN_MS) break;
    const inputs = sampleInputs(specs, 1, freeSize);
    try {
      const { runMs } = await trial.run(id, inputs);
      if (runMs > LONG_RUN_MS) break;
      lastMs = runMs;
    } catch (error) {
      // Not every size is one that the model takes, or has room for.
      if (error instanceof GpufaasError && (error.code === 'BAD_TENSOR' || error.code === 'OUT_OF_MEMORY')) break;
      throw error;
    }
    chosen = inputs;
    bytes = next;
  }
  return chosen;
}

const bytesOf = (tensors: readonly Tensor[]): number => tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
