// The process of one function version's handler, kept alive: started ahead, started again when it dies (later each time
// it dies young), replaced when it has grown too large. A call is never run twice.

import type { CancelSignal } from '../cancellation.ts';
import type { Clock } from '../clock.ts';
import { systemClock } from '../clock.ts';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import { formatDuration } from '../units.ts';
import { HandlerChild, type ChildLimits } from './child.ts';
import { LineLimit, safeLines } from './output.ts';
import type { FunctionProcess, FunctionVersion, HandlerRequest, HandlerResponse, LogLine, RunModel } from './types.ts';

/** What a handler's process is given beside its version. */
export interface FunctionProcessOptions {
  /** Values of the manifest's secrets, by name. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** JavaScript heap and everything else of the process (default 2 GB). */
  readonly memoryBytes?: number;
  /** Sockets and files it may have open at once (default 1024). */
  readonly openFiles?: number;
  /** The time to import the handler module (default 30 s). */
  readonly loadMs?: number;
  /** How long a process whose call ran out of time may stand still (default 1.5 s). */
  readonly answerPingMs?: number;
  readonly clock?: Clock;
}

/** What it tells without being asked. */
export interface FunctionProcessCallbacks {
  readonly onLog: (line: LogLine) => void;
  /** Something an operator should know. */
  readonly onNotice: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

const DEFAULT_LIMITS: ChildLimits = { memoryBytes: 2e9, openFiles: 1024, loadMs: 30_000, answerPingMs: 1500 };
/** A process that lived this long was well. */
const STABLE_MS = 10_000;
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 30_000;
/** A call waits for a restart only if it is near. */
const WAIT_FOR_RESTART_MS = 1000;
/** Of its memory limit: a process that holds more is replaced before it reaches it. */
const RECYCLE_SHARE = 0.6;
/** Calls that a handler never ended, though nobody waits for them: as many as this, and it is replaced. */
const MAX_ABANDONED = 200;
const LOOK_EVERY_MS = 100;

/** Makes the process of a handler; nothing runs before `start` or the first call. */
export function createFunctionProcess(
  version: FunctionVersion,
  options: FunctionProcessOptions,
  callbacks: FunctionProcessCallbacks,
): FunctionProcess {
  return new SupervisedHandler(version, options, callbacks);
}

class SupervisedHandler implements FunctionProcess {
  readonly #version: FunctionVersion;
  readonly #secrets: Readonly<Record<string, string>>;
  readonly #limits: ChildLimits;
  readonly #clock: Clock;
  readonly #callbacks: FunctionProcessCallbacks;
  readonly #lineLimit: LineLimit;
  #child: HandlerChild | null = null;
  /** Deaths in a row, each soon after the start. */
  #earlyDeaths = 0;
  #retryAtMs = 0;
  #cancelRestart: () => void = () => undefined;
  #lastReason: GpufaasError | null = null;
  /** Every process that lives, the current one and those on their way in and out. */
  readonly #children = new Set<HandlerChild>();
  #recycling = false;
  #nextLookMs = 0;
  #stopped = false;

  constructor(version: FunctionVersion, options: FunctionProcessOptions, callbacks: FunctionProcessCallbacks) {
    this.#version = version;
    this.#secrets = options.secrets ?? {};
    this.#limits = {
      memoryBytes: options.memoryBytes ?? DEFAULT_LIMITS.memoryBytes,
      openFiles: options.openFiles ?? DEFAULT_LIMITS.openFiles,
      loadMs: options.loadMs ?? DEFAULT_LIMITS.loadMs,
      answerPingMs: options.answerPingMs ?? DEFAULT_LIMITS.answerPingMs,
    };
    this.#clock = options.clock ?? systemClock;
    this.#callbacks = callbacks;
    this.#lineLimit = new LineLimit(this.#clock);
  }

  get pid(): number | undefined {
    return this.#child?.gone === false ? this.#child.pid : undefined;
  }

  async start(): Promise<void> {
    this.#refuseIfStopped();
    await this.#current().loaded;
  }

