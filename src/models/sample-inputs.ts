// Inputs for measuring a model that nobody has called yet: seeded values in a shape the model probably takes.

import { type Random, seededRandom } from '../random.ts';
import { DATATYPE_BYTES, type Datatype, elementCount, type Tensor, type TensorSpec } from '../tensors.ts';

/** What a free dimension other than the first may be, most likely first: a sequence, an image's side. */
export const FREE_SIZES = [1, 16, 64, 224] as const;

/** True if the first dimension of every input and output is free: the model may have a batch axis. */
export function mayBatch(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[]): boolean {
  return inputs.length > 0 && [...inputs, ...outputs].every(({ shape }) => shape[0] === -1);
}

/** True if `freeSize` makes a difference to these inputs. */
export function hasFreeSizes(inputs: readonly TensorSpec[]): boolean {
  return inputs.some(({ shape }) => shape.slice(1).includes(-1));
}

const filledShape = (shape: readonly number[], rows: number, freeSize: number): number[] =>
  shape.map((size, axis) => (size >= 0 ? size : axis === 0 ? rows : freeSize));

/** Bytes of the inputs that `sampleInputs` would make; strings have one letter each. */
export function sampleBytes(inputs: readonly TensorSpec[], rows: number, freeSize: number): number {
  let bytes = 0;
  for (const { datatype, shape } of inputs) {
    bytes += elementCount(filledShape(shape, rows, freeSize)) * (datatype === 'BYTES' ? 5 : DATATYPE_BYTES[datatype]);
  }
  return bytes;
}

/** One tensor for each input: `rows` where the first dimension is free, `freeSize` where another is. */
export function sampleInputs(
  inputs: readonly TensorSpec[],
  rows: number,
  freeSize: number,
  random: Random = seededRandom(1),
): Tensor[] {
  return inputs.map(({ name, datatype, shape }) => {
    const filled = filledShape(shape, rows, freeSize);
    return { name, datatype, shape: filled, data: values(datatype, elementCount(filled), random) };
  });
}

/** Inputs of one row as inputs of so many equal rows. */
export function repeatRows(inputs: readonly Tensor[], rows: number): Tensor[] {
  if (rows === 1) return [...inputs];
  return inputs.map((input) => {
    const data = new Uint8Array(rows * input.data.byteLength);
    for (let row = 0; row < rows; row++) data.set(input.data, row * input.data.byteLength);
    return { ...input, shape: [rows, ...input.shape.slice(1)], data };
  });
}

/** Floats in [0, 1); whole numbers 0 and 1, which any table of indices has; strings of one letter. */
function values(datatype: Datatype, count: number, random: Random): Uint8Array {
  switch (datatype) {
    case 'FP32':
      return new Uint8Array(Float32Array.from({ length: count }, random).buffer);
    case 'FP64':
      return new Uint8Array(Float64Array.from({ length: count }, random).buffer);
    case 'FP16':
      // 0x3800 is 0.5, 0x3bff just below 1.
      return new Uint8Array(Uint16Array.from({ length: count }, () => 0x3800 + Math.floor(random() * 0x400)).buffer);
    case 'BYTES': {
      const bytes = new Uint8Array(count * 5);
      for (let i = 0; i < count; i++) bytes.set([1, 0, 0, 0, 97], i * 5);
      return bytes;
    }
    default: {
      const width = DATATYPE_BYTES[datatype];
      const bytes = new Uint8Array(count * width);
      for (let i = 0; i < count; i++) bytes[i * width] = random() < 0.5 ? 0 : 1;
      return bytes;
    }
  }
}
