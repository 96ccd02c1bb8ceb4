// Random access to the bytes of a model, in memory or in a file. A file is read through one small window, so that
// weights which are skipped are never brought into memory.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Bytes that can be read at any place. Reads outside of `size` throw a RangeError. */
export interface ByteSource {
  readonly size: number;
  /** One byte. */
  byte(at: number): number;
  /** A copy of `length` bytes from `at`. */
  bytes(at: number, length: number): Uint8Array;
}

// Large enough that a graph's nodes come in a few reads, small enough that hopping over 1,000 tensors costs 16 MB.
const WINDOW_BYTES = 16 * 1024;

/** A source over bytes that are in memory already. */
export function memorySource(content: Uint8Array): ByteSource {
  return {
    size: content.length,
    byte(at) {
      const value = content[at];
      if (value === undefined) throw new RangeError(`No byte at ${at}.`);
      return value;
    },
    bytes(at, length) {
      if (at < 0 || length < 0 || at + length > content.length) throw new RangeError(`No ${length} bytes at ${at}.`);
      return content.slice(at, at + length);
    },
  };
}

/** Opens a file for the length of `use`; throws what the file system throws. */
export function withFileSource<T>(path: string, use: (source: ByteSource) => T): T {
  const file = openSync(path, 'r');
  try {
    return use(fileSource(file));
  } finally {
    closeSync(file);
  }
}

function fileSource(file: number): ByteSource {
  const { size } = fstatSync(file);
  const window = new Uint8Array(WINDOW_BYTES);
  let start = 0;
  let end = 0;
  const fill = (at: number): void => {
    start = at;
    end = at + readSync(file, window, 0, WINDOW_BYTES, at);
    if (end <= at) throw new RangeError(`No byte at ${at}.`);
  };
  return {
    size,
    byte(at) {
      if (at < start || at >= end) fill(at);
      return window[at - start]!;
    },
    bytes(at, length) {
      if (at < 0 || length < 0 || at + length > size) throw new RangeError(`No ${length} bytes at ${at}.`);
      const content = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const read = readSync(file, content, done, length - done, at + done);
        if (read === 0) throw new RangeError(`No ${length} bytes at ${at}.`);
        done += read;
      }
      return content;
    },
  };
}
