// One life of a handler's process: started, loaded, serving calls, gone. Whatever way it goes, every call under way is
// told, once, and why.

import type { ChildProcess } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock.ts';
import { GpufaasError } from '../errors.ts';
import { formatDuration, formatSize } from '../units.ts';
import { CHANNEL_FD, openChannel, type Channel } from '../workers/transport.ts';
import { HandlerCall } from './call.ts';
import { LineSplitter } from './output.ts';
import { killHandler, spawnHandler, type ProcessLimits } from './spawn.ts';
import type { FunctionVersion, HandlerRequest, LogLine, RunModel } from './types.ts';
import { fromWireError, readFromChild, type FromChild, type ToChild } from './wire.ts';

/** What a child may use and how long it may take. Times in milliseconds. */
export interface ChildLimits extends ProcessLimits {
  /** To import the handler module. */
  readonly loadMs: number;
  /** How long the event loop may stand still when a call has run out of time. */
  readonly answerPingMs: number;
}

export interface HandlerChildOptions {
  readonly version: FunctionVersion;
  readonly secrets: Readonly<Record<string, string>>;
  readonly limits: ChildLimits;
  readonly clock: Clock;
  readonly onPrint: (callId: string | null, stream: LogLine['stream'], level: LogLine['level'], text: string) => void;
  /** Once, when the process is gone; everything under way has been told. */
  readonly onGone: (reason: GpufaasError) => void;
}

/** How often the memory of a busy process is looked at, and every how many looks it is asked for a sign of life. */
const WATCH_MS = 100;
const LOOKS_PER_PING = 3;

export class HandlerChild {
  /** Resolves when the handler is loaded; rejects with HANDLER_ERROR or HANDLER_DIED, which the constructor may throw too. */
  readonly loaded: Promise<void>;
  readonly #options: HandlerChildOptions;
  readonly #process: ChildProcess;
  readonly #channel: Channel;
  readonly #calls = new Map<number, HandlerCall>();
  /** Calls that were given up here and have not ended there. */
  readonly #abandoned = new Set<number>();
  readonly #load = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #cancelLoadTimer: () => void;
  #lastCall = 0;
  #unansweredSinceMs: number | null = null;
  #watching: (() => void) | null = null;
  #idle: (() => void)[] = [];
  /** Why we ended it, if we did; else the way it ended tells. */
  #verdict: GpufaasError | null = null;
  /** While a call has run out of time and the process may be blocked. */
  #suspicion: PromiseWithResolvers<void> | null = null;
  #outOfHeap = false;
  #isLoaded = false;
  #isGone = false;

