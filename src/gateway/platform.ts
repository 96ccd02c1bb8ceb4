// What the gateway needs of the daemon, and all it knows of it. The gateway turns HTTP into these calls and their
// outcomes into answers; it holds no state of its own. Every promise rejects with a GpufaasError (its code is the status).

import type { PlatformEvent } from '../api/events.ts';
import type {
  CacheOutcome,
  DeployProgress,
  DeployResult,
  DeviceStatus,
  FunctionDetail,
  FunctionSummary,
  InvocationRecord,
  LogLineMessage,
  PsResponse,
  StatusResponse,
  StoredModelSummary,
  Timing,
} from '../api/schemas.ts';
import type { CancelSignal } from '../cancellation.ts';
import type { HandlerRequest } from '../functions/types.ts';
import type { Tensor, TensorSpec } from '../tensors.ts';
import type { AsyncPlatform } from './async-platform.ts';

/** Through which door an invocation came; recorded with it. `smoke` is a deployment's own check, which nobody called. */
export type Surface = 'function' | 'infer' | 'async' | 'smoke';

/** A model of a serving function, by its name in the manifest. */
export interface ServedModel {
  readonly name: string;
  readonly sha256: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** True: calls of it answer QUARANTINED. */
  readonly quarantined: boolean;
}

/** A function as it serves at this moment: what routing and early checks need, kept in memory. */
export interface ServedFunction {
  readonly name: string;
  /** The serving version; counts from 1. */
  readonly version: number;
  readonly description: string;
  /** False: tensors in, tensors out; the gateway decodes and calls `infer`, never `invoke`. */
  readonly hasHandler: boolean;
  readonly maxBodyBytes: number;
  readonly createdAtMs: number;
  /** In the order of the manifest. */
  readonly models: readonly ServedModel[];
}

/** What is known of every invocation when its answer begins. */
export interface CallSummary {
  readonly version: number;
  readonly cache: CacheOutcome;
  /** Of the first run; null if none ran. */
  readonly device: string | null;
  readonly timing: Timing;
}

/** One call of a function with a handler. `callId` is new and unique. */
export interface FunctionCall extends HandlerRequest {
  readonly function: string;
  readonly surface: Surface;
  /** On the daemon's monotonic clock: before the body was read. */
  readonly arrivedAtMs: number;
}

/** What the handler answered; a streamed body is read to its end or `return()`ed, and the call is under way until then. */
export interface FunctionOutcome {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
  readonly call: CallSummary;
}

/** One inference asked for from outside. `inputs` were checked against the signature of the model as `function()` gave it. */
export interface InferenceCall {
  readonly function: string;
  /** The model's name in the manifest. */
  readonly model: string;
  readonly inputs: readonly Tensor[];
  readonly callId: string;
  readonly surface: Surface;
  readonly arrivedAtMs: number;
}

/** All outputs of the model, in its order, owned by the receiver. */
export interface InferenceOutcome {
  readonly outputs: readonly Tensor[];
  readonly call: CallSummary;
}

/** What `invocations` can be asked for; newest first. */
export interface InvocationQuery {
  readonly function?: string;
  /** At most this many (the gateway bounds it). */
  readonly limit: number;
  /** Wall clock, milliseconds since the epoch. */
  readonly sinceMs?: number;
}

/** Which lines `logs` gives. */
export interface LogQuery {
  /** Go on with new lines until the signal fires. */
  readonly follow: boolean;
  /** The last this many lines first; absent: all that are kept. */
  readonly tail?: number;
  readonly sinceMs?: number;
}

/** Narrows load and unload; absent: all models of the function, wherever fits best. */
export interface ResidencyTarget {
  readonly model?: string;
  readonly device?: string;
}

/** The daemon, as the gateway sees it. */
export interface Platform {
  /** The product's version. */
  readonly version: string;

  // Routing: in memory, synchronous, cheap enough for every request.
  /** The serving function of that name, exact (no suffix), or undefined. */
  function(name: string): ServedFunction | undefined;
  /** Every serving function, by name. */
  served(): readonly ServedFunction[];
  /** False if the daemon makes no progress any more. */
  live(): boolean;
  /** At least one device serves and the daemon is not draining. */
  ready(): boolean;

  // Serving. The signal fires when nobody waits for the answer any more; then reject with CANCELLED.
  /** `onStart` is told just before the handler is given the call; what fails before has done nothing. */
  invoke(call: FunctionCall, signal: CancelSignal, onStart?: () => void): Promise<FunctionOutcome>;
  infer(call: InferenceCall, signal: CancelSignal): Promise<InferenceOutcome>;
  /** A call that failed before it reached `invoke` or `infer` (body too large, bad tensors): recorded for `explain` and the events. */
  refused(call: RefusedCall): void;
  /** Calls that nobody waits for. */
  readonly asyncCalls: AsyncPlatform;

  // Functions.
  functions(): Promise<FunctionSummary[]>;
  describe(name: string): Promise<FunctionDetail>;
  /** Reads the archive to its end. Steps are reported as they begin. */
  deploy(upload: DeployUpload, onProgress: (progress: DeployStep) => void, signal: AbortSignal): Promise<DeployResult>;
  rollback(name: string, version: number | undefined): Promise<{ name: string; version: number }>;
  remove(name: string): Promise<void>;
  /** Throws FUNCTION_NOT_FOUND at the first step; ends by itself unless `follow`. */
  logs(name: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogLineMessage>;

  // The device cache. Resolve once it is so.
  load(name: string, target: ResidencyTarget, signal: AbortSignal): Promise<PsResponse>;
  unload(name: string, target: ResidencyTarget, signal: AbortSignal): Promise<PsResponse>;
  /** A function whose load fails or is given up is not pinned by it. */
  pin(name: string, pinned: boolean, signal: AbortSignal): Promise<PsResponse>;
  ps(): PsResponse;
  devices(): DeviceStatus[];
  plug(device: string): Promise<DeviceStatus>;
  unplug(device: string): Promise<DeviceStatus>;

  // The rest of what the commands need.
  status(): StatusResponse;
  invocations(query: InvocationQuery): Promise<InvocationRecord[]>;
  /** Throws CALL_NOT_FOUND. */
  invocation(id: string): Promise<InvocationRecord>;
  models(): Promise<StoredModelSummary[]>;
  /** Fetches a model from an https:// or hf:// address into the store. */
  pullModel(
    source: ModelAddress,
    onProgress: (progress: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<StoredModelSummary>;
  removeModel(sha256: string): Promise<void>;
  /** Begins to drain and returns at once. */
  shutdown(drainMs: number): void;
  /** Calls the listener for each event, synchronously and in order; it never throws. The returned function ends it. */
  subscribe(listener: (event: PlatformEvent) => void): () => void;
}

/** A call that the gateway itself refused after the function was known. */
export interface RefusedCall {
  readonly function: string;
  readonly version: number;
  readonly callId: string;
  readonly surface: Surface;
  readonly arrivedAtMs: number;
  readonly status: number;
  readonly errorCode: string;
  readonly errorMessage: string;
}

/** A package on its way in. The stream is bounded by nothing here: the receiver counts. */
export interface DeployUpload {
  readonly archive: AsyncIterable<Uint8Array>;
  /** True if the archive's bytes are gzip-compressed. */
  readonly gzip: boolean;
  readonly note: string;
}

/** Where a model comes from; with a sha256 only those bytes are taken. */
export interface ModelAddress {
  readonly url: string;
  readonly sha256?: string;
}

/** One step of a deployment or a pull, as it begins or goes on. */
export type DeployStep = Extract<DeployProgress, { type: 'step' }>;
