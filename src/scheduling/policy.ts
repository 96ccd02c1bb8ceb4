// What a policy is: a name and a way to make an instance over a pool. An instance places waiting requests by the pool's
// verbs; everything else (evictions on the way, local queues, failures, bounds) is the core's.

import type { Pool } from './pool.ts';
import type { PoolWatcher } from './watcher.ts';
import type { ModelState } from './state.ts';
import type { SchedulerOptions } from './types.ts';

/** A way to choose where requests run; stateless, so that one object may serve many schedulers. */
export interface Policy {
  readonly name: string;
  /** True if its loads may go on beside runs where the device allows it. */
  overlaps?(options: SchedulerOptions): boolean;
  /** True if it lets requests share runs: then models may be batched that nobody asked it for. */
  batches?(options: SchedulerOptions): boolean;
  create(pool: Pool, options: SchedulerOptions): PolicyInstance;
}

/** A policy at work on one pool. Only `place` may call the pool's verbs. */
export interface PolicyInstance extends PoolWatcher {
  /** Dispatches, binds, loads or leaves waiting, as it sees fit, until nothing more is to be done at this instant. */
  place(nowMs: number): void;
  /** A model was registered. */
  modelAdded?(model: ModelState): void;
  /** The number of devices that are there changed. */
  devicesChanged?(present: number): void;
  /** An invocation arrived that will probably run this model soon. */
  hinted?(model: ModelState): void;
  /** The next time `place` wants to be called although nothing happened, or null. */
  nextWakeMs?(): number | null;
}
