// The mechanics of a batch: inputs of several requests joined along axis 0, outputs split again. Whatever is wrong with one
// request, the others get their own answers.

import { GpufaasError, toGpufaasError } from '../errors.ts';
import { DATATYPE_BYTES, elementCount, type Tensor } from '../tensors.ts';
import type { Runner, RunResult } from '../workers/types.ts';
import type { Pending } from './pending.ts';

/** What one member of a batch gets. */
export type BatchAnswer =
  | (Pick<RunResult, 'outputs' | 'runMs'> & {
      /** Of the joint run that gave it; absent: it ran by itself. */
      readonly rows?: number;
    })
  | GpufaasError;

/**
 * Runs several requests together where their tensors allow it, the others by themselves; answers in their order. Where a joint
 * run fails, each runs by itself. Throws WORKER_DIED alone.
 */
export async function runBatch(
  runner: Pick<Runner, 'run'>,
  model: string,
  members: readonly Pick<Pending, 'request'>[],
): Promise<BatchAnswer[]> {
  const groups = Map.groupBy(members.keys(), (index) => {
    const { inputs, rows } = members[index]!.request;
    return canJoin(inputs, rows) ? batchKey(inputs) : index;
  });
  const answers: BatchAnswer[] = [];
  for (const group of groups.values()) {
    const joint = group.length > 1 ? await runJoined(runner, model, members, group) : null;
    for (const [place, index] of group.entries()) {
      answers[index] = joint?.[place] ?? (await runAlone(runner, model, members[index]!.request.inputs));
    }
  }
  return answers;
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
    const total = rows.reduce((sum, count) => sum + count, 0);
    return splitOutputs(outputs, rows).map((set) => ({ outputs: set, runMs, rows: total }));
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

/**
 * The key under which requests can share a batch: names, datatypes and all dimensions but the first. Requests with
 * different keys must not be joined.
 */
export function batchKey(inputs: readonly Tensor[]): string {
  return inputs
    .map((tensor) => `${tensor.name}:${tensor.datatype}:${tensor.shape.slice(1).join('x')}`)
    .sort()
    .join('|');
}

/** Joins the inputs of several requests along axis 0; all must have the same batch key. */
export function joinInputs(requests: readonly (readonly Tensor[])[]): Tensor[] {
  const first = requests[0]!;
  const key = batchKey(first);
  if (requests.some((inputs) => batchKey(inputs) !== key)) {
    throw new GpufaasError('BAD_TENSOR', 'Requests of different shapes can not share a batch.');
  }
  return first.map((pattern) => {
    const parts = requests.map((inputs) => inputs.find((tensor) => tensor.name === pattern.name)!);
    const bytes = parts.reduce((sum, part) => sum + part.data.byteLength, 0);
    const data = new Uint8Array(bytes);
    let offset = 0;
    let rows = 0;
    for (const part of parts) {
      data.set(part.data, offset);
      offset += part.data.byteLength;
      rows += part.shape[0]!;
    }
    return { name: pattern.name, datatype: pattern.datatype, shape: [rows, ...pattern.shape.slice(1)], data };
  });
}

/** Splits outputs along axis 0 into one set per request, as views of the same bytes. */
export function splitOutputs(outputs: readonly Tensor[], rows: readonly number[]): Tensor[][] {
  const total = rows.reduce((sum, count) => sum + count, 0);
  const sets: Tensor[][] = rows.map(() => []);
  for (const output of outputs) {
    if (output.shape[0] !== total || output.datatype === 'BYTES') {
      throw new GpufaasError(
        'BAD_MODEL',
        `Output "${output.name}" has no batch axis; switch batching off for this model.`,
      );
    }
    const rowBytes = output.data.byteLength / total;
    let offset = 0;
    for (const [index, count] of rows.entries()) {
      const part = output.data.subarray(offset, offset + count * rowBytes);
      sets[index]!.push({
        ...output,
        shape: [count, ...output.shape.slice(1)],
        // Bytes of their own: whoever is answered first gives the buffer of its answer back while the others' is being sent.
        data: rows.length === 1 ? part : part.slice(),
      });
      offset += count * rowBytes;
    }
  }
  return sets;
}
