// Gives the bytes of tensors back now instead of at some later garbage collection, so that a worker's resident set is
// that of its models and not of its traffic.

import { freeBuffer } from '../free-buffer.ts';
import type { Tensor } from '../tensors.ts';

/** Detaches and frees the buffers of these tensors; whoever still holds one sees it empty. */
export function freeBytes(tensors: readonly Tensor[]): void {
  for (const { data } of tensors) freeBuffer(data);
}

/** The distinct buffers of these tensors, to be transferred with them. */
export function buffersOf(tensors: readonly Tensor[]): ArrayBuffer[] {
  const buffers = new Set(tensors.map(({ data }) => data.buffer as ArrayBuffer));
  return [...buffers].filter((buffer) => buffer.byteLength > 0);
}
