// Memory that the daemon shares with one worker process, for tensors too large for a socket: a file in memory without a name, whose
// descriptor the process inherits. It has slots. The daemon alone gives them out, one for a run: it writes the inputs
// there, the worker reads them, then writes the outputs over them if they fit. A socket takes a few hundred kilobytes in several rounds,
// each of which wakes both sides; this is one copy in and one copy out. Linux only; elsewhere everything travels in frames.

import { closeSync, constants, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { GpufaasError } from '../errors.ts';
import { newCallId } from '../random.ts';

/** The stdio slot in which a worker inherits its window. */
export const WINDOW_FD = 4;
/** What one slot holds, in bytes: a batch of eight pictures of 224 x 224 and some. Pages are only taken as they are written. */
export const SLOT_BYTES = 8 * 2 ** 20;
/** Less than this travels in the frame, in bytes: it arrives with the message anyway. */
export const LEAST_PLACED_BYTES = 16 * 2 ** 10;
/**
 * Left free before what is read. The allocator's large blocks begin 16 bytes into a page, and copying pages to there takes some AMD
 * processors ten times as long as to anywhere else (their `rep movsb`).
 */
export const LEAD_BYTES = 64;
const SLOTS = 8;
const FOLDER = '/dev/shm';

const align8 = (bytes: number): number => Math.ceil(bytes / 8) * 8;

/** What these parts take, one after the other, each from a multiple of 8 bytes on. */
export function placedBytes(lengths: readonly number[]): number {
  let bytes = 0;
  for (const length of lengths) bytes += align8(length);
  return bytes;
}

/** The same of the parts themselves. */
export function bytesToPlace(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const part of parts) bytes += align8(part.byteLength);
  return bytes;
}

/** Writes parts one after the other from `offset` on; null if the system has no room for them. */
export function writeParts(fd: number, offset: number, parts: readonly Uint8Array[]): number[] | null {
  const lengths: number[] = [];
  let at = offset;
  for (const part of parts) {
    try {
      if (part.byteLength > 0 && writeSync(fd, part, 0, part.byteLength, at) !== part.byteLength) return null;
    } catch {
      return null;
    }
    lengths.push(part.byteLength);
    at += align8(part.byteLength);
  }
  return lengths;
}

/**
 * Reads parts of these lengths from `offset` on into `target`, which holds `LEAD_BYTES` more than they take; the parts are
 * views of it.
 */
export function readParts(fd: number, offset: number, lengths: readonly number[], target: ArrayBuffer): Uint8Array[] {
  const bytes = placedBytes(lengths);
  const whole = new Uint8Array(target, LEAD_BYTES, bytes);
  for (let got = 0; got < bytes;) {
    const more = readSync(fd, whole, got, bytes - got, offset + got);
    // The end of the file: what follows the last part's last byte was never written.
    if (more === 0) break;
    got += more;
  }
  const parts: Uint8Array[] = [];
  let at = LEAD_BYTES;
  for (const length of lengths) {
    parts.push(new Uint8Array(target, at, length));
    at += align8(length);
  }
  return parts;
}

/** The daemon's side: gives out slots, named by their offset. */
export class PayloadWindow {
  readonly fd: number;
  /** The slot given back last is given out first: its pages are there already. */
  readonly #free: number[];
  #closed = false;

  private constructor(fd: number) {
    this.fd = fd;
    this.#free = Array.from({ length: SLOTS }, (_, index) => (SLOTS - 1 - index) * SLOT_BYTES);
  }

  /** A new window; null where the system has no files in memory. */
  static open(): PayloadWindow | null {
    if (process.platform !== 'linux') return null;
    const path = `${FOLDER}/gpufaas-${newCallId()}`;
    try {
      const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
      unlinkSync(path);
      return new PayloadWindow(fd);
    } catch {
      return null;
    }
  }

  /** A slot for a run that will place so many bytes; null if it is too small, too large, or none is free. */
  take(bytes: number): number | null {
    if (this.#closed || bytes < LEAST_PLACED_BYTES || bytes > SLOT_BYTES) return null;
    return this.#free.pop() ?? null;
  }

  give(slot: number): void {
    this.#free.push(slot);
  }

  /** Places parts in a slot; null if they are too few to be worth it, too many, or the system has no room. */
  write(slot: number, parts: readonly Uint8Array[]): number[] | null {
    return fitsSlot(parts) && !this.#closed ? writeParts(this.fd, slot, parts) : null;
  }

  /** The parts that the worker placed in a slot, in a buffer of their own. Throws WORKER_DIED if they can't be there. */
  read(slot: number, lengths: readonly number[]): Uint8Array[] {
    const bytes = placedBytes(lengths);
    // From the other process: believed only as far as it can be true.
    if (this.#closed || !(bytes <= SLOT_BYTES)) {
      throw new GpufaasError('WORKER_DIED', 'What the worker placed in its window is not there.');
    }
    return readParts(this.fd, slot, lengths, Buffer.allocUnsafeSlow(LEAD_BYTES + bytes).buffer as ArrayBuffer);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.fd);
  }
}

/** True if parts are large enough for a slot to pay and small enough for it to hold them. */
export function fitsSlot(parts: readonly Uint8Array[]): boolean {
  const bytes = bytesToPlace(parts);
  return bytes >= LEAST_PLACED_BYTES && bytes <= SLOT_BYTES;
}
