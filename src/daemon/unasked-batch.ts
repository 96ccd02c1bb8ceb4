// Batches that nobody asked for. Deploy saw that the model answers each row as it does alone, of inputs made up; so now and then one
// answer of a batch is compared with what its request gets alone, and where they differ all run alone.

import { GpufaasError } from '../errors.ts';
import { areSameAnswers, unitsOf } from '../models/same-answers.ts';
import type { Runner } from '../workers/types.ts';
import { type BatchAnswer, runAlone, runBatch } from './batching.ts';
import type { Pending } from './pending.ts';

/** Batches of a model that are all checked, and then one of so many. */
const FIRST = 3;
const EVERY = 500;
/** The largest |difference| / max(unit, |y|) that is taken for rounding; the unit is the largest number of the output, at most 1. */
const TOLERANCE = 1e-4;

/** Why a model should not be batched. */
export type BatchFault = 'the answers differ' | 'they do not run together' | 'the worker died of it twice';

/** What became of a batch; `fault`: the model should not be batched. */
export interface UnaskedBatch {
  readonly answers: BatchAnswer[];
  readonly fault: BatchFault | null;
}

/** Runs a batch that is the model's `number`th (from 0), each request with the right answer. Throws WORKER_DIED alone. */
export async function runUnasked(
  runner: Pick<Runner, 'run'>,
  model: string,
  members: readonly Pick<Pending, 'request'>[],
  number: number,
): Promise<UnaskedBatch> {
  const { answers, failedTogether } = await runBatch(runner, model, members);
  if (failedTogether) return { answers, fault: 'they do not run together' };
  const check = number < FIRST ? number : FIRST + number / EVERY;
  const joint = Array.from(answers.entries()).filter(([, answer]) => 'shared' in answer);
  if (!Number.isInteger(check) || joint.length === 0) return { answers, fault: null };
  // Another place each time: what one row leaks to another may not show in both.
  const [index] = joint[check % joint.length]!;
  const alone = await runAlone(runner, model, members[index]!.request.inputs);
  if (alone instanceof GpufaasError || isSame(answers, index, alone)) return { answers, fault: null };
  const right: BatchAnswer[] = [];
  for (const [place, { request }] of members.entries()) {
    right.push(place === index ? alone : await runAlone(runner, model, request.inputs));
  }
  return { answers: right, fault: 'the answers differ' };
}

function isSame(answers: readonly BatchAnswer[], index: number, alone: Exclude<BatchAnswer, GpufaasError>): boolean {
  const outputs = answers.flatMap((answer) => (answer instanceof GpufaasError ? [] : [answer.outputs]));
  const answer = answers[index]!;
  return answer instanceof GpufaasError || areSameAnswers(answer.outputs, alone.outputs, TOLERANCE, unitsOf(outputs));
}
