// What a simulation is made of: devices, a workload that can be read many times, and someone who watches.

import type { ModelSpec } from '../scheduling/types.ts';

/** Arrivals in order of time; times in whole milliseconds from the start. Valid until the next chunk is asked for. */
export interface ArrivalChunk {
  readonly count: number;
  readonly atMs: Float64Array;
  /** Index into the workload's models. */
  readonly model: Int32Array;
}

/** A workload: models known before the run, and requests that arrive one after the other. The same each time it is read. */
export interface Workload {
  readonly models: readonly ModelSpec[];
  /** How many arrivals there will be. */
  readonly requests: number;
  /** How many functions (each with its model) can be asked for. */
  readonly workingSet: number;
  /** Row of the input that each request stands for, where that is not its own number (an unsorted request list). */
  readonly rows?: Int32Array;
  arrivals(): Iterable<ArrivalChunk>;
}

/** One device of a simulation. */
export interface SimulatedDevice {
  readonly id: string;
  readonly memoryBytes: number;
  /** A load may go on beside a run. */
  readonly overlap: boolean;
}

/** Who is told of each thing a device does, in order of time; all indices zero-based, times in milliseconds. */
export interface Observer {
  load(device: number, model: number, request: number | null, startMs: number, endMs: number): void;
  run(device: number, model: number, requests: readonly number[], startMs: number, endMs: number): void;
  evict(device: number, model: number, atMs: number): void;
}
