// Batches that nobody asked for. Deploy saw that the model answers each row as it does alone, of inputs made up; so now and then one
// answer of a batch is compared with what its request gets alone, and where they differ all run alone.

import { GpufaasError } from '../errors.ts';
import { areSameAnswers } from '../models/same-answers.ts';
import type { Runner } from '../workers/types.ts';
import { type BatchAnswer, runAlone, runBatch } from './batching.ts';
import type { Pending } from './pending.ts';

/** Batches of a model that are all checked, and then one of so many. */
const FIRST = 3;
const EVERY = 500;
/** The largest |difference| / max(1, |y|) that is taken for rounding. */
const TOLERANCE = 1e-4;

/** What became of a batch; `fault`: the model should not be batched. */
export interface UnaskedBatch {
  readonly answers: BatchAnswer[];
  readonly fault: 'the answers differ' | 'they do not run together' | null;
}

/** Runs a batch that is the model's `number`th (from 0), each request with the right answer. Throws WORKER_DIED alone. */
export async function runUnasked(
  runner: Pick<Runner, 'run'>,
  model: string,
  members: readonly Pick<Pending, 'request'>[],
  number: number,
): Promise<UnaskedBatch> {
  const answers = await runBatch(runner, model, members);
  const good = Array.from(answers.entries()).filter(([, answer]) => !(answer instanceof GpufaasError));
  const joint = good.filter(([, answer]) => 'shared' in answer);
  if (joint.length === 0) return { answers, fault: good.length > 1 ? 'they do not run together' : null };
  if (number >= FIRST && number % EVERY !== 0) return { answers, fault: null };
  const [index, answer] = joint[number % joint.length]!;
  const alone = await runAlone(runner, model, members[index]!.request.inputs);
  if (alone instanceof GpufaasError || answer instanceof GpufaasError) return { answers, fault: null };
  if (areSameAnswers(answer.outputs, alone.outputs, TOLERANCE)) return { answers, fault: null };
  const right: BatchAnswer[] = [];
  for (const { request } of members) right.push(await runAlone(runner, model, request.inputs));
  return { answers: right, fault: 'the answers differ' };
}
