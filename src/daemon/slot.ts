// One device with what the daemon knows to be on it and under way there.

import type { Device } from '../devices/types.ts';
import type { Decision, SchedulerAction } from '../scheduling/types.ts';
import type { DeviceMeasurement, Runner } from '../workers/types.ts';
import type { LoadTier } from './observations.ts';
import type { Instances } from './side-by-side.ts';

type RunAction = Extract<SchedulerAction, { type: 'run' }>;

/** A model that is being loaded or is resident on one device. */
export interface Load {
  readonly startedAtMs: number;
  /** null while the load is under way. */
  endedAtMs: number | null;
  lastUsedAtMs: number;
  /** What the load took, until its first run has shown the rest of its price. */
  unpaidMs: number | null;
  tier: LoadTier;
  /** For runs side by side; null: it has none. */
  instances: Instances | null;
  /** Why it was loaded here, with what spoke for and against each device at that moment. */
  readonly decision: Decision | null;
}

/** One device with what is under way on it. */
export interface Slot {
  readonly device: Device;
  readonly runner: Runner;
  /** Runs under way: what is in doubt when the process dies. */
  readonly runs: Map<number, RunAction>;
  /** By model: loads under way and models resident. */
  readonly loads: Map<string, Load>;
  /** Told when the run under way ends, if another one was handed over behind it. */
  onRunEnd: (() => void) | null;
  /** Ends when instances that were given up have gone: a load in their place waits for it. */
  narrowing: Promise<unknown> | null;
  /** When a run last ended here: one that was handed over before began then. */
  lastRunEndedAtMs: number;
  measured: DeviceMeasurement | null;
}
