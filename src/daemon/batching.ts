// Several requests in one run: whatever is wrong with one of them, the others get their own answers.

import { GpufaasError, toGpufaasError } from '../errors.ts';
import { batchKey, joinInputs, splitOutputs } from '../joined-tensors.ts';
import { DATATYPE_BYTES, elementCount, type Tensor } from '../tensors.ts';
import type { Runner, RunResult } from '../workers/types.ts';
import type { Pending } from './pending.ts';

/** What one member of a batch gets. */
export type BatchAnswer =
  | (Pick<RunResult, 'outputs' | 'runMs'> & {
      /** The run that gave it, if it was shared: all its rows, and of how many requests. */
      readonly shared?: { readonly rows: number; readonly requests: number; readonly isFirst: boolean };
    })
  | GpufaasError;

/** What became of several requests, in their order. */
export interface Batch {
  readonly answers: BatchAnswer[];
  /** A joint run failed all whose requests ran well by themselves. */
  readonly failedTogether: boolean;
}

/**
 * Runs several requests together where their tensors allow it, the others by themselves. Where a joint run fails, each runs by
 * itself. Throws WORKER_DIED alone.
 */
export async function runBatch(
  runner: Pick<Runner, 'run'>,
  model: string,
  members: readonly Pick<Pending, 'request'>[],
): Promise<Batch> {
  const groups = Map.groupBy(members.keys(), (index) => {
    const { inputs, rows } = members[index]!.request;
    return canJoin(inputs, rows) ? batchKey(inputs) : index;
  });
  const answers: BatchAnswer[] = [];
  let failedTogether = false;
  for (const group of groups.values()) {
    const joint = group.length > 1 ? await runJoined(runner, model, members, group) : null;
    for (const [place, index] of group.entries()) {
      answers[index] = joint?.[place] ?? (await runAlone(runner, model, members[index]!.request.inputs));
    }
    if (joint === null && group.length > 1) {
      failedTogether ||= group.every((index) => !(answers[index] instanceof GpufaasError));
    }
  }
  return { answers, failedTogether };
}

/** null if the joint run failed for a reason that may lie with one of them. */
async function runJoined(
  runner: Pick<Runner, 'run'>,
  model: string,
  members: readonly Pick<Pending, 'request'>[],
  group: readonly number[],
): Promise<BatchAnswer[] | null> {
  const requests = group.map((index) => members[index]!.request);
  try {
    const { outputs, runMs } = await runner.run(model, joinInputs(requests.map(({ inputs }) => inputs)));
    const rows = requests.map((request) => request.rows);
    const shared = { rows: rows.reduce((sum, count) => sum + count, 0), requests: requests.length };
    return splitOutputs(outputs, rows).map((set, index) => ({
      outputs: set,
      runMs,
      shared: { ...shared, isFirst: index === 0 },
    }));
  } catch (thrown) {
    if (toGpufaasError(thrown).code === 'WORKER_DIED') throw thrown;
    return null;
  }
}

/** A run of one request; its error is its answer. Throws WORKER_DIED alone. */
export async function runAlone(
  runner: Pick<Runner, 'run'>,
  model: string,
  inputs: readonly Tensor[],
): Promise<BatchAnswer> {
  try {
    return await runner.run(model, inputs);
  } catch (thrown) {
    const error = toGpufaasError(thrown);
    if (error.code === 'WORKER_DIED') throw error;
    return error;
  }
}

/** True if every input has as many rows as the request and the bytes that its shape asks for: joined, nothing can shift. */
function canJoin(inputs: readonly Tensor[], rows: number): boolean {
  return inputs.every(
    ({ datatype, shape, data }) =>
      datatype !== 'BYTES' &&
      shape[0] === rows &&
      data.byteLength === elementCount(shape) * (DATATYPE_BYTES[datatype] ?? Number.NaN),
  );
}
