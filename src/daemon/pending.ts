// Inferences that were submitted and not answered. Each ends exactly once: with its answer, or with a GpufaasError.

import type { CancelSignal } from '../cancellation.ts';
import type { Clock } from '../clock.ts';
import { GpufaasError } from '../errors.ts';
import type { Decision, RequestId } from '../scheduling/types.ts';
import type { Tensor } from '../tensors.ts';

/** One inference as the daemon asks for it. */
export interface InferenceRequest {
  /** sha256. */
  readonly model: string;
  readonly inputs: readonly Tensor[];
  /** Arrival of the invocation, on the dispatcher's clock. */
  readonly arrivedAtMs: number;
  /** A copy of the model that was loaded later than this is one that the request is a miss for; absent: its submission. */
  readonly coldAfterMs?: number;
  readonly bytes: number;
  /** Along the batch axis. */
  readonly rows: number;
  /** On the dispatcher's clock. */
  readonly deadlineAtMs?: number;
  readonly priority: -1 | 0 | 1;
  /** A later run of an invocation that was admitted: never refused for a full queue. */
  readonly admitted: boolean;
}

/** The answer, and where its time went: queue + load + run is the time from submission to the answer. */
export interface InferenceResult {
  readonly outputs: readonly Tensor[];
  readonly device: string;
  /** `miss` if it waited for a load, its own or one under way, or would have without the hint at its invocation's arrival. */
  readonly cache: 'hit' | 'miss';
  readonly queueMs: number;
  /** What it waited for a load; what of the load went by before it was submitted is not in it. */
  readonly loadMs: number;
  /** What of the load went by between the invocation's arrival and the submission. */
  readonly hiddenLoadMs: number;
  readonly runMs: number;
  /** How many requests shared the run. */
  readonly together: number;
  /** The run is on the record of another one of them. */
  readonly wentAlong: boolean;
  readonly decision: Decision | null;
}

export interface Pending {
  readonly id: RequestId;
  readonly request: InferenceRequest;
  readonly submittedAtMs: number;
  /** How often it was tried again after a death or for want of memory. */
  retries: number;
}

interface Entry extends Pending {
  readonly resolve: (result: InferenceResult) => void;
  readonly reject: (error: GpufaasError) => void;
  readonly stopListening: () => void;
}

export class PendingRequests {
  readonly #entries = new Map<RequestId, Entry>();
  readonly #clock: Clock;
  readonly #onAbort: (id: RequestId) => void;
  #nextId: RequestId = 1;

  /** `onAbort` is told of every request whose caller gave up, before its promise is rejected. */
  constructor(clock: Clock, onAbort: (id: RequestId) => void) {
    this.#clock = clock;
    this.#onAbort = onAbort;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Adds a request; `submit` is called with its number. */
  add(request: InferenceRequest, signal: CancelSignal, submit: (id: RequestId) => void): Promise<InferenceResult> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortReason(signal));
        return;
      }
      const id = this.#nextId++;
      const abort = (): void => {
        const pending = this.#entries.get(id);
        if (pending === undefined) return;
        this.#onAbort(id);
        this.fail(pending, abortReason(signal));
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#entries.set(id, {
        id,
        request,
        submittedAtMs: this.#clock.now(),
        retries: 0,
        resolve,
        reject,
        stopListening: () => signal.removeEventListener('abort', abort),
      });
      submit(id);
    });
  }

  get(id: RequestId): Pending | undefined {
    return this.#entries.get(id);
  }

  /** Those of `ids` that still wait. */
  among(ids: readonly RequestId[]): Pending[] {
    const found: Pending[] = [];
    for (const id of ids) {
      const pending = this.#entries.get(id);
      if (pending !== undefined) found.push(pending);
    }
    return found;
  }

  /** How many of `ids` still wait for their answer. */
  count(ids: readonly RequestId[]): number {
    let count = 0;
    for (const id of ids) if (this.#entries.has(id)) count++;
    return count;
  }

  ofModel(model: string): Pending[] {
    return [...this.#entries.values()].filter((pending) => pending.request.model === model);
  }

  all(): Pending[] {
    return [...this.#entries.values()];
  }

  answer(pending: Pending, result: InferenceResult): void {
    this.#take(pending.id)?.resolve(result);
  }

  fail(pending: Pending, error: GpufaasError): void {
    this.#take(pending.id)?.reject(error);
  }

  #take(id: RequestId): Entry | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    this.#entries.delete(id);
    entry.stopListening();
    return entry;
  }
}

function abortReason(signal: CancelSignal): GpufaasError {
  return signal.reason instanceof GpufaasError
    ? signal.reason
    : new GpufaasError('CANCELLED', 'The caller gave up before there was an answer.');
}
