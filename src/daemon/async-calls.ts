// Calls that nobody waits for: kept before they are taken over, run a few at a time in order (no function may take all the
// places), their answers kept for a while. What waits when the daemon ends, however it ends, runs after the next start; what ran is said to be interrupted.

import type { AsyncCallSummary } from '../api/schemas.ts';
import type { Clock } from '../clock.ts';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import type {
  AsyncAnswer,
  AsyncCallQuery,
  AsyncPlatform,
  AsyncRunner,
  NewAsyncCall,
  TimedAnswer,
} from '../gateway/async-platform.ts';
import type { AsyncCallRow, AsyncCallState, AsyncCallStore, KeepLimits } from '../store/async-calls.ts';
import { pause } from './pause.ts';
import { checkCallbackUrl, type CallbackMessage, type Callbacks } from './callbacks.ts';
import { FairQueue } from './fair-queue.ts';

/** Bounds of the queue and of what is kept. */
export interface AsyncLimits extends KeepLimits {
  readonly maxPending: number;
  readonly maxPendingBytes: number;
  readonly concurrency: number;
  /** A call that is refused for lack of capacity is tried this often. */
  readonly attempts: number;
}

const DEFAULTS: AsyncLimits = {
  maxPending: 10_000,
  maxPendingBytes: 256 * 1024 * 1024,
  concurrency: 16,
  attempts: 10,
  maxCalls: 10_000,
  maxBytes: 512 * 1024 * 1024,
  keepMs: 24 * 3_600_000,
};

/** What one function may have of the places. */
const FUNCTION_SHARE = 3 / 4;

export interface AsyncCallsOptions {
  readonly store: AsyncCallStore;
  readonly callbacks: Callbacks;
  readonly clock: Clock;
  /** A problem that does not concern a caller. */
  readonly onNotice: (message: string, details: Readonly<Record<string, unknown>>) => void;
  readonly limits?: Partial<AsyncLimits>;
}

/** A call that waits or runs. */
interface Entry {
  readonly id: string;
  readonly function: string;
  readonly bytes: number;
  readonly gone: AbortController;
  /** Taken out of the queue. */
  taken: boolean;
  running: boolean;
  /** It must not be begun again by itself. */
  once: boolean;
  /** The answer, where it could not be kept. */
  lost: AsyncAnswer | null;
}

export class AsyncCalls implements AsyncPlatform {
  readonly #store: AsyncCallStore;
  readonly #callbacks: Callbacks;
  readonly #clock: Clock;
  readonly #onNotice: AsyncCallsOptions['onNotice'];
  readonly #limits: AsyncLimits;
  readonly #queue: FairQueue<Entry>;
  readonly #pending = new Map<string, Entry>();
  readonly #performing = new Set<Promise<void>>();
  #runner: AsyncRunner | null = null;
  #pendingBytes = 0;
  #stopped = false;

  constructor(options: AsyncCallsOptions) {
    this.#store = options.store;
    this.#callbacks = options.callbacks;
    this.#clock = options.clock;
    this.#onNotice = options.onNotice;
    this.#limits = { ...DEFAULTS, ...options.limits };
    const { concurrency } = this.#limits;
    this.#queue = new FairQueue(concurrency, Math.ceil(FUNCTION_SHARE * concurrency));
  }

