// What passes between the daemon and a handler's process, on the frames of workers/transport.ts. The child runs other
// people's code: whatever comes from it is checked before it is believed.

import { GpufaasError, isErrorCode, type ErrorCode } from '../errors.ts';
import { DATATYPE_BYTES, elementCount, type Datatype, type Tensor } from '../tensors.ts';
import type { Message } from '../workers/transport.ts';

/** A tensor without its bytes; they are a part of the same frame. */
export interface TensorHead {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** An error as it crosses; whose it is tells `code` (null: the handler's own). */
export interface WireError {
  readonly code: ErrorCode | null;
  readonly message: string;
  readonly suggestions: readonly string[];
  readonly retryAfterMs?: number;
}

/** Daemon to child. `call` and `run` are numbers of this process's life. */
export type ToChild =
  | {
      readonly type: 'load';
      /** Absolute paths of the module and of the function's folder. */
      readonly handler: string;
      readonly folder: string;
      readonly models: readonly string[];
      readonly environment: Readonly<Record<string, string>>;
    }
  | {
      readonly type: 'call';
      readonly call: number;
      readonly callId: string;
      readonly method: string;
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
    }
  | { readonly type: 'cancel'; readonly call: number; readonly message: string }
  | { readonly type: 'outputs'; readonly run: number; readonly tensors: readonly TensorHead[] }
  | { readonly type: 'run-failed'; readonly run: number; readonly error: WireError }
  /** The reader took this many bytes of a streamed body: that many more may come. */
  | { readonly type: 'credit'; readonly call: number; readonly bytes: number }
  | { readonly type: 'ping' };

/** Child to daemon. */
export type FromChild =
  | { readonly type: 'loaded' }
  | { readonly type: 'load-failed'; readonly error: WireError }
  | {
      readonly type: 'run';
      readonly call: number;
      readonly run: number;
      readonly model: string;
      readonly tensors: readonly TensorHead[];
    }
  | { readonly type: 'run-cancelled'; readonly call: number; readonly run: number }
  | {
      readonly type: 'answer';
      readonly call: number;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly streamed: boolean;
    }
  | { readonly type: 'chunk'; readonly call: number }
  | { readonly type: 'end'; readonly call: number }
  | { readonly type: 'failed'; readonly call: number; readonly error: WireError }
  | {
      readonly type: 'log';
      readonly callId: string | null;
      readonly stream: 'stdout' | 'stderr' | 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly text: string;
    }
  | { readonly type: 'pong' };

/** Bytes of a streamed body that may be under way before the reader has taken any. */
export const STREAM_WINDOW_BYTES = 1024 * 1024;

export const tensorHeads = (tensors: readonly Tensor[]): TensorHead[] =>
  tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape }));

/** Joins heads and parts. Throws BAD_TENSOR where they do not fit together. */
export function joinTensors(heads: unknown, parts: readonly Uint8Array[]): Tensor[] {
  if (!Array.isArray(heads) || heads.length !== parts.length) throw badTensor('The tensors do not match their bytes.');
  return heads.map((head: unknown, i) => joinTensor(head, parts[i]!));
}

function joinTensor(head: unknown, data: Uint8Array): Tensor {
  const { name, datatype, shape } = (typeof head === 'object' && head !== null ? head : {}) as Partial<TensorHead>;
  if (typeof name !== 'string' || name.length > 1024) throw badTensor('A tensor has no name.');
  if (datatype !== 'BYTES' && !Object.hasOwn(DATATYPE_BYTES, String(datatype))) {
    throw badTensor(`The tensor ${JSON.stringify(name)} has no datatype that is known.`);
  }
  if (!Array.isArray(shape) || !shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0)) {
    throw badTensor(`The tensor ${JSON.stringify(name)} has no valid shape.`);
  }
  if (datatype !== 'BYTES') {
    const wanted = elementCount(shape) * DATATYPE_BYTES[datatype as keyof typeof DATATYPE_BYTES];
    if (data.byteLength !== wanted) {
      throw badTensor(`The tensor ${JSON.stringify(name)} has ${data.byteLength} bytes; its shape needs ${wanted}.`);
    }
  }
  return { name, datatype: datatype as Datatype, shape, data };
}

/** An error on its way across. */
export function toWireError(error: GpufaasError): WireError {
  const { code, message, suggestions, retryAfterMs } = error;
  return { code, message, suggestions, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

/** An error that came across; one without a code of ours is the handler's own. */
export function fromWireError(value: unknown): GpufaasError {
  const { code, message, suggestions, retryAfterMs } = (
    typeof value === 'object' && value !== null ? value : {}
  ) as Partial<WireError>;
  return new GpufaasError(
    isErrorCode(code) ? code : 'HANDLER_ERROR',
    typeof message === 'string' && message !== '' ? message.slice(0, 4096) : 'The handler failed.',
    {
      suggestions: Array.isArray(suggestions) ? suggestions.slice(0, 8).map(String) : [],
      ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    },
  );
}

/** Reads a message of the child; null if it is none of those it may send. */
export function readFromChild(message: Message): FromChild | null {
  const { type, call, run, status, headers, text, model } = message;
  const callOk = Number.isSafeInteger(call);
  switch (type) {
    case 'loaded':
    case 'load-failed':
    case 'pong':
      return message as FromChild;
    case 'log':
      return typeof text === 'string' ? (message as FromChild) : null;
    case 'run':
      return callOk && Number.isSafeInteger(run) && typeof model === 'string' ? (message as FromChild) : null;
    case 'run-cancelled':
      return callOk && Number.isSafeInteger(run) ? (message as FromChild) : null;
    case 'answer':
      return callOk && isStatus(status) && isHeaders(headers) ? (message as FromChild) : null;
    case 'chunk':
    case 'end':
    case 'failed':
      return callOk ? (message as FromChild) : null;
    default:
      return null;
  }
}

function isStatus(status: unknown): status is number {
  return Number.isInteger(status) && (status as number) >= 200 && (status as number) <= 599;
}

function isHeaders(headers: unknown): headers is Record<string, string> {
  if (typeof headers !== 'object' || headers === null) return false;
  return Object.values(headers).every((value) => typeof value === 'string');
}

function badTensor(message: string): GpufaasError {
  return new GpufaasError('BAD_TENSOR', message, {
    suggestions: ['Make tensors with `tensor(datatype, shape, data)` of gpufaas; it checks them.'],
  });
}
