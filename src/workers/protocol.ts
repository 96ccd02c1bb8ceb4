// The messages between a runner (in the daemon) and its worker process; tensors travel as parts beside them.

import type { Device } from '../devices/types.ts';
import { type ErrorCode, GpufaasError, isErrorCode } from '../errors.ts';
import type { Datatype, Tensor } from '../tensors.ts';
import type { EvictResult, LoadableModel, LoadResult } from './types.ts';

/** What a worker needs to connect its threads. */
export interface LaneAddress {
  readonly path: string;
  readonly secret: string;
}

/** What a worker process is told by its environment, as JSON in `WORKER_VARIABLE`. */
export interface WorkerConfig {
  readonly device: Device;
  /** Where the threads of models connect to the daemon; absent: all goes through the worker's main thread. */
  readonly lanes?: LaneAddress;
  /** URL of a module that exports `createBackend`, instead of the device's own (fixtures). */
  readonly backend?: string;
  /** A folder in memory that belongs to the daemon: to be removed if the daemon ends without doing so. */
  readonly memoryFolder?: string;
}

/** The environment variable that carries the `WorkerConfig`. */
export const WORKER_VARIABLE = 'GPUFAAS_WORKER';

/** How a worker exits that can't go on and said why on its stderr. */
export const GAVE_UP_EXIT_CODE = 70;

/** A tensor without its bytes; the part with the same index holds them. */
export interface TensorHead {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** An error as it crosses a process or thread. */
export interface ErrorMessage {
  readonly code: ErrorCode;
  readonly message: string;
  readonly suggestions: readonly string[];
}

/** Resident set of the worker as it sees itself, and its device's memory if it accounts that (emulated). */
export interface WorkerMemory {
  readonly rssBytes: number;
  readonly emptyRssBytes: number;
  readonly deviceTotalBytes: number | null;
  readonly deviceFreeBytes: number | null;
  /** No thread is about to start: what is measured now is what stays. */
  readonly settled: boolean;
}

/**
 * What the daemon asks. `call` numbers the answers. A run's tensors are the parts of its frame, or lie in its `slot` of the
 * window with the lengths in `placed`. Runs come on the main channel or on the lane of the model's thread.
 */
export type ToWorker =
  | { readonly type: 'load'; readonly call: number; readonly model: LoadableModel }
  | { readonly type: 'evict'; readonly call: number; readonly model: string }
  | {
      readonly type: 'run';
      readonly call: number;
      readonly model: string;
      /** Which of its instances runs it; null: the one for runs alone. */
      readonly instance: number | null;
      readonly inputs: readonly TensorHead[];
      readonly slot: number | null;
      readonly placed: readonly number[] | null;
    }
  /** Load a resident model once more, for runs on one thread: its next instance. */
  | { readonly type: 'widen'; readonly call: number; readonly model: string }
  /** Release its instances again. */
  | { readonly type: 'narrow'; readonly call: number; readonly model: string }
  | { readonly type: 'measure'; readonly call: number }
  | { readonly type: 'ping' }
  /** Finish what is under way, release everything, exit. */
  | { readonly type: 'stop' };

/** What the worker says. */
export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'loaded'; readonly call: number; readonly result: LoadResult; readonly lane: number | null }
  | { readonly type: 'widened'; readonly call: number; readonly lane: number | null }
  | { readonly type: 'narrowed'; readonly call: number }
  | { readonly type: 'evicted'; readonly call: number; readonly result: EvictResult }
  | {
      readonly type: 'ran';
      readonly call: number;
      readonly outputs: readonly TensorHead[];
      readonly placed: readonly number[] | null;
      readonly runMs: number;
    }
  | { readonly type: 'measured'; readonly call: number; readonly memory: WorkerMemory }
  | { readonly type: 'failed'; readonly call: number; readonly error: ErrorMessage }
  | { readonly type: 'pong' };

/** The part of a tensor that travels in the message. */
export function headOf({ name, datatype, shape }: Tensor): TensorHead {
  return { name, datatype, shape };
}

/** Puts tensors together again from heads and parts of one frame. */
export function joinTensors(heads: readonly TensorHead[], parts: readonly Uint8Array[]): Tensor[] {
  return heads.map(({ name, datatype, shape }, index) => ({
    name,
    datatype,
    shape,
    data: parts[index] ?? new Uint8Array(0),
  }));
}

/** An error ready to cross. */
export function toErrorMessage(error: GpufaasError): ErrorMessage {
  return { code: error.code, message: error.message, suggestions: error.suggestions };
}

/** An error that crossed, as ours again. */
export function fromErrorMessage(error: ErrorMessage): GpufaasError {
  const code = isErrorCode(error.code) ? error.code : 'INTERNAL';
  return new GpufaasError(code, error.message, { suggestions: error.suggestions });
}
