// Tensors of several requests as those of one run: inputs joined along axis 0, outputs split again.

import { GpufaasError } from './errors.ts';
import type { Tensor, TensorSpec } from './tensors.ts';

/** True if requests can be joined: a free first dimension everywhere, all others fixed, no strings. */
export function canBatch(model: {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}): boolean {
  const joinable = (spec: TensorSpec): boolean =>
    spec.shape[0] === -1 && spec.shape.slice(1).every((dimension) => dimension >= 0) && spec.datatype !== 'BYTES';
  return (
    model.inputs.length > 0 &&
    model.inputs.every(joinable) &&
    model.outputs.every((o) => o.shape[0] === -1 && o.datatype !== 'BYTES')
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

/** Splits outputs along axis 0 into one set per request, each with bytes of its own. */
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
