// A function as the daemon holds it: a manifest, a version, a folder that never changes, models by content.

import type { CancelSignal } from '../cancellation.ts';
import type { Tensor } from '../tensors.ts';

/** function.yaml after checking, with every default filled in. Times in milliseconds, sizes in bytes. */
export interface Manifest {
  readonly name: string;
  readonly description: string;
  /** Path inside the folder, or null: tensors in, tensors out. */
  readonly handler: string | null;
  readonly models: Readonly<Record<string, ManifestModel>>;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly maxBodyBytes: number;
  readonly priority: 'low' | 'normal' | 'high';
  /** null: pinned. */
  readonly keepAliveMs: number | null;
  /** null: batched where that was seen to answer as runs alone do, and to pay; false: never. */
  readonly batching: { readonly maxSize: number; readonly maxDelayMs: number } | false | null;
  readonly deadlineMs: number | null;
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly sample: string | null;
}

export type ManifestModel = ({ readonly path: string } | { readonly url: string; readonly sha256: string }) & {
  readonly sessionOptions?: Readonly<Record<string, unknown>>;
};

/** One deployed version. */
export interface FunctionVersion {
  readonly name: string;
  /** Counts from 1. */
  readonly version: number;
  readonly manifest: Manifest;
  /** Absolute path of the unpacked, read-only folder. */
  readonly folder: string;
  /** Model name in the manifest → key of the model (its sha256, with a mark of the session options where there are any). */
  readonly models: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
  /** What whoever deployed it wanted remembered; absent where nothing was. */
  readonly note?: string;
}

/** What a handler is given. The body is raw; the SDK offers it as text and JSON. */
export interface HandlerRequest {
  readonly callId: string;
  readonly method: string;
  /** What follows /function/{name}, with the query string. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a handler gave. A streamed body arrives in pieces. */
export interface HandlerResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
}

/** How a handler's process asks for an inference: resolved with the outputs, rejected with a GpufaasError. */
export type RunModel = (model: string, inputs: readonly Tensor[], signal: CancelSignal) => Promise<readonly Tensor[]>;

/** The process of one function version's handler, started ahead, restarted when it dies. */
export interface FunctionProcess {
  readonly pid: number | undefined;
  /** Resolves when the handler module is loaded; rejects with HANDLER_ERROR if it can't be. */
  start(): Promise<void>;
  /**
   * One invocation. Rejects with HANDLER_ERROR (it threw), HANDLER_DIED (its process went), TIMEOUT, CANCELLED.
   * `runModel` is called for every `models.x.run(...)` of the handler.
   */
  invoke(request: HandlerRequest, runModel: RunModel, signal: CancelSignal): Promise<HandlerResponse>;
  stop(): Promise<void>;
}

/** A line that a handler logged. */
export interface LogLine {
  readonly atMs: number;
  readonly function: string;
  readonly version: number;
  readonly callId: string | null;
  readonly stream: 'stdout' | 'stderr' | 'log';
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly text: string;
}
