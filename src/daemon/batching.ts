// The mechanics of a batch: inputs of several requests joined along axis 0, outputs split again.

import { GpufaasError } from '../errors.ts';
import type { Tensor } from '../tensors.ts';

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
      sets[index]!.push({
        ...output,
        shape: [count, ...output.shape.slice(1)],
        data: output.data.subarray(offset, offset + count * rowBytes),
      });
      offset += count * rowBytes;
    }
  }
  return sets;
}
