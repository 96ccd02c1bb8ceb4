// The main thread's side of a model's thread. A thread is only ended when it is empty and idle: ending one during a run
// would abort the process. A thread that ends by itself takes the process with it, for its native half is lost.

import { Worker } from 'node:worker_threads';
import { GpufaasError } from '../errors.ts';
import { buffersOf } from './buffers-of.ts';
import type { HostedSignature, ModelHost } from './model-host.ts';
import type { RunAnswer, RunRequest } from './payload.ts';
import { type ErrorMessage, fromErrorMessage, type WorkerConfig } from './protocol.ts';
import type { LoadableModel } from './types.ts';

/** What a model's thread is asked; each model has its place in it. */
export type ToThread =
  | {
      readonly type: 'load';
      readonly call: number;
      readonly place: number;
      readonly model: LoadableModel;
      /** Absent: as many as the device gives one session. */
      readonly threads?: number;
    }
  | { readonly type: 'run'; readonly call: number; readonly place: number; readonly request: RunRequest }
  | { readonly type: 'release'; readonly call: number; readonly place: number };

/** What a thread is started with. */
export interface ThreadData {
  readonly config: WorkerConfig;
  readonly number: number;
  /** Shared by the threads of the process: see `Turns`. */
  readonly turns: SharedArrayBuffer;
}

/** What it answers; `call` is null for its start. */
export type FromThread =
  | { readonly type: 'warm' }
  | { readonly type: 'loaded'; readonly call: number; readonly signature: HostedSignature }
  | { readonly type: 'ran'; readonly call: number; readonly answer: RunAnswer }
  | { readonly type: 'released'; readonly call: number }
  /** The device failed during a run that came on the lane. */
  | { readonly type: 'lost'; readonly error: ErrorMessage }
  | { readonly type: 'failed'; readonly call: number | null; readonly error: ErrorMessage };

interface Waiting {
  resolve(message: FromThread): void;
  reject(error: GpufaasError): void;
}

const THREAD_ENTRY = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js', import.meta.url);

/** Starts a thread; `warm` resolves when its runtime is up and proven, or rejects with NO_DEVICE. */
export class ModelThread {
  readonly warm: Promise<void>;
  /** Its number among the threads of this process. */
  readonly number: number;
  readonly #thread: Worker;
  readonly #onDeath: (reason: string) => void;
  readonly #calls = new Map<number | null, Waiting>();
  #nextCall = 0;
  #ending = false;

  constructor(data: ThreadData, onDeath: (reason: string) => void) {
    this.number = data.number;
    this.#onDeath = onDeath;
    this.#thread = new Worker(THREAD_ENTRY, {
      workerData: data,
      // A thread's own JavaScript is small; what is large lives outside its heap.
      resourceLimits: { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 256 },
    });
    this.#thread.on('message', (message: FromThread) => this.#onMessage(message));
    this.#thread.on('error', (error: Error) => onDeath(`a model's thread failed: ${error.message}`));
    this.#thread.on('exit', () => {
      if (!this.#ending) onDeath("a model's thread ended by itself");
    });
    this.warm = new Promise<FromThread>((resolve, reject) => this.#calls.set(null, { resolve, reject })).then(
      () => undefined,
    );
  }

  #onMessage(message: FromThread): void {
    if (message.type === 'lost') return this.#onDeath(message.error.message);
    const call = message.type === 'warm' ? null : message.call;
    const waiting = this.#calls.get(call);
    this.#calls.delete(call);
    if (message.type === 'failed') {
      // The device's context is gone for this whole process: only a new one helps, and the runner starts it.
      if (message.error.code === 'WORKER_DIED') this.#onDeath(message.error.message);
      waiting?.reject(fromErrorMessage(message.error));
    } else {
      waiting?.resolve(message);
    }
  }

  /** Sends a message and waits for the answer of this type. */
  ask<T extends FromThread['type']>(
    type: T,
    message: (call: number) => ToThread,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<Extract<FromThread, { type: T }>> {
    const call = this.#nextCall++;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, {
        reject,
        resolve: (answer) => {
          if (answer.type === type) resolve(answer as Extract<FromThread, { type: T }>);
          else reject(new GpufaasError('INTERNAL', `A model's thread answered ${answer.type} instead of ${type}.`));
        },
      });
      this.#thread.postMessage(message(call), [...transfer]);
    });
  }

  /** Ends the thread, which must be idle. */
  async end(): Promise<void> {
    this.#ending = true;
    await this.#thread.terminate();
  }
}

/** A model's place in a thread: its own one, or one that it shares. */
export class ThreadHost implements ModelHost {
  readonly lane: number;
  readonly #thread: ModelThread;
  readonly #place: number;
  readonly #owned: boolean;

  constructor(thread: ModelThread, place = 0, owned = true) {
    this.#thread = thread;
    this.lane = thread.number;
    this.#place = place;
    this.#owned = owned;
  }

  async load(model: LoadableModel, threads?: number): Promise<HostedSignature> {
    const place = this.#place;
    const asked = { place, model, ...(threads !== undefined && { threads }) };
    return (await this.#thread.ask('loaded', (call) => ({ type: 'load', call, ...asked }))).signature;
  }

  async run(request: RunRequest): Promise<RunAnswer> {
    const place = this.#place;
    const message = (call: number): ToThread => ({ type: 'run', call, place, request });
    return (await this.#thread.ask('ran', message, buffersOf(request.parts))).answer;
  }

  async release(): Promise<void> {
    const place = this.#place;
    await this.#thread.ask('released', (call) => ({ type: 'release', call, place }));
  }

  async end(): Promise<void> {
    if (this.#owned) await this.#thread.end();
  }
}
