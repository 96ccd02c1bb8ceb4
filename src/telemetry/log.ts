// The daemon's own log: JSON lines, to a file of bounded size that rotates by itself or to the standard error. A line is
// on its way to the disk when the call returns, so a crash loses none; a full disk costs lines, never the daemon.

import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';

/** What the parts of the daemon log with. */
export type Log = Logger;

/** Where the lines go. */
export type LogTarget =
  | { readonly stderr: true }
  | {
      readonly folder: string;
      /** A file that has reached this size is set aside (default 10 MB). */
      readonly maxBytes?: number;
      /** Files set aside that are kept (default 3). */
      readonly keep?: number;
    };

/** The name of the current file in the log folder; those set aside end in `.1`, `.2`, and so on. */
export const LOG_FILE = 'daemon.log';

const MAX_BYTES = 10_000_000;
const KEEP = 3;
/** Of lines for the standard error. */
const MAX_WAITING_BYTES = 1_000_000;

/** Makes the daemon's logger; GPUFAAS_DEBUG=1 in the environment adds debug lines. */
export function createLog(target: LogTarget, environment: NodeJS.ProcessEnv = process.env): Log {
  const options = {
    level: environment['GPUFAAS_DEBUG'] === '1' ? 'debug' : 'info',
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if ('stderr' in target) return pino(options, standardError());
  return pino(options, new RotatingFile(target.folder, target.maxBytes ?? MAX_BYTES, target.keep ?? KEEP));
}

/** Lines that can't be written wait for a full disk, up to a limit; for a terminal that was closed they wait in vain. */
function standardError(): DestinationStream {
  const destination = pino.destination({ fd: 2, sync: true, maxLength: MAX_WAITING_BYTES });
  // Without a listener the error would be thrown at whoever logs, and end the daemon.
  destination.on('error', () => undefined);
  return destination;
}

/** Appends to one file and sets it aside when it is full. */
class RotatingFile {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #keep: number;
  #fd: number | null = null;
  #bytes = 0;

  constructor(folder: string, maxBytes: number, keep: number) {
    this.#path = join(folder, LOG_FILE);
    this.#maxBytes = maxBytes;
    this.#keep = keep;
  }

  write(line: string): void {
    try {
      const bytes = Buffer.byteLength(line);
      if (this.#fd !== null && this.#bytes > 0 && this.#bytes + bytes > this.#maxBytes) this.#rotate();
      this.#fd ??= this.#open();
      writeSync(this.#fd, line);
      this.#bytes += bytes;
    } catch {
      // A log that can't be written must not take the daemon down; the next line tries again.
      this.#close();
    }
  }

  #open(): number {
    const fd = openSync(this.#path, 'a', 0o600);
    this.#bytes = fstatSync(fd).size;
    if (this.#bytes < this.#maxBytes) return fd;
    this.#fd = fd;
    this.#rotate();
    this.#bytes = 0;
    return openSync(this.#path, 'a', 0o600);
  }

  #rotate(): void {
    this.#close();
    for (let index = this.#keep; index >= 1; index--) {
      try {
        renameSync(index === 1 ? this.#path : `${this.#path}.${index - 1}`, `${this.#path}.${index}`);
      } catch {
        // Not there yet.
      }
    }
  }

  #close(): void {
    if (this.#fd === null) return;
    try {
      closeSync(this.#fd);
    } finally {
      this.#fd = null;
    }
  }
}
