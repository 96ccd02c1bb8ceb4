// The daemon's side of one call of a handler: its runs, its answer, its streamed body. Ends exactly once, and takes
// everything it started with it.

import { GpufaasError, toGpufaasError } from '../errors.ts';
import type { HandlerRequest, HandlerResponse, RunModel } from './types.ts';
import {
  fromWireError,
  joinTensors,
  STREAM_WINDOW_BYTES,
  tensorHeads,
  toWireError,
  type FromChild,
  type ToChild,
} from './wire.ts';

/** What a process may send about a call. */
export type FromCall = Extract<FromChild, { readonly call: number }>;

export interface HandlerCallOptions {
  readonly number: number;
  readonly request: HandlerRequest;
  readonly runModel: RunModel;
  /** Throws if it can't be sent: too large, or the process does not read. */
  readonly send: (message: ToChild, parts?: readonly Uint8Array[]) => void;
  /** Never throws: for what is small and has nobody to complain to. */
  readonly tell: (message: ToChild) => void;
  /** Called once, when nothing of the call is left here; `settled` if the handler has ended it too. */
  readonly onEnd: (settled: boolean) => void;
}

/** Runs of one call at once; the caller bounds those of the function. */
const MAX_RUNS = 4096;

export class HandlerCall {
  readonly response: Promise<HandlerResponse>;
  readonly #options: HandlerCallOptions;
  readonly #resolve: (response: HandlerResponse) => void;
  readonly #reject: (error: GpufaasError) => void;
  readonly #runs = new Map<number, AbortController>();
  #body: PieceQueue | null = null;
  #ended = false;

  constructor(options: HandlerCallOptions) {
    this.#options = options;
    const { promise, resolve, reject } = Promise.withResolvers<HandlerResponse>();
    this.response = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    const { callId, method, path, headers, body } = options.request;
    options.send({ type: 'call', call: options.number, callId, method, path, headers }, [body]);
  }

  receive(message: FromCall, parts: Uint8Array[]): void {
    if (this.#ended) return;
    switch (message.type) {
      case 'run':
        void this.#run(message, parts);
        break;
      case 'run-cancelled':
        this.#runs.get(message.run)?.abort(new GpufaasError('CANCELLED', 'The handler gave up this run.'));
        break;
      case 'answer':
        this.#answer(message, parts[0] ?? new Uint8Array(0));
        break;
      case 'chunk':
        this.#body?.push(parts[0] ?? new Uint8Array(0));
        break;
      case 'end':
        if (!this.#body)
          return this.#fail(fromWireError({ message: 'The handler ended a stream it never began.' }), true);
        this.#body.finish(null);
        this.#end(true);
        break;
      case 'failed':
        this.#fail(fromWireError(message.error), true);
        break;
    }
  }

  /** Gives the call up: the handler's signal fires, its runs are cancelled, whoever waits gets the error. */
  abort(error: GpufaasError): void {
    if (this.#ended) return;
    this.#options.tell({ type: 'cancel', call: this.#options.number, message: error.message });
    this.#fail(error, false);
  }

  /** The process is gone. */
  lost(error: GpufaasError): void {
    if (!this.#ended) this.#fail(error, true);
  }

  #answer({ status, headers, streamed }: Extract<FromChild, { type: 'answer' }>, body: Uint8Array): void {
    if (this.#body) return this.#fail(fromWireError({ message: 'The handler answered twice.' }), true);
    if (!streamed) {
      this.#end(true);
      return this.#resolve({ status, headers, body });
    }
    const { number, tell } = this.#options;
    this.#body = new PieceQueue({
      onTaken: (bytes) => {
        if (!this.#ended) tell({ type: 'credit', call: number, bytes });
      },
      onLeft: () => this.abort(new GpufaasError('CANCELLED', 'Nobody reads the answer any more.')),
    });
    this.#resolve({ status, headers, body: this.#body });
  }

  async #run({ run, model, tensors }: Extract<FromChild, { type: 'run' }>, parts: Uint8Array[]): Promise<void> {
    const { runModel, send, tell } = this.#options;
    const abort = new AbortController();
    try {
      if (this.#runs.has(run) || this.#runs.size >= MAX_RUNS) {
        throw new GpufaasError('QUEUE_FULL', `A call may have ${MAX_RUNS} runs under way.`);
      }
      this.#runs.set(run, abort);
      const outputs = await runModel(model, joinTensors(tensors, parts), abort.signal);
      if (this.#ended) return;
      send(
        { type: 'outputs', run, tensors: tensorHeads(outputs) },
        outputs.map((tensor) => tensor.data),
      );
    } catch (error) {
      if (!this.#ended) tell({ type: 'run-failed', run, error: toWireError(toGpufaasError(error)) });
    } finally {
      if (this.#runs.get(run) === abort) this.#runs.delete(run);
    }
  }

  #fail(error: GpufaasError, settled: boolean): void {
    this.#body?.finish(error);
    this.#end(settled);
    this.#reject(error);
  }

  #end(settled: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const abort of this.#runs.values()) abort.abort(new GpufaasError('CANCELLED', 'The call has ended.'));
    this.#options.onEnd(settled);
  }
}

interface PieceQueueOptions {
  /** A piece was handed on. */
  readonly onTaken: (bytes: number) => void;
  /** The reader left before the end. */
  readonly onLeft: () => void;
}

/** A streamed body between its writer and its one reader; bounded by the credit the writer has. */
class PieceQueue implements AsyncIterableIterator<Uint8Array> {
  readonly #options: PieceQueueOptions;
  readonly #pieces: Uint8Array[] = [];
  #waiting: { resolve: (result: IteratorResult<Uint8Array>) => void; reject: (error: GpufaasError) => void } | null =
    null;
  #heldBytes = 0;
  #finished: { readonly error: GpufaasError | null } | null = null;

  constructor(options: PieceQueueOptions) {
    this.#options = options;
  }

  push(piece: Uint8Array): void {
    if (this.#finished) return;
    if (this.#waiting) return this.#hand(piece);
    this.#pieces.push(piece);
    this.#heldBytes += piece.byteLength;
    // The child's own code keeps within its credit; only a handler that forges messages gets here.
    if (this.#heldBytes > 2 * STREAM_WINDOW_BYTES) this.#options.onLeft();
  }

  finish(error: GpufaasError | null): void {
    this.#finished ??= { error };
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting && error) waiting.reject(error);
    else waiting?.resolve({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const piece = this.#pieces.shift();
    if (piece) {
      this.#heldBytes -= piece.byteLength;
      this.#options.onTaken(piece.byteLength);
      return Promise.resolve({ done: false, value: piece });
    }
    if (this.#finished?.error) return Promise.reject(this.#finished.error);
    if (this.#finished) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }));
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.#pieces.length = 0;
    if (!this.#finished) this.#options.onLeft();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #hand(piece: Uint8Array): void {
    const waiting = this.#waiting!;
    this.#waiting = null;
    this.#options.onTaken(piece.byteLength);
    waiting.resolve({ done: false, value: piece });
  }
}
