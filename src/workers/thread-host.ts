// The main thread's side of a model's thread. A thread is only ended when it is empty and idle: ending one during a run
// would abort the process. A thread that ends by itself takes the process with it, for its native half is lost.

import { Worker } from 'node:worker_threads';
import { GpufaasError } from '../errors.ts';
import type { Tensor } from '../tensors.ts';
import { buffersOf } from './free-bytes.ts';
import type { HostedSignature, ModelHost } from './model-host.ts';
import { type ErrorMessage, fromErrorMessage, type WorkerConfig } from './protocol.ts';
import type { LoadableModel } from './types.ts';

/** What a model's thread is asked. A slot is one model's place in it. */
export type ToThread =
  | { readonly type: 'load'; readonly call: number; readonly slot: number; readonly model: LoadableModel }
  | { readonly type: 'run'; readonly call: number; readonly slot: number; readonly inputs: readonly Tensor[] }
  | { readonly type: 'release'; readonly call: number; readonly slot: number };

/** What it answers; `call` is null for its start. */
export type FromThread =
  | { readonly type: 'warm' }
  | { readonly type: 'loaded'; readonly call: number; readonly signature: HostedSignature }
  | { readonly type: 'ran'; readonly call: number; readonly outputs: readonly Tensor[]; readonly runMs: number }
  | { readonly type: 'released'; readonly call: number }
  | { readonly type: 'failed'; readonly call: number | null; readonly error: ErrorMessage };

interface Waiting {
  resolve(message: FromThread): void;
  reject(error: GpufaasError): void;
}

const THREAD_ENTRY = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './thread.js', import.meta.url);

/** Starts a thread; `warm` resolves when its runtime is up and proven, or rejects with NO_DEVICE. */
export class ModelThread {
  readonly warm: Promise<void>;
  readonly #thread: Worker;
  readonly #onDeath: (reason: string) => void;
  readonly #calls = new Map<number | null, Waiting>();
  #nextCall = 0;
  #ending = false;

  constructor(config: WorkerConfig, onDeath: (reason: string) => void) {
    this.#onDeath = onDeath;
    this.#thread = new Worker(THREAD_ENTRY, {
      workerData: config,
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
  readonly #thread: ModelThread;
  readonly #slot: number;
  readonly #owned: boolean;

  constructor(thread: ModelThread, slot = 0, owned = true) {
    this.#thread = thread;
    this.#slot = slot;
    this.#owned = owned;
  }

  async load(model: LoadableModel): Promise<HostedSignature> {
    const slot = this.#slot;
    return (await this.#thread.ask('loaded', (call) => ({ type: 'load', call, slot, model }))).signature;
  }

  run(inputs: readonly Tensor[]): ReturnType<ModelHost['run']> {
    const slot = this.#slot;
    return this.#thread.ask('ran', (call) => ({ type: 'run', call, slot, inputs }), buffersOf(inputs));
  }

  async release(): Promise<void> {
    const slot = this.#slot;
    await this.#thread.ask('released', (call) => ({ type: 'release', call, slot }));
  }

  async end(): Promise<void> {
    if (this.#owned) await this.#thread.end();
  }
}
