// Tensors as they travel through the system: raw little-endian bytes with a shape, in the Open Inference Protocol's
// words. Nothing here parses or copies numbers. Imports nothing.

/** Bytes per element of each fixed-width datatype of the Open Inference Protocol v2. */
export const DATATYPE_BYTES = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  FP32: 4,
  FP64: 8,
  BF16: 2,
} as const;

/** `BYTES` holds strings: each element is a 4-byte little-endian length and that many bytes, as in the protocol. */
export type Datatype = keyof typeof DATATYPE_BYTES | 'BYTES';

/**
 * One named tensor. `data` holds the elements in row-major order, little endian; for BYTES the length-prefixed
 * elements. `data` may be a view of a larger buffer and need not be aligned.
 */
export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** One input or output as a model declares it; a dimension of -1 is free. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** The number of elements of a shape; a scalar (empty shape) has one. */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}
