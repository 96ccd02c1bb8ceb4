// What the rest of the system knows of workers: a runner stands for one device's process. Backends live inside it.

import type { Tensor, TensorSpec } from '../tensors.ts';

/** A model ready to be made resident: files that exist and never change. */
export interface LoadableModel {
  /** sha256 of the original bytes; the key everywhere. */
  readonly id: string;
  /** Absolute path of the ONNX file to load (the prepared one where there is one). */
  readonly path: string;
  /** True if `path` was prepared: optimised ahead, weights mapped; load it without optimisation or prepacking. */
  readonly prepared: boolean;
  /** The file that devices load which copy models; absent: `path` itself. */
  readonly copied?: string;
  /** Session options of the manifest, handed to ONNX Runtime as they are. */
  readonly sessionOptions?: Readonly<Record<string, unknown>>;
  /** What an emulated device does instead: waits this long and accounts that much. */
  readonly emulation?: {
    readonly loadMs: number;
    /** With the bytes in the host cache; absent: the device does not copy. */
    readonly hostLoadMs?: number;
    readonly runMs: number;
    readonly memoryBytes: number;
    readonly runMsByRows?: readonly number[];
  };
  /** How long a load and a run of it may take before the worker counts as wedged; absent: the runner's own limits. */
  readonly limits?: { readonly loadMs: number; readonly runMs: number };
  /** Signature, for the emulated backend and for checks. */
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** What a finished load tells. */
export interface LoadResult {
  readonly loadMs: number;
  /** Growth of the process (or of the device's own memory) by this load, as the system measures it; null if unknown. */
  readonly measuredBytes: number | null;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/** What a finished run gives. Output bytes belong to the receiver. */
export interface RunResult {
  readonly outputs: readonly Tensor[];
  /** The run itself, measured in the worker. */
  readonly runMs: number;
}

/** What an eviction gave back. */
export interface EvictResult {
  readonly evictMs: number;
  readonly releasedBytes: number | null;
}

/** Memory of a device as measured, in bytes. */
export interface DeviceMeasurement {
  /** Resident set of the worker process. */
  readonly processRssBytes: number;
  /** The same when the worker was empty. */
  readonly emptyRssBytes: number;
  /** The device's own memory, where it has one (CUDA). */
  readonly deviceTotalBytes: number | null;
  readonly deviceFreeBytes: number | null;
  /** False shortly after a load, while the worker still starts what the next load will need. */
  readonly settled?: boolean;
}

export type RunnerState = 'starting' | 'ready' | 'restarting' | 'unplugged' | 'failed' | 'stopped';

/** What a runner reports without being asked. */
export interface RunnerEvents {
  /** The process is up (again) and empty. */
  onReady(): void;
  /**
   * The process died or was killed; every call under way was rejected with WORKER_DIED. It will restart by
   * itself unless `final`. `culprit` is the model whose load or run passed its limit, if that is why; null if no model
   * is to blame (the device was taken away, or the process stood still as a whole).
   */
  onLost(reason: string, final: boolean, culprit?: string | null): void;
  /** Something an operator should know. */
  onNotice(message: string, details: Readonly<Record<string, unknown>>): void;
}

/**
 * The daemon's handle on one device's worker process. Calls never block each other beyond what the device needs: memory
 * operations (evict, load) of one device run in the order given; runs go on beside them. Errors are GpufaasError:
 * WORKER_DIED (retry elsewhere), OUT_OF_MEMORY, BAD_MODEL, BAD_TENSOR, TIMEOUT, INTERNAL.
 */
export interface Runner {
  readonly device: string;
  readonly state: RunnerState;
  readonly pid: number | undefined;
  start(): Promise<void>;
  load(model: LoadableModel): Promise<LoadResult>;
  evict(modelId: string): Promise<EvictResult>;
  /** Loads a resident model once more, for runs on one core: its next instance, counted from 0. A memory operation, as `narrow` is. */
  widen(model: LoadableModel): Promise<void>;
  /** Releases all instances of a model; the caller has seen their runs end. */
  narrow(modelId: string): Promise<void>;
  /** `instance`: the one that runs it, from 0; absent: the one for runs alone. */
  run(modelId: string, inputs: readonly Tensor[], instance?: number): Promise<RunResult>;
  measure(): Promise<DeviceMeasurement>;
  /** Emulated devices only: takes the device away as if it had been pulled out, until `plug`. */
  unplug?(): Promise<void>;
  plug?(): Promise<void>;
  /** Ends the process: at once if `force`, else after what it does now. Idempotent. */
  stop(force?: boolean): Promise<void>;
}