  serve(runner: AsyncRunner): void {
    this.#runner = runner;
    for (const row of this.#store.undelivered()) this.#tell(row);
    for (const row of this.#store.unended()) {
      const entry = this.#enter(row);
      if (row.state === 'queued') {
        this.#queue.add(entry.function, entry);
        continue;
      }
      // Whether its handler had done what it does, nobody knows: whoever asked for it decides.
      entry.taken = true;
      this.#track(this.#end(entry, runner.failure(interrupted(row.id))));
    }
    this.#trim();
    this.#next();
  }

  async submit(call: NewAsyncCall): Promise<void> {
    this.#refuseIfStopped();
    const callbackUrl = call.callbackUrl === null ? null : checkCallbackUrl(call.callbackUrl);
    this.#refuseIfFull(call.body.byteLength);
    const entry = this.#enter({ ...call, requestBytes: call.body.byteLength });
    try {
      await this.#store.accept({ ...call, callbackUrl }, this.#clock.wall());
    } catch (error) {
      this.#leave(entry);
      throw error;
    }
    this.#queue.add(entry.function, entry);
    this.#next();
  }

  list(query: AsyncCallQuery): AsyncCallSummary[] {
    return this.#store.list(query).map((row) => summarize(row));
  }

  find(id: string): AsyncCallSummary {
    return summarize(this.#need(id));
  }

  async answer(id: string): Promise<TimedAnswer | null> {
    const row = this.#need(id);
    const { submittedAtMs, endedAtMs, answer } = row;
    const times = { submittedAtMs, durationMs: (endedAtMs ?? this.#clock.wall()) - submittedAtMs };
    const lost = this.#pending.get(id)?.lost ?? null;
    if (lost !== null) return { ...lost, ...times };
    return answer === null ? null : { ...answer, ...times, body: await this.#store.answerBody(row) };
  }

  async cancel(id: string): Promise<void> {
    this.#need(id);
    const entry = this.#pending.get(id);
    if (entry === undefined || entry.lost !== null) {
      throw new GpufaasError('CONFLICT', 'The call has ended already.', {
        suggestions: [`\`gpufaas calls show ${id}\` has its answer.`],
      });
    }
    entry.gone.abort();
    if (entry.taken) return;
    entry.taken = true;
    this.#queue.remove(entry.function, entry);
    await this.#end(entry, this.#runner!.failure(cancelled()));
  }

  retry(id: string): AsyncCallSummary {
    this.#refuseIfStopped();
    const row = this.#need(id);
    const before = this.#pending.get(id);
    if (before !== undefined && before.lost === null) {
      throw new GpufaasError('CONFLICT', 'The call waits or runs.', {
        suggestions: [`\`gpufaas calls show ${id} --wait\` waits for its answer.`],
      });
    }
    this.#refuseIfFull(row.requestBytes);
    this.#store.again(id, this.#clock.wall());
    if (before !== undefined) this.#leave(before);
    this.#queue.add(row.function, this.#enter(row));
    this.#next();
    return this.find(id);
  }

  /** Begins no more calls and takes none; what runs goes on. */
  stop(): void {
    this.#stopped = true;
  }

  /** Ends what runs. */
  async close(): Promise<void> {
    this.stop();
    this.#callbacks.close();
    for (const entry of this.#pending.values()) entry.gone.abort();
    await Promise.all(this.#performing);
  }

  #next(): void {
    while (!this.#stopped) {
      const next = this.#queue.take();
      if (next === undefined) return;
      next.item.taken = true;
      this.#track(this.#perform(next.item), () => this.#queue.done(next.group));
    }
  }

  #track(work: Promise<void>, onEnd?: () => void): void {
    const tracked = work
      .catch((error: unknown) => this.#onNotice('an asynchronous call went wrong', { error: String(error) }))
      .then(() => {
        this.#performing.delete(tracked);
        onEnd?.();
        this.#next();
      });
    this.#performing.add(tracked);
  }

  async #perform(entry: Entry): Promise<void> {
    const { signal } = entry.gone;
    for (let attempt = 1; ; attempt++) {
      try {
        const row = this.#need(entry.id);
        const due = { ...row, body: await this.#store.requestBody(row) };
        const answer = await this.#runner!.run(due, signal, (once) => this.#begin(entry, once));
        return await this.#end(entry, answer);
      } catch (thrown) {
        const error = toGpufaasError(thrown);
        const refused = error.kind === 'capacity' && !entry.once;
        // It has done nothing yet: it waits for the next daemon.
        if (this.#stopped && !entry.once && (refused || signal.aborted)) return this.#putBack(entry);
        const cause = signal.aborted ? (this.#stopped ? interrupted(entry.id) : cancelled()) : error;
        if (signal.aborted || !refused || attempt >= this.#limits.attempts) {
          return await this.#end(entry, this.#runner!.failure(cause));
        }
        this.#putBack(entry);
        await pause(this.#clock, error.retryAfterMs ?? 1000, signal);
      }
    }
  }

  #begin(entry: Entry, once: boolean): void {
    entry.once ||= once;
    if (entry.running) return;
    entry.running = true;
    // Written before it begins: whatever happens from here on, it is known to have begun.
    this.#store.begin(entry.id, this.#clock.wall());
  }

  #putBack(entry: Entry): void {
    if (!entry.running) return;
    // On a full disk it stays a call that runs: the next attempt goes on from there.
    this.#tolerate(() => {
      this.#store.putBack(entry.id);
      entry.running = false;
    });
  }

  async #end(entry: Entry, answer: AsyncAnswer): Promise<void> {
    try {
      await this.#store.end(entry.id, stateOf(answer), answer, this.#clock.wall());
    } catch (thrown) {
      const error = toGpufaasError(thrown);
      this.#onNotice('the answer of an asynchronous call could not be kept', {
        callId: entry.id,
        error: error.message,
      });
      entry.lost = this.#runner!.failure(error);
      return;
    }
    this.#leave(entry);
    const row = this.#store.find(entry.id);
    if (row?.callback === 'pending') this.#tell(row);
    this.#trim();
  }

  #tell(row: AsyncCallRow): void {
    const { id, callbackUrl } = row;
    if (callbackUrl === null || this.#stopped) return;
    this.#callbacks.add({
      url: callbackUrl,
      message: () => this.#message(row),
      onEnd: (delivered, reason) => {
        if (!delivered) this.#onNotice('a callback could not be delivered', { callId: id, reason });
        // Of this ending: the call may have been retried meanwhile, and its next ending is to be told as well.
        this.#tolerate(() => this.#store.setCallback(id, row.endedAtMs, delivered ? 'delivered' : 'failed'));
      },
    });
  }

