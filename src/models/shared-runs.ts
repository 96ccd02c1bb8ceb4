// Whether requests for a model may share a run though nobody asked for it. Each must get the answer that it gets alone, whatever is in the
// other rows, and the run must pay: as with matrix products, where all rows share the reading of the weights.

import { canBatch, joinInputs, splitOutputs } from '../joined-tensors.ts';
import { seededRandom } from '../random.ts';
import type { Tensor } from '../tensors.ts';
import { interpolate, MAX_ROWS, median } from './profile.ts';
import { areSameAnswers } from './same-answers.ts';
import { sampleInputs } from './sample-inputs.ts';
import type { Trial } from './trial.ts';
import type { StoredModel } from './types.ts';

/** The largest |difference| / max(1, |y|) between an answer from a shared run and the same one alone. */
const TOLERANCE = 1e-5;
/** A full run may take at most this share of what its rows take alone: side by side they gain up to a third. */
const WORTH = 0.5;
/** Memory beyond what is accounted that a full run may need, as a share of it: what runs take and give back is not accounted. */
const EXTRA_MEMORY = 0.1;
/** Numbers of rows whose answers are compared: runtimes have ways of their own for few. */
const COMPARED = [MAX_ROWS, 2, 3];
const TIMED = [1, 2, 4, MAX_ROWS];
const ROUNDS = 10;
const LEAST_ROUNDS = 3;
const ROUNDS_MS = 600;
/** What the values of each row are multiplied by: a model that looks at all rows at once (for a scale, a mean) answers differently then. */
const SCALES = [1, -1, 2, 0.25, -0.5, 4, 0.5, 3];

/**
 * What runs of 1 to 8 rows take, in milliseconds, if requests of this model should share runs; null: they should not. The model is resident
 * in the trial, and is accounted with so many bytes. Throws what the trial throws.
 */
export async function trySharedRuns(
  trial: Pick<Trial, 'run' | 'memory' | 'resetPeak'>,
  id: string,
  stored: Pick<StoredModel, 'inputs' | 'outputs'>,
  accountedBytes: number,
  deadlineMs: number,
): Promise<number[] | null> {
  if (!canBatch(stored)) return null;
  const random = seededRandom(2);
  const requests = SCALES.map((scale) => sampleInputs(stored.inputs, 1, 1, () => scale * random()));
  const alone: (readonly Tensor[])[] = [];
  for (const inputs of requests) alone.push((await trial.run(id, inputs)).outputs);
  const { residentBytes } = await trial.memory();
  trial.resetPeak();
  for (const rows of COMPARED) {
    const from = rows === MAX_ROWS ? 0 : Math.floor(random() * (MAX_ROWS - rows));
    if (!(await answersAsAlone(trial, id, requests.slice(from, from + rows), alone.slice(from, from + rows))))
      return null;
  }
  const { peakBytes } = await trial.memory();
  if (peakBytes !== null && peakBytes - residentBytes > EXTRA_MEMORY * accountedBytes) return null;
  const times = await timeInTurns(trial, id, requests, deadlineMs);
  return times[MAX_ROWS - 1]! <= WORTH * MAX_ROWS * times[0]! ? times : null;
}

async function answersAsAlone(
  trial: Pick<Trial, 'run'>,
  id: string,
  requests: readonly (readonly Tensor[])[],
  alone: readonly (readonly Tensor[])[],
): Promise<boolean> {
  const { outputs } = await trial.run(id, joinInputs(requests));
  if (outputs.some(({ shape }) => shape[0] !== requests.length)) return false;
  const apart = splitOutputs(
    outputs,
    requests.map(() => 1),
  );
  return apart.every((answer, index) => areSameAnswers(answer, alone[index]!, TOLERANCE));
}

/** The median times of runs of 1 to 8 rows; those that are not run lie on the line between. */
async function timeInTurns(
  trial: Pick<Trial, 'run'>,
  id: string,
  requests: readonly (readonly Tensor[])[],
  deadlineMs: number,
): Promise<number[]> {
  const series = TIMED.map((rows) => ({ rows, inputs: joinInputs(requests.slice(0, rows)), times: [] as number[] }));
  const untilMs = Math.min(performance.now() + ROUNDS_MS, deadlineMs);
  for (let round = 0; round < ROUNDS && (round < LEAST_ROUNDS || performance.now() < untilMs); round++) {
    for (const { inputs, times } of series) times.push((await trial.run(id, inputs)).runMs);
  }
  return interpolate(series.map(({ rows, times }) => ({ rows, ms: median(times) })));
}
