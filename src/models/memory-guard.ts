// Keeps throwaway processes from taking more memory than a model may have: a limit set by the system for what comes all at
// once, and a watch on the resident set for what creeps.

import { freeMemory } from '../devices/host-memory.ts';
import { canLimitMemory, processBytes } from '../workers/native-process.ts';

/** Limits for one throwaway process, in bytes. */
export interface MemoryLimits {
  /** Growth of the resident set at which the process is killed. */
  readonly growthBytes: number;
  /** Private writable addresses after which allocations fail; absent where the system can't limit them. */
  readonly dataLimitBytes?: number;
}

// What an idle Node process with up to four threads maps without using it: measured 0.7 GB, and 0.5 GB a thread.
const NODE_DATA_BYTES = 3e9;
const SLACK_BYTES = 256e6;
const POLL_MS = 25;

/** Limits for a model whose budget is this: a load may pass twice its final size, but never most of what is free. */
export function memoryLimits(budgetBytes: number): MemoryLimits {
  const growthBytes = Math.max(budgetBytes + SLACK_BYTES, Math.min(2 * budgetBytes + SLACK_BYTES, 0.8 * freeMemory()));
  return canLimitMemory ? { growthBytes, dataLimitBytes: NODE_DATA_BYTES + growthBytes } : { growthBytes };
}

/** Calls `onExceeded` once when a process grows past the limit, counted from now; the returned function ends the watch. */
export function watchGrowth(pid: number, growthBytes: number, onExceeded: () => void): () => void {
  const startBytes = processBytes(pid, 'VmRSS');
  if (startBytes === null) return () => undefined;
  const timer = setInterval(() => {
    const bytes = processBytes(pid, 'VmRSS');
    if (bytes === null || bytes - startBytes <= growthBytes) return;
    clearInterval(timer);
    onExceeded();
  }, POLL_MS);
  return () => clearInterval(timer);
}
