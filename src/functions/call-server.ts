// In a handler's process: the calls under way. Gives each its request and context, carries its runs to the daemon and its
// answer back, whole or in pieces no faster than they are taken.

import { GpufaasError } from '../errors.ts';
import type { Handler, HandlerContext, Model } from '../sdk.ts';
import { ModelOutput, toWire, type InputTensor } from '../sdk/tensor.ts';
import { nearest } from '../nearest.ts';
import type { Capture } from './capture.ts';
import { handlerError, readableStack } from './handler-errors.ts';
import { functionRequest } from './request.ts';
import { httpErrorResponse, isHttpError, toResponse } from './responses.ts';
import type { HandlerResponse } from './types.ts';
import {
  fromWireError,
  joinTensors,
  STREAM_WINDOW_BYTES,
  tensorHeads,
  toWireError,
  type FromChild,
  type ToChild,
} from './wire.ts';

export interface CallServerOptions {
  readonly handler: Handler;
  /** The function's folder. */
  readonly folder: string;
  readonly models: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly capture: Capture;
  readonly send: (message: FromChild, parts?: readonly Uint8Array[]) => void;
  readonly drained: () => Promise<void>;
}

interface Call {
  readonly id: string;
  readonly abort: AbortController;
  /** Bytes of its streamed body that may still be sent. */
  credit: number;
  /** Called when there is credit again. */
  proceed: (() => void) | null;
}

interface Run {
  readonly resolve: (outputs: Record<string, ModelOutput>) => void;
  readonly reject: (error: GpufaasError) => void;
}

/** Pieces of a body in one frame at most. */
const PIECE_BYTES = 256 * 1024;

export class CallServer {
  readonly #options: CallServerOptions;
  readonly #calls = new Map<number, Call>();
  readonly #runs = new Map<number, Run>();
  #lastRun = 0;

  constructor(options: CallServerOptions) {
    this.#options = options;
  }

  receive(message: ToChild, parts: Uint8Array[]): void {
    switch (message.type) {
      case 'call':
        void this.#serve(message, parts[0] ?? new Uint8Array(0));
        break;
      case 'cancel':
        this.#cancel(message.call, message.message);
        break;
      case 'credit':
        this.#grant(message.call, message.bytes);
        break;
      case 'outputs': {
        const outputs = joinTensors(message.tensors, parts).map(
          (tensor) => [tensor.name, new ModelOutput(tensor)] as const,
        );
        this.#takeRun(message.run)?.resolve(Object.fromEntries(outputs));
        break;
      }
      case 'run-failed':
        this.#takeRun(message.run)?.reject(fromWireError(message.error));
        break;
      default:
        break;
    }
  }

  async #serve(message: Extract<ToChild, { type: 'call' }>, body: Uint8Array): Promise<void> {
    const { handler, folder, capture, send } = this.#options;
    const { call: number, callId } = message;
    const call: Call = { id: callId, abort: new AbortController(), credit: STREAM_WINDOW_BYTES, proceed: null };
    this.#calls.set(number, call);
    try {
      await capture.within(callId, async () => {
        try {
          const value = await handler(functionRequest({ ...message, body }), this.#context(number, call));
          await this.#answer(number, call, await toResponse(value));
        } catch (thrown) {
          if (!isHttpError(thrown)) throw thrown;
          await this.#answer(number, call, httpErrorResponse(thrown));
        }
      });
    } catch (thrown) {
      const error = handlerError(thrown, folder);
      if (!call.abort.signal.aborted && error.code === 'HANDLER_ERROR') {
        capture.logOf(callId).error(readableStack(thrown, folder));
      }
      send({ type: 'failed', call: number, error: toWireError(error) });
    } finally {
      this.#calls.delete(number);
    }
  }