  async invoke(request: HandlerRequest, runModel: RunModel, signal: CancelSignal): Promise<HandlerResponse> {
    const { timeoutMs } = this.#version.manifest;
    const limit = Promise.withResolvers<never>();
    limit.promise.catch(() => undefined);
    const cancelTimer = this.#clock.after(timeoutMs, () => limit.reject(timedOut(timeoutMs)));
    const onAbort = (): void => limit.reject(abortReason(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    const finish = (): void => {
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
    };
    try {
      if (signal.aborted) throw abortReason(signal);
      const child = await Promise.race([this.#ready(), limit.promise]);
      const call = child.call(request, runModel);
      limit.promise.catch((error: GpufaasError) => {
        call.abort(error);
        if (error.code === 'TIMEOUT') child.endIfBlocked();
      });
      const response = await call.response.finally(() => this.#recycleIfLarge(child));
      if (response.body instanceof Uint8Array) {
        finish();
        return response;
      }
      return { ...response, body: until(response.body, finish) };
    } catch (error) {
      finish();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRestart();
    await Promise.all(Array.from(this.#children, (child) => child.stop(0)));
  }

  /** A loaded child, started again if need be. */
  async #ready(): Promise<HandlerChild> {
    this.#refuseIfStopped();
    const waitMs = this.#retryAtMs - this.#clock.now();
    if (this.#child === null && waitMs > WAIT_FOR_RESTART_MS) throw this.#keepsDying(waitMs);
    if (this.#child === null && waitMs > 0) {
      await new Promise<void>((resolve) => void this.#clock.after(waitMs, resolve));
      this.#refuseIfStopped();
    }
    const child = this.#current();
    await child.loaded;
    // One that ended meanwhile has run nothing of this call: the next one takes it, unless that is too far off.
    return (await child.takesCalls()) ? child : this.#ready();
  }

  #current(): HandlerChild {
    if (this.#child) return this.#child;
    this.#child = this.#spawn();
    this.#cancelRestart();
    return this.#child;
  }

  #spawn(): HandlerChild {
    const startedMs = this.#clock.now();
    let loaded = false;
    const child = new HandlerChild({
      version: this.#version,
      secrets: this.#secrets,
      limits: this.#limits,
      clock: this.#clock,
      onPrint: (callId, stream, level, text) => this.#print(callId, stream, level, text),
      onGone: (reason) => {
        this.#children.delete(child);
        if (this.#child !== child) return;
        this.#child = null;
        if (!this.#stopped) this.#mourn(reason, loaded, this.#clock.now() - startedMs);
      },
    });
    this.#children.add(child);
    child.loaded.then(
      () => (loaded = true),
      () => undefined,
    );
    return child;
  }

  /** The process died by itself: the next one comes at once, or later if it keeps dying. */
  #mourn(reason: GpufaasError, wasLoaded: boolean, livedMs: number): void {
    this.#lastReason = reason;
    if (livedMs >= STABLE_MS) this.#earlyDeaths = 0;
    else this.#earlyDeaths++;
    const backoffMs =
      this.#earlyDeaths <= 1 ? 0 : Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (this.#earlyDeaths - 2));
    this.#retryAtMs = this.#clock.now() + backoffMs;
    // However much it printed before, the reason is not left out.
    if (reason.code === 'HANDLER_DIED') this.#log(null, 'log', 'error', safeLines(reason.message).join(' '));
    this.#callbacks.onNotice('the process of a handler is gone', {
      version: this.#version.version,
      reason: reason.message,
      restartInMs: wasLoaded ? backoffMs : null,
    });
    // A module that can't even be loaded is tried again when it is asked for, not before.
    if (!wasLoaded) return;
    this.#cancelRestart = this.#clock.after(backoffMs, () => {
      try {
        this.#current();
      } catch (error) {
        this.#mourn(toGpufaasError(error), true, 0);
      }
    });
  }

  /** Replaces a process that has grown: the next one is ready before the old one gets no more calls and then ends. */
  #recycleIfLarge(child: HandlerChild): void {
    const nowMs = this.#clock.now();
    if (this.#recycling || this.#child !== child || nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + LOOK_EVERY_MS;
    const bytes = child.residentBytes() ?? 0;
    if (bytes < this.#limits.memoryBytes * RECYCLE_SHARE && child.abandoned < MAX_ABANDONED) return;
    this.#recycling = true;
    const replace = async (): Promise<void> => {
      try {
        const next = this.#spawn();
        await next.loaded;
        if (this.#stopped) return;
        this.#callbacks.onNotice('a handler that had grown was replaced', {
          version: this.#version.version,
          residentBytes: bytes,
          abandonedCalls: child.abandoned,
        });
        this.#child = next;
        await child.stop(this.#version.manifest.timeoutMs);
      } catch {
        // The old process goes on; the reason was printed.
      } finally {
        this.#recycling = false;
      }
    };
    void replace();
  }

  #print(callId: string | null, stream: LogLine['stream'], level: LogLine['level'], text: string): void {
    for (const safe of safeLines(text)) {
      const admitted = this.#lineLimit.admit((count) =>
        this.#log(null, stream, 'warn', `${count} lines were left out: the handler prints too much.`),
      );
      if (admitted) this.#log(callId, stream, level, safe);
    }
  }

  #log(callId: string | null, stream: LogLine['stream'], level: LogLine['level'], text: string): void {
    const { name, version } = this.#version;
    this.#callbacks.onLog({ atMs: this.#clock.wall(), function: name, version, callId, stream, level, text });
  }

  #keepsDying(waitMs: number): GpufaasError {
    const why = this.#lastReason;
    if (why?.code === 'HANDLER_ERROR') return why;
    return new GpufaasError(
      'HANDLER_DIED',
      `${why?.message ?? 'The handler died.'} It keeps dying; the next try is in ${formatDuration(waitMs)}.`,
      {
        suggestions: ['Look at what it printed: `gpufaas logs`; or go back: `gpufaas rollback`.'],
        retryAfterMs: waitMs,
      },
    );
  }

  #refuseIfStopped(): void {
    if (this.#stopped) throw new GpufaasError('DRAINING', 'The function was stopped.', { suggestions: ['Try again.'] });
  }
}

/** Calls `finish` when the body ended, broke, or was left. */
async function* until(body: AsyncIterable<Uint8Array>, finish: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } finally {
    finish();
  }
}

function timedOut(timeoutMs: number): GpufaasError {
  return new GpufaasError('TIMEOUT', `The handler took longer than ${formatDuration(timeoutMs)}.`, {
    suggestions: ['Raise `timeout` in function.yaml, or look with `gpufaas explain` where the time went.'],
  });
}

function abortReason(signal: CancelSignal): GpufaasError {
  const { reason } = signal as { reason: unknown };
  if (reason instanceof GpufaasError) return reason;
  return new GpufaasError('CANCELLED', 'The call was cancelled.', { cause: toGpufaasError(reason) });
}
