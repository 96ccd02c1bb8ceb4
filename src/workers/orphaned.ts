// What a worker does last when its daemon is gone: memory that is named by files belongs to no process, and would stay.

import { rmSync } from 'node:fs';

const parent = process.ppid;
/** A process's channels close a moment before its children get a new parent. */
const LOOKS = 40;
const PAUSE_MS = 5;

/** Removes the daemon's folder in memory if the daemon has ended; leaves it alone if only the channel was closed. */
export function sweepMemory(folder: string): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let look = 0; look < LOOKS && process.ppid === parent; look++) Atomics.wait(pause, 0, 0, PAUSE_MS);
  if (process.ppid !== parent) rmSync(folder, { recursive: true, force: true });
}
