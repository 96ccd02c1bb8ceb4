// A small bounded pool of threads for large JSON: parsing and writing it would hold up everything else on the main
// thread. Threads start when first needed; one that runs out of memory is replaced, and only its own job fails.

import type { Transferable } from 'node:worker_threads';
import { Worker } from 'node:worker_threads';
import { GpufaasError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import type { Tensor } from '../tensors.ts';
import type { AnswerHead, EncodedAnswer, InferRequest, RequestedOutput, Signature } from './open-inference/types.ts';

/** What a thread is asked. */
export type JsonJob =
  | {
      readonly kind: 'decode';
      readonly body: Uint8Array;
      readonly headerLength: number | null;
      readonly signature: Signature;
    }
  | {
      readonly kind: 'encode';
      readonly head: AnswerHead;
      readonly outputs: readonly Tensor[];
      readonly requested: readonly RequestedOutput[];
    };

/** What it answers. */
export type JsonReply =
  | { readonly ok: true; readonly kind: 'decode'; readonly value: InferRequest }
  | { readonly ok: true; readonly kind: 'encode'; readonly value: EncodedAnswer }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string; readonly suggestions: readonly string[] };

/** Bounds of a pool. */
export interface JsonPoolOptions {
  readonly threads: number;
  /** Jobs waiting for a thread; more are QUEUE_FULL. */
  readonly maxQueued: number;
  /** A job that takes longer is ended with TIMEOUT. */
  readonly timeoutMs: number;
  /** Heap of one thread; more than what the decoder lets a body unfold to. */
  readonly heapMegabytes: number;
}

const DEFAULTS: JsonPoolOptions = { threads: 2, maxQueued: 256, timeoutMs: 60_000, heapMegabytes: 2048 };

interface Pending {
  readonly job: JsonJob;
  readonly transfer: Transferable[];
  readonly resolve: (reply: JsonReply) => void;
  readonly reject: (error: GpufaasError) => void;
}

/** The threads. Its owner closes it. */
export class JsonPool {
  readonly #options: JsonPoolOptions;
  readonly #idle: Worker[] = [];
  readonly #busy = new Set<Worker>();
  readonly #queue: Pending[] = [];
  #closed = false;

  constructor(options: Partial<JsonPoolOptions> = {}) {
    this.#options = { ...DEFAULTS, ...options };
  }

  /** As `decodeRequest`, on a thread. The body's memory moves there: the caller must not touch it again. */
  async decode(body: Uint8Array, headerLength: number | null, signature: Signature): Promise<InferRequest> {
    const owned = whole(body);
    const reply = await this.#run({ kind: 'decode', body: owned, headerLength, signature }, [owned.buffer]);
    if (reply.ok && reply.kind === 'decode') return reply.value;
    throw failure(reply);
  }

  /** As `encodeAnswer`, on a thread. The tensors' memory moves there where they own it. */
  async encode(
    head: AnswerHead,
    outputs: readonly Tensor[],
    requested: readonly RequestedOutput[],
  ): Promise<EncodedAnswer> {
    const wanted = outputs.filter((output) => requested.some((each) => each.name === output.name));
    const buffers = new Set<ArrayBuffer>();
    const owned = wanted.map((output) => {
      let data = whole(output.data);
      // Two outputs over one buffer can't both move it.
      if (buffers.has(data.buffer)) data = data.slice();
      buffers.add(data.buffer);
      return { name: output.name, datatype: output.datatype, shape: output.shape, data };
    });
    const reply = await this.#run({ kind: 'encode', head, outputs: owned, requested }, [...buffers]);
    if (reply.ok && reply.kind === 'encode') return reply.value;
    throw failure(reply);
  }

  /** Ends every thread; jobs under way and waiting are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const pending of this.#queue.splice(0)) pending.reject(closed());
    await Promise.all([...this.#idle.splice(0), ...this.#busy].map((worker) => worker.terminate()));
  }

  #run(job: JsonJob, transfer: Transferable[]): Promise<JsonReply> {
    if (this.#closed) return Promise.reject(closed());
    if (this.#queue.length >= this.#options.maxQueued) {
      return Promise.reject(
        new GpufaasError('QUEUE_FULL', 'Too many large JSON bodies at once.', {
          retryAfterMs: 1000,
          suggestions: ['Send tensors as binary data: it needs no parsing.'],
        }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, transfer, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#queue.length === 0) return;
    const worker = this.#idle.pop() ?? (this.#busy.size < this.#options.threads ? this.#start() : undefined);
    if (worker === undefined) return;
    const pending = this.#queue.shift()!;
    this.#busy.add(worker);
    this.#perform(worker, pending);
  }

  #start(): Worker {
    const entry = new URL(import.meta.url.endsWith('.ts') ? './json-worker.ts' : './json-worker.js', import.meta.url);
    const worker = new Worker(entry, { resourceLimits: { maxOldGenerationSizeMb: this.#options.heapMegabytes } });
    worker.unref();
    // An idle thread that ends is simply not used again; a busy one is watched by its job.
    worker.on('error', () => {});
    worker.on('exit', () => {
      const index = this.#idle.indexOf(worker);
      if (index >= 0) this.#idle.splice(index, 1);
    });
    return worker;
  }

  #perform(worker: Worker, pending: Pending): void {
    const settle = (keep: boolean, finish: () => void): void => {
      clearTimeout(timer);
      worker.off('message', onMessage);
      worker.off('error', onError);
      worker.off('exit', onExit);
      this.#busy.delete(worker);
      if (keep && !this.#closed) {
        this.#idle.push(worker);
      } else {
        void worker.terminate();
      }
      finish();
      this.#next();
    };
    const onMessage = (reply: JsonReply): void => settle(true, () => pending.resolve(reply));
    const onError = (error: Error): void => settle(false, () => pending.reject(threadFailure(error)));
    const onExit = (): void => settle(false, () => pending.reject(this.#closed ? closed() : threadFailure(undefined)));
    const timer = setTimeout(() => {
      settle(false, () => pending.reject(new GpufaasError('TIMEOUT', 'The JSON took too long to process.')));
    }, this.#options.timeoutMs);
    timer.unref();
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', onExit);
    try {
      worker.postMessage(pending.job, pending.transfer);
    } catch (error) {
      settle(true, () =>
        pending.reject(new GpufaasError('INTERNAL', 'A body could not be handed over.', { cause: error })),
      );
    }
  }
}

/** The view itself if it is all of its buffer, else a copy that is. */
function whole(view: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = view;
  return buffer instanceof ArrayBuffer && buffer.byteLength === view.byteLength
    ? new Uint8Array(buffer)
    : new Uint8Array(view);
}

const closed = (): GpufaasError => new GpufaasError('DRAINING', 'The daemon is shutting down.');

const threadFailure = (error: Error | undefined): GpufaasError =>
  new GpufaasError('INTERNAL', 'A JSON thread ended early.', { cause: error });

function failure(reply: JsonReply): GpufaasError {
  if (reply.ok) return new GpufaasError('INTERNAL', 'A JSON thread answered something else.');
  return new GpufaasError(reply.code, reply.message, { suggestions: reply.suggestions });
}
