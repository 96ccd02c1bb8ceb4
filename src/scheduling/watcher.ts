// What a policy is told of the pool, for books of its own.

import type { Copy, DeviceState, RequestState } from './state.ts';

/** Told of what the books of a policy may depend on. */
export interface PoolWatcher {
  /** A request joined the global queue; `returned` if a failure put it back. */
  queued?(request: RequestState): void;
  /** A request left the global queue, whatever became of it. */
  left?(request: RequestState): void;
  /** A load of the copy started. */
  copyAdded?(copy: Copy): void;
  /** The copy is gone: evicted, failed to load, or lost with its device. */
  copyRemoved?(copy: Copy): void;
  /** A run or a load started on the device. */
  deviceStarted?(device: DeviceState): void;
  /** Something on the device ended, so that it may run or load now, or it was lost. */
  deviceChanged?(device: DeviceState): void;
}
