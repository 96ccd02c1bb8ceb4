// Calls that nobody waits for: kept in order, run a few at a time, their results kept for a while. In memory and bounded
// in number, bytes and time; what was not fetched or run when the daemon ends is gone.

import { GpufaasError, toGpufaasError } from '../errors.ts';
import type { CallSummary } from './platform.ts';

/** What a call ended with, ready to be answered again. */
export interface AsyncResult {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** null if it failed. */
  readonly summary: CallSummary | null;
}

/** One call to run later. */
export interface AsyncSubmission {
  readonly id: string;
  readonly function: string;
  /** Bytes it holds while it waits. */
  readonly bytes: number;
  readonly callbackUrl: string | null;
  readonly run: (signal: AbortSignal) => Promise<AsyncResult>;
}

/** A call as it stands. */
export type AsyncState =
  | { readonly state: 'queued' | 'running' }
  | { readonly state: 'ended'; readonly result: AsyncResult; readonly durationMs: number };

/** Bounds of the store. */
export interface AsyncLimits {
  readonly maxPending: number;
  readonly maxPendingBytes: number;
  readonly concurrency: number;
  readonly maxResults: number;
  readonly maxResultBytes: number;
  readonly keepResultsMs: number;
  /** A call that is refused for lack of capacity is tried this often. */
  readonly attempts: number;
}

const DEFAULTS: AsyncLimits = {
  maxPending: 10_000,
  maxPendingBytes: 256 * 1024 * 1024,
  concurrency: 16,
  maxResults: 10_000,
  maxResultBytes: 256 * 1024 * 1024,
  keepResultsMs: 3_600_000,
  attempts: 10,
};

/** Delivers a result to the URL the caller gave; never throws. */
export type DeliverCallback = (submission: AsyncSubmission, state: AsyncState & { state: 'ended' }) => Promise<void>;

/** Turns a failure into the answer it would have been. */
export type FailureResult = (error: GpufaasError) => AsyncResult;

interface Entry {
  readonly submission: AsyncSubmission;
  readonly submittedAtMs: number;
  readonly gone: AbortController;
  running: boolean;
}

/** The calls that wait, run and have ended. Its owner closes it. */
export class AsyncCalls {
  readonly #limits: AsyncLimits;
  readonly #deliver: DeliverCallback;
  readonly #failure: FailureResult;
  readonly #queue: Entry[] = [];
  readonly #pending = new Map<string, Entry>();
  // In the order they ended, so the first is the oldest.
  readonly #ended = new Map<string, { state: AsyncState & { state: 'ended' }; endedAtMs: number }>();
  #pendingBytes = 0;
  #resultBytes = 0;
  #running = 0;
  #closed = false;

  constructor(deliver: DeliverCallback, failure: FailureResult, limits: Partial<AsyncLimits> = {}) {
    this.#deliver = deliver;
    this.#failure = failure;
    this.#limits = { ...DEFAULTS, ...limits };
  }

  /** Takes a call over. Throws QUEUE_FULL. */
  submit(submission: AsyncSubmission): void {
    const { maxPending, maxPendingBytes } = this.#limits;
    const full = this.#pending.size >= maxPending || this.#pendingBytes + submission.bytes > maxPendingBytes;
    if (this.#closed || (full && this.#pending.size > 0)) {
      throw new GpufaasError('QUEUE_FULL', 'Too many asynchronous calls are waiting.', { retryAfterMs: 5000 });
    }
    const entry: Entry = {
      submission,
      submittedAtMs: performance.now(),
      gone: new AbortController(),
      running: false,
    };
    this.#pending.set(submission.id, entry);
    this.#pendingBytes += submission.bytes;
    this.#queue.push(entry);
    this.#next();
  }

  /** The call as it stands, or null if there is none of that id (any more). */
  state(id: string): AsyncState | null {
    this.#expire();
    const entry = this.#pending.get(id);
    if (entry !== undefined) return { state: entry.running ? 'running' : 'queued' };
    return this.#ended.get(id)?.state ?? null;
  }

  /** Ends a call that waits or runs. Throws CALL_NOT_FOUND, or CONFLICT if it has ended. */
  cancel(id: string): void {
    const entry = this.#pending.get(id);
    if (entry === undefined) {
      if (this.#ended.has(id))
        throw new GpufaasError('CONFLICT', 'The call has ended already.', {
          suggestions: [`\`gpufaas calls show ${id}\` has its answer.`],
        });
      throw new GpufaasError('CALL_NOT_FOUND', 'There is no asynchronous call of this id.');
    }
    entry.gone.abort();
    if (entry.running) return;
    this.#queue.splice(this.#queue.indexOf(entry), 1);
    this.#end(entry, this.#failure(cancelled()));
  }

  /** Ends everything. */
  close(): void {
    this.#closed = true;
    for (const id of this.#pending.keys()) this.cancel(id);
  }

  #next(): void {
    while (this.#running < this.#limits.concurrency) {
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      entry.running = true;
      this.#running++;
      void this.#perform(entry).then((result) => {
        this.#running--;
        this.#end(entry, result);
        this.#next();
      });
    }
  }

  async #perform({ submission, gone }: Entry): Promise<AsyncResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await submission.run(gone.signal);
      } catch (thrown) {
        const error = gone.signal.aborted ? cancelled() : toGpufaasError(thrown);
        const again = error.kind === 'capacity' && error.code !== 'DRAINING' && attempt < this.#limits.attempts;
        if (!again) return this.#failure(error);
        await pause(error.retryAfterMs ?? 1000, gone.signal);
      }
    }
  }

  #end(entry: Entry, result: AsyncResult): void {
    const { submission } = entry;
    this.#pending.delete(submission.id);
    this.#pendingBytes -= submission.bytes;
    const state = { state: 'ended', result, durationMs: performance.now() - entry.submittedAtMs } as const;
    this.#ended.set(submission.id, { state, endedAtMs: performance.now() });
    this.#resultBytes += result.body.byteLength;
    this.#expire();
    if (submission.callbackUrl !== null && !this.#closed) void this.#deliver(submission, state);
  }

  /** Drops results that are too old, or the oldest where there are too many. */
  #expire(): void {
    const oldest = performance.now() - this.#limits.keepResultsMs;
    for (const [id, { state, endedAtMs }] of this.#ended) {
      const tooMany = this.#ended.size > this.#limits.maxResults || this.#resultBytes > this.#limits.maxResultBytes;
      if (endedAtMs >= oldest && !(tooMany && this.#ended.size > 1)) return;
      this.#ended.delete(id);
      this.#resultBytes -= state.result.body.byteLength;
    }
  }
}

const cancelled = (): GpufaasError => new GpufaasError('CANCELLED', 'The call was cancelled.');

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
