// Asynchronous calls between daemon and gateway: the daemon keeps them and says when one runs, the gateway knows how.

import type { AsyncCallSummary } from '../api/schemas.ts';
import type { GpufaasError } from '../errors.ts';
import type { AsyncAnswer, AsyncCallQuery, AsyncCallRow, NewAsyncCall } from '../store/async-calls.ts';

export type { AsyncAnswer, AsyncCallQuery, NewAsyncCall };

/** A call when its turn has come. */
export type DueCall = Pick<AsyncCallRow, 'id' | 'function' | 'method' | 'path' | 'headers'> & {
  readonly body: Uint8Array;
};

/** How a call is run, and how a failure is answered. */
export interface AsyncRunner {
  /**
   * Runs a call. `onBegin` is told when it begins; `once`: what has begun must never be begun again by itself (a handler).
   * Rejects with a GpufaasError.
   */
  run(call: DueCall, signal: AbortSignal, onBegin: (once: boolean) => void): Promise<AsyncAnswer>;
  /** The answer that a failure is. */
  failure(error: GpufaasError): AsyncAnswer;
}

/** An answer with when its call came (milliseconds since the epoch), and how long it took from then to its end. */
export type TimedAnswer = AsyncAnswer & { readonly submittedAtMs: number; readonly durationMs: number };

/** The daemon's asynchronous calls. */
export interface AsyncPlatform {
  /** Says how calls are run; those that wait begin. Called once. */
  serve(runner: AsyncRunner): void;
  /** Resolves once the call outlives the daemon. Throws QUEUE_FULL, DRAINING, DISK_FULL, BAD_REQUEST (the callback). */
  submit(call: NewAsyncCall): Promise<void>;
  list(query: AsyncCallQuery): AsyncCallSummary[];
  /** Throws CALL_NOT_FOUND, as the following do. */
  find(id: string): AsyncCallSummary;
  /** null while there is none. */
  answer(id: string): Promise<TimedAnswer | null>;
  /** Throws CONFLICT if it has ended. */
  cancel(id: string): Promise<void>;
  /** Lets a call that has ended run again. Throws CONFLICT while it waits or runs. */
  retry(id: string): AsyncCallSummary;
}
