// The buffers behind the parts of a message, to go with it to another thread.

/** The distinct buffers of these parts that are not empty. */
export function buffersOf(parts: readonly Uint8Array[]): ArrayBuffer[] {
  const buffers = new Set(parts.map(({ buffer }) => buffer as ArrayBuffer));
  return [...buffers].filter((buffer) => buffer.byteLength > 0);
}
