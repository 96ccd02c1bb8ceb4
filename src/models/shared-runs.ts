// Whether requests for a model may share a run though nobody asked for it. Each must get the answer that it gets alone, whatever is in the
// other rows, and the run must pay: as with matrix products, where all rows share the reading of the weights.

import { canBatch, joinInputs, splitOutputs } from '../joined-tensors.ts';
import { seededRandom } from '../random.ts';
import type { Tensor } from '../tensors.ts';
import { interpolate, MAX_ROWS, median } from './profile.ts';
import { areSameAnswers, unitsOf } from './same-answers.ts';
import { sampleInputs } from './sample-inputs.ts';
import type { Trial } from './trial.ts';
import type { ModelProfile, StoredModel } from './types.ts';

/** The largest |difference| / max(1, |y|) between an answer from a shared run and the same one alone. */
const TOLERANCE = 1e-5;
/** A full run may take at most this share of what its rows take alone: side by side they gain up to a third. */
const WORTH = 0.5;
/** Nor is it tried where a run of so many rows was measured to take more than this share, with weights that may be packed anew for each. */
const PROMISING = 0.75;
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
 * What runs of 1 to 8 rows take, in milliseconds, if requests of this model should share runs; null: they should not, or there was no time
 * to see. The model is resident in the trial; `measured` is what it showed alone. Throws what the trial throws.
 */
export async function trySharedRuns(
  trial: Pick<Trial, 'run' | 'memory' | 'resetPeak'>,
  id: string,
  stored: Pick<StoredModel, 'inputs' | 'outputs'>,
  measured: Pick<ModelProfile, 'memoryBytes' | 'runMs' | 'runMsByRows'>,
  deadlineMs: number,
): Promise<number[] | null> {
  if (!canBatch(stored) || !isPromising(measured)) return null;
  const isLate = (): boolean => performance.now() > deadlineMs;
  const random = seededRandom(2);
  const requests = SCALES.map((scale) => sampleInputs(stored.inputs, 1, 1, () => scale * random()));
  const alone: (readonly Tensor[])[] = [];
  for (const inputs of requests) {
    if (isLate()) return null;
    alone.push((await trial.run(id, inputs)).outputs);
  }
  // Where all get the same answer, nobody would see that one got another's.
  if (alone.every((answer) => areSameAnswers(answer, alone[0]!, 0))) return null;
  const units = unitsOf(alone);
  const { residentBytes } = await trial.memory();
  trial.resetPeak();
  for (const rows of COMPARED) {
    if (isLate()) return null;
    const from = rows === MAX_ROWS ? 0 : Math.floor(random() * (MAX_ROWS - rows + 1));
    const answers = await runJoined(trial, id, requests.slice(from, from + rows));
    const isRight = answers?.every((answer, index) => areSameAnswers(answer, alone[from + index]!, TOLERANCE, units));
    if (isRight !== true) return null;
  }
  const { peakBytes } = await trial.memory();
  if (peakBytes !== null && peakBytes - residentBytes > EXTRA_MEMORY * measured.memoryBytes) return null;
  const times = await timeInTurns(trial, id, requests, isLate);
  return times !== null && times[MAX_ROWS - 1]! <= WORTH * MAX_ROWS * times[0]! ? times : null;
}

/** False if the model was seen to take longer for rows than sharing could ever make up for, or could not be measured with so many. */
function isPromising({ runMs, runMsByRows }: Pick<ModelProfile, 'runMs' | 'runMsByRows'>): boolean {
  const jointMs = runMsByRows?.[MAX_ROWS - 1];
  return jointMs !== undefined && jointMs <= PROMISING * MAX_ROWS * runMs;
}

/** The answers of one run, row by row; null if it did not answer each row. */
async function runJoined(
  trial: Pick<Trial, 'run'>,
  id: string,
  requests: readonly (readonly Tensor[])[],
): Promise<readonly (readonly Tensor[])[] | null> {
  const { outputs } = await trial.run(id, joinInputs(requests));
  if (outputs.some(({ shape }) => shape[0] !== requests.length)) return null;
  return splitOutputs(
    outputs,
    requests.map(() => 1),
  );
}

/** The median times of runs of 1 to 8 rows, those that are not run on the line between; null if time runs out first. */
async function timeInTurns(
  trial: Pick<Trial, 'run'>,
  id: string,
  requests: readonly (readonly Tensor[])[],
  isLate: () => boolean,
): Promise<number[] | null> {
  const series = TIMED.map((rows) => ({ rows, inputs: joinInputs(requests.slice(0, rows)), times: [] as number[] }));
  const untilMs = performance.now() + ROUNDS_MS;
  for (let round = 0; round < ROUNDS && (round < LEAST_ROUNDS || performance.now() < untilMs); round++) {
    if (isLate()) {
      if (round < LEAST_ROUNDS) return null;
      break;
    }
    for (const { inputs, times } of series) times.push((await trial.run(id, inputs)).runMs);
  }
  return interpolate(series.map(({ rows, times }) => ({ rows, ms: median(times) })));
}
