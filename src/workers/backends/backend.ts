// What a backend is: the one interface through which a worker makes models resident and runs them.

import type { Device } from '../../devices/types.ts';
import type { Tensor, TensorSpec } from '../../tensors.ts';
import type { LoadableModel } from '../types.ts';

/** One model made resident. Its methods are never called while another of them is under way. */
export interface LoadedModel {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** How long the load took, where the device keeps a time of its own (emulated); else it is measured from outside. */
  readonly loadMs?: number;
  /** Inputs were checked against the signature. Throws GpufaasError: BAD_TENSOR, OUT_OF_MEMORY, WORKER_DIED. */
  run(inputs: readonly Tensor[]): Promise<{ readonly outputs: Tensor[]; readonly runMs: number }>;
  /** Gives the memory back; nothing is called after it. */
  release(): Promise<void>;
  /** Absent: it stays as it was loaded. */
  readonly reload?: Reload;
}

/** A resident model can be loaded once more in another way, at the price of a load. */
export interface Reload {
  /** So many runs lose as much as it takes to pack its weights, which are packed anew for each run; absent: they are packed, or better not. */
  readonly packAfterRuns?: number;
  /** True if its threads may be left to spin after each run: there are some, and nobody asked for anything else. */
  readonly canSpin: boolean;
  /** Loads it with what is to be different; if that fails everything is as before. Called between runs. */
  change(what: Partial<Manner>): Promise<void>;
}

/** In which way a model is resident. */
export interface Manner {
  /** Its weights are packed. */
  readonly packed: boolean;
  /** Its threads spin for `SPIN_US` after each run: they take cores, and have no need to be woken if the next one comes soon. */
  readonly spins: boolean;
}

/** How long threads spin that wait for the next run, in microseconds: longer than a caller who sends one after the other takes in between. */
export const SPIN_US = 2_000;

/** Makes models resident on one device. A blocking backend lives in the model's own thread, one instance in each. */
export interface Backend {
  /** Loads whatever the first model would otherwise wait for, and proves that the device works. Throws NO_DEVICE. */
  warmUp(): Promise<void>;
  /** Runs use `threads` threads, or as many as the device gives one session. Throws GpufaasError: BAD_MODEL, OUT_OF_MEMORY, NO_DEVICE. */
  load(model: LoadableModel, threads?: number): Promise<LoadedModel>;
  /** The device's memory where the backend itself accounts it (emulated). */
  memory?(): { readonly totalBytes: number; readonly freeBytes: number };
}

/** A module of a backend exports this under the name `createBackend`. */
export type CreateBackend = (device: Device) => Backend | Promise<Backend>;