  /** As OpenFaaS sends it. */
  async #message(row: AsyncCallRow): Promise<CallbackMessage> {
    const { answer, submittedAtMs, endedAtMs } = row;
    return {
      headers: {
        'content-type': answer?.headers['content-type'] ?? 'application/octet-stream',
        'x-call-id': row.id,
        'x-start-time': `${submittedAtMs}000000`,
        'x-duration-seconds': (((endedAtMs ?? submittedAtMs) - submittedAtMs) / 1000).toFixed(6),
        'x-function-name': row.function,
        'x-function-status': String(answer?.status ?? 500),
      },
      body: await this.#store.answerBody(row),
    };
  }

  #trim(): void {
    this.#tolerate(() => this.#store.trim(this.#limits, this.#clock.wall()));
  }

  /** What can be done at another time as well: a full disk must not stop the rest. */
  #tolerate(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#onNotice('asynchronous calls could not be written', { error: toGpufaasError(error).message });
    }
  }

  #need(id: string): AsyncCallRow {
    const row = this.#store.find(id);
    const tooOld = row?.endedAtMs != null && row.endedAtMs < this.#clock.wall() - this.#limits.keepMs;
    if (row !== null && !tooOld) return row;
    throw new GpufaasError('CALL_NOT_FOUND', 'There is no asynchronous call of this id.', {
      suggestions: ['`gpufaas calls ls` lists them; answers are kept for a day.'],
    });
  }

  #enter(call: Pick<AsyncCallRow, 'id' | 'function' | 'requestBytes'>): Entry {
    const { id, requestBytes: bytes } = call;
    const gone = new AbortController();
    const entry: Entry = {
      id,
      function: call.function,
      bytes,
      gone,
      taken: false,
      running: false,
      once: false,
      lost: null,
    };
    this.#pending.set(id, entry);
    this.#pendingBytes += bytes;
    return entry;
  }

  #leave(entry: Entry): void {
    if (this.#pending.get(entry.id) === entry) this.#pending.delete(entry.id);
    this.#pendingBytes -= entry.bytes;
  }

  #refuseIfStopped(): void {
    if (!this.#stopped) return;
    throw new GpufaasError('DRAINING', 'The daemon is going down and takes no new calls.', { retryAfterMs: 5000 });
  }

  #refuseIfFull(bytes: number): void {
    const { maxPending, maxPendingBytes } = this.#limits;
    const full = this.#pending.size >= maxPending || this.#pendingBytes + bytes > maxPendingBytes;
    // A single one may always pass: else one larger than all that may wait could never run.
    if (!full || this.#pending.size === 0) return;
    throw new GpufaasError('QUEUE_FULL', 'Too many asynchronous calls are waiting.', { retryAfterMs: 5000 });
  }
}

function stateOf({ status, errorCode }: AsyncAnswer): AsyncCallState {
  if (errorCode === 'CANCELLED') return 'cancelled';
  if (errorCode === 'INTERRUPTED') return 'interrupted';
  return status < 400 ? 'done' : 'failed';
}

function summarize(row: AsyncCallRow): AsyncCallSummary {
  const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  return {
    id: row.id,
    function: row.function,
    state: row.state,
    status: row.answer?.status ?? null,
    errorCode: row.answer?.errorCode ?? null,
    attempts: row.attempts,
    submittedAt: new Date(row.submittedAtMs).toISOString(),
    startedAt: time(row.startedAtMs),
    endedAt: time(row.endedAtMs),
    requestBytes: row.requestBytes,
    answerBytes: row.answerBytes,
    callback: row.callback,
  };
}

const cancelled = (): GpufaasError => new GpufaasError('CANCELLED', 'The call was cancelled.');

const interrupted = (id: string): GpufaasError =>
  new GpufaasError('INTERRUPTED', 'The daemon ended while the call ran; it is not run twice by itself.', {
    suggestions: [`\`gpufaas calls retry ${id}\` runs it again.`],
  });
