// Gives large buffers back at once. Left to the garbage collector they add up until it runs, and then it costs more than
// the work they were for: a request of 600 kB spent most of its time there. Imports nothing.

/**
 * Frees the whole buffer under a view that nobody reads any more; whoever still holds one sees it empty. A small one is not worth the
 * call.
 */
export function freeBuffer({ buffer }: ArrayBufferView): void {
  if (buffer.byteLength >= LEAST_BYTES && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** The same for a chunk of a stream, and only if it has its buffer to itself: small ones share theirs. */
export function freeChunk(chunk: Uint8Array): void {
  if (chunk.byteLength === chunk.buffer.byteLength) freeBuffer(chunk);
}

/** A smaller buffer may come from a shared pool. */
const LEAST_BYTES = 16_384;