  constructor(options: HandlerChildOptions) {
    this.#options = options;
    const { version, secrets, limits, clock } = options;
    const { manifest } = version;
    const folder = realFolder(version);
    this.loaded = this.#load.promise;
    // Whoever waits for `loaded` hears of it; a process nobody waits for may fail in silence.
    this.loaded.catch(() => undefined);
    this.#process = spawnHandler(folder, limits);
    this.#process.once('error', (error) => this.#finish(died(`it could not be started (${error.message})`)));
    this.#process.once('close', (code, signal) =>
      this.#finish(this.#outOfHeap ? this.#explain(code, signal) : (this.#verdict ?? this.#explain(code, signal))),
    );
    this.#capture('stdout', 'info');
    this.#capture('stderr', 'warn');
    this.#channel = openChannel(this.#process.stdio[CHANNEL_FD] as Duplex, {
      onMessage: (message, parts) => {
        const known = readFromChild(message);
        if (known) this.#receive(known, parts);
        else this.kill(died('it sent what is no message'));
      },
      onClose: (error) => {
        // Without a channel the process is of no use, even if it lives on.
        // One that broke (a cause says how) broke because the process died: its end tells more.
        if (error && error.cause === undefined) this.kill(died('it wrote into the channel to the daemon'));
        else this.#cancelKill = clock.after(1000, () => killHandler(this.#process));
      },
    });
    this.#channel.send({
      type: 'load',
      handler: join(folder, manifest.handler ?? ''),
      folder,
      models: Object.keys(manifest.models),
      environment: { ...manifest.environment, ...secrets },
    });
    this.#cancelLoadTimer = clock.after(limits.loadMs, () =>
      this.kill(
        new GpufaasError(
          'HANDLER_ERROR',
          `${manifest.handler} was not loaded within ${formatDuration(limits.loadMs)}.`,
          {
            suggestions: ['Move slow work out of the top level of the module, into the handler.'],
          },
        ),
      ),
    );
  }

  #cancelKill: () => void = () => undefined;

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get gone(): boolean {
    return this.#isGone;
  }

  /**
   * True if it takes a call: at once, or after a doubt about it is settled; false once it is gone. What is not handed to
   * a process that is blocked or about to end need not fail with it.
   */
  async takesCalls(): Promise<boolean> {
    await this.#suspicion?.promise;
    if (this.#verdict !== null) await this.#gone.promise;
    return !this.#isGone;
  }

  get underWay(): number {
    return this.#calls.size;
  }

  /** Calls that nobody waits for any more, but which the handler has not ended. */
  get abandoned(): number {
    return this.#abandoned.size;
  }

  /** Hands a call to the handler; the process must be loaded and not gone. */
  call(request: HandlerRequest, runModel: RunModel): HandlerCall {
    const number = ++this.#lastCall;
    const call = new HandlerCall({
      number,
      request,
      runModel,
      send: (message, parts) => this.#channel.send(message, parts),
      tell: (message) => this.#tell(message),
      onEnd: (settled) => {
        this.#calls.delete(number);
        if (!settled) this.#abandoned.add(number);
        if (this.#calls.size === 0) this.#becameIdle();
      },
    });
    this.#calls.set(number, call);
    this.#watch();
    return call;
  }

  /** Ends the process if its event loop does not turn: a handler that blocks can not be told to stop. */
  endIfBlocked(): void {
    const { limits, clock } = this.#options;
    this.#ping();
    this.#suspicion ??= Promise.withResolvers();
    // It has been asked since before the call ran out of time: what is left of the limit is seldom much.
    const check = (): void => {
      if (this.#unansweredSinceMs === null || this.#isGone) return;
      const silentMs = clock.now() - this.#unansweredSinceMs;
      if (silentMs >= limits.answerPingMs) this.kill(died('a call ran out of time and blocked it'));
      else clock.after(limits.answerPingMs - silentMs, check);
    };
    check();
  }

  #trust(): void {
    this.#suspicion?.resolve();
    this.#suspicion = null;
  }

  /** Asks whether the event loop turns; the oldest question without an answer is what counts. */
  #ping(): void {
    if (this.#unansweredSinceMs !== null) return;
    this.#unansweredSinceMs = this.#options.clock.now();
    this.#tell({ type: 'ping' });
  }

  #tell(message: ToChild): void {
    try {
      this.#channel.send(message);
    } catch {
      this.kill(died('it does not read what it is sent'));
    }
  }

  /** Resident set of the process in bytes; null where the system does not tell. */
  residentBytes(): number | null {
    if (process.platform !== 'linux' || this.pid === undefined || this.#isGone) return null;
    try {
      return Number(readFileSync(`/proc/${this.pid}/statm`, 'latin1').split(' ')[1]) * 4096;
    } catch {
      return null;
    }
  }

  /** Ends the process at once; calls under way are rejected with the reason. */
  kill(reason: GpufaasError): void {
    this.#verdict ??= reason;
    this.#trust();
    killHandler(this.#process);
  }

  /** Lets calls under way end for at most `graceMs`, then ends the process. Resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    if (this.#calls.size > 0 && !this.#isGone && graceMs > 0) {
      await new Promise<void>((resolve) => {
        const cancel = this.#options.clock.after(graceMs, resolve);
        this.#idle.push(() => {
          cancel();
          resolve();
        });
      });
    }
    this.kill(new GpufaasError('DRAINING', 'The function was stopped.', { suggestions: ['Try again.'] }));
    await this.#gone.promise;
  }

  #receive(message: FromChild, parts: Uint8Array[]): void {
    switch (message.type) {
      case 'loaded':
        this.#cancelLoadTimer();
        this.#isLoaded = true;
        this.#load.resolve();
        break;
      case 'load-failed':
        this.kill(fromWireError(message.error));
        break;
      case 'pong':
        this.#unansweredSinceMs = null;
        this.#trust();
        break;
      case 'log':
        this.#options.onPrint(message.callId, message.stream, message.level, message.text);
        break;
      default:
        this.#calls.get(message.call)?.receive(message, parts);
        if (message.type === 'answer' ? !message.streamed : message.type === 'end' || message.type === 'failed') {
          this.#abandoned.delete(message.call);
        }
    }
  }

  #capture(name: 'stdout' | 'stderr', level: LogLine['level']): void {
    const lines = new LineSplitter((line) => {
      // V8's own words before it aborts; nothing else tells this end from others.
      if (name === 'stderr' && line.includes('JavaScript heap out of memory')) this.#outOfHeap = true;
      this.#options.onPrint(null, name, level, line);
    });
    this.#process[name]?.on('data', (chunk: Uint8Array) => lines.push(chunk));
    this.#process[name]?.on('end', () => lines.end());
  }

  /** While calls are under way: is there memory left, and does the event loop turn? */
  #watch(): void {
    if (this.#watching) return;
    const { limits, clock } = this.#options;
    let looks = 0;
    const look = (): void => {
      if ((this.residentBytes() ?? 0) > limits.memoryBytes) return this.kill(outOfMemory(limits.memoryBytes));
      if (++looks % LOOKS_PER_PING === 0) this.#ping();
      this.#watching = clock.after(WATCH_MS, look);
    };
    this.#watching = clock.after(WATCH_MS, look);
  }

  #becameIdle(): void {
    this.#watching?.();
    this.#watching = null;
    for (const wake of this.#idle.splice(0)) wake();
  }

  #explain(code: number | null, signal: NodeJS.Signals | null): GpufaasError {
    if (this.#outOfHeap) return outOfMemory(this.#options.limits.memoryBytes);
    const how =
      signal !== null
        ? `was ended by ${signal}`
        : code === 0
          ? 'ended by itself (process.exit?)'
          : `ended with exit code ${code}`;
    return this.#isLoaded ? died(`it ${how}`) : diedWhileLoading(this.#options.version, how);
  }

  #finish(reason: GpufaasError): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#trust();
    this.#cancelLoadTimer();
    this.#cancelKill();
    this.#channel?.close();
    this.#load.reject(reason);
    for (const call of Array.from(this.#calls.values())) call.lost(reason);
    this.#becameIdle();
    this.#gone.resolve();
    this.#options.onGone(reason);
  }
}

/** The permission model compares real paths. Throws HANDLER_ERROR if the folder is gone. */
function realFolder({ name, version, folder }: FunctionVersion): string {
  try {
    return realpathSync(folder);
  } catch (error) {
    throw new GpufaasError('HANDLER_ERROR', `The folder of ${name} version ${version} is gone.`, {
      cause: error,
      suggestions: ['Deploy the function again.'],
    });
  }
}

function died(how: string): GpufaasError {
  return new GpufaasError('HANDLER_DIED', `The process of the handler is gone: ${how}.`, {
    suggestions: ['It is started again by itself; `gpufaas logs` shows what it printed last.'],
  });
}

function diedWhileLoading({ manifest }: FunctionVersion, how: string): GpufaasError {
  return new GpufaasError('HANDLER_ERROR', `${manifest.handler} can not be loaded: its process ${how}.`, {
    suggestions: ['Look for what ends it at the top level of the module; try it with `gpufaas/testing`.'],
  });
}

function outOfMemory(limitBytes: number): GpufaasError {
  return new GpufaasError(
    'HANDLER_DIED',
    `The process of the handler is gone: it used more than ${formatSize(limitBytes)} of memory.`,
    {
      suggestions: ['Look for what the handler keeps between calls; work on large inputs in pieces.'],
    },
  );
}