  /** What listens to the signal belongs to the call, and so does what it prints. */
  #cancel(number: number, reason: string): void {
    const call = this.#calls.get(number);
    if (!call) return;
    this.#options.capture.within(call.id, () => call.abort.abort(new DOMException(reason, 'AbortError')));
    call.proceed?.();
  }

  #context(number: number, call: Call): HandlerContext {
    const { models, environment, capture } = this.#options;
    const entries = models.map((name): [string, Model] => [
      name,
      {
        name,
        run: (inputs, options) => this.#run(number, call, name, inputs, options?.signal) as ReturnType<Model['run']>,
      },
    ]);
    return {
      models: withHint(Object.fromEntries(entries)),
      environment,
      log: capture.logOf(call.id),
      signal: call.abort.signal,
    };
  }

  async #run(
    number: number,
    call: Call,
    model: string,
    inputs: Readonly<Record<string, InputTensor>>,
    signal: AbortSignal | undefined,
  ): Promise<Record<string, ModelOutput>> {
    const either = signal ? AbortSignal.any([signal, call.abort.signal]) : call.abort.signal;
    either.throwIfAborted();
    if (typeof inputs !== 'object' || inputs === null) {
      throw new GpufaasError('BAD_TENSOR', `models.${model}.run takes its inputs by name: run({ input: tensor }).`);
    }
    const tensors = Object.entries(inputs).map(([name, value]) => toWire(name, value));
    const run = ++this.#lastRun;
    const { promise, resolve, reject } = Promise.withResolvers<Record<string, ModelOutput>>();
    const onAbort = (): void => {
      this.#runs.delete(run);
      this.#options.send({ type: 'run-cancelled', call: number, run });
      reject(either.reason);
    };
    this.#runs.set(run, { resolve, reject });
    either.addEventListener('abort', onAbort, { once: true });
    try {
      this.#options.send(
        { type: 'run', call: number, run, model, tensors: tensorHeads(tensors) },
        tensors.map((tensor) => tensor.data),
      );
      return await promise;
    } finally {
      this.#runs.delete(run);
      either.removeEventListener('abort', onAbort);
    }
  }

  #takeRun(run: number): Run | undefined {
    const taken = this.#runs.get(run);
    this.#runs.delete(run);
    return taken;
  }

  async #answer(number: number, call: Call, { status, headers, body }: HandlerResponse): Promise<void> {
    const { send } = this.#options;
    if (body instanceof Uint8Array)
      return send({ type: 'answer', call: number, status, headers, streamed: false }, [body]);
    send({ type: 'answer', call: number, status, headers, streamed: true });
    for await (const piece of body) {
      for (let at = 0; at < piece.byteLength; at += PIECE_BYTES) {
        const part = piece.subarray(at, at + PIECE_BYTES);
        await this.#spend(call, part.byteLength);
        send({ type: 'chunk', call: number }, [part]);
        // The bytes are not copied: a handler that reuses its buffer must not overtake the system.
        await this.#options.drained();
      }
    }
    send({ type: 'end', call: number });
  }

  /** Waits until the reader has room for so many bytes; throws when nobody reads any more. */
  async #spend(call: Call, bytes: number): Promise<void> {
    call.abort.signal.throwIfAborted();
    while (call.credit <= 0) {
      await new Promise<void>((resolve) => (call.proceed = resolve));
      call.proceed = null;
      call.abort.signal.throwIfAborted();
    }
    call.credit -= bytes;
  }

  #grant(number: number, bytes: number): void {
    const call = this.#calls.get(number);
    if (!call) return;
    call.credit += bytes;
    call.proceed?.();
  }
}

/** Models by name; asking for one that is not declared says so instead of "undefined has no run". */
function withHint(models: Record<string, Model>): Record<string, Model> {
  return new Proxy(models, {
    get(target, key) {
      if (typeof key !== 'string' || key in target || key === 'then') return Reflect.get(target, key) as Model;
      const meant = nearest(key, Object.keys(target));
      throw new GpufaasError('HANDLER_ERROR', `function.yaml declares no model "${key.slice(0, 63)}".`, {
        suggestions: [
          meant ? `Did you mean models.${meant}?` : `It declares: ${Object.keys(target).join(', ') || 'none'}.`,
        ],
      });
    },
  });
}
