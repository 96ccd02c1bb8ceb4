// From what a handler returned to an HTTP answer: status, headers, and a body that is whole or comes in pieces.

import type { ReadableStreamReadResult } from 'node:stream/web';
import { GpufaasError } from '../errors.ts';
import { HttpError } from '../sdk.ts';
import type { HandlerResponse } from './types.ts';

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';
const BYTES = 'application/octet-stream';

/** The answer that a handler's return value means. Throws HANDLER_ERROR if it can't be sent. */
export async function toResponse(value: unknown): Promise<HandlerResponse> {
  if (value === undefined) return { status: 204, headers: {}, body: new Uint8Array(0) };
  if (typeof value === 'string') return whole(TEXT, Buffer.from(value));
  // A copy: the handler may use its buffer again while the bytes are still on their way.
  if (value instanceof Uint8Array) return whole(BYTES, value.slice());
  if (value instanceof ArrayBuffer) return whole(BYTES, new Uint8Array(value));
  if (value instanceof Response) return fromResponse(value);
  if (value instanceof Blob) return whole(value.type || BYTES, await value.bytes());
  if (isAsyncIterable(value)) return fromIterable(value);
  return whole(JSON_TYPE, Buffer.from(toJson(value)));
}

/** The answer to an HttpError. */
export function httpErrorResponse({ status, message, details }: HttpError): HandlerResponse {
  return { ...whole(JSON_TYPE, Buffer.from(toJson({ error: message, ...details }))), status };
}

/** True for an HttpError, also one of another copy of this package. */
export function isHttpError(thrown: unknown): thrown is HttpError {
  if (thrown instanceof HttpError) return true;
  if (!(thrown instanceof Error) || thrown.name !== 'HttpError') return false;
  const { status } = thrown as { status?: unknown };
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599;
}

function whole(type: string, body: Uint8Array): HandlerResponse {
  return { status: 200, headers: { 'content-type': type }, body };
}

async function fromResponse(response: Response): Promise<HandlerResponse> {
  const headers = Object.fromEntries(response.headers);
  const { status } = response;
  if (status < 200 || status > 599) throw unsendable(`a Response of status ${status}`);
  if (response.bodyUsed) throw unsendable('a Response whose body was read already');
  if (response.body === null) return { status, headers, body: new Uint8Array(0) };
  // A Response made of a string or bytes gives all in one piece: then nothing needs to be streamed.
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const first = await reader.read();
  if (first.done) return { status, headers, body: new Uint8Array(0) };
  const second = reader.read();
  const soon = await Promise.race([second, new Promise<null>((resolve) => void setImmediate(resolve, null))]);
  if (soon?.done) return { status, headers, body: first.value };
  return { status, headers, body: pieces(first.value, second, reader) };
}

async function* pieces(
  first: Uint8Array,
  second: Promise<ReadableStreamReadResult<Uint8Array>>,
  reader: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield first;
    for (let next = await second; !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The first piece tells the type of all. */
async function fromIterable(iterable: AsyncIterable<unknown>): Promise<HandlerResponse> {
  const iterator = iterable[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) return whole(BYTES, new Uint8Array(0));
  const { value } = first;
  const type = typeof value === 'string' ? TEXT : value instanceof Uint8Array ? BYTES : 'application/x-ndjson';
  const body = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield toPiece(value);
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield toPiece(next.value);
    } finally {
      await iterator.return?.();
    }
  };
  return { status: 200, headers: { 'content-type': type }, body: body() };
}

function toPiece(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'string') return Buffer.from(value);
  return Buffer.from(`${toJson(value)}\n`);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** JSON in which typed arrays are lists and BigInts numbers (text where a number can't hold them). */
function toJson(value: unknown): string {
  try {
    const text = JSON.stringify(value, (_key, inner: unknown) => {
      if (typeof inner === 'bigint') return Number.isSafeInteger(Number(inner)) ? Number(inner) : String(inner);
      if (ArrayBuffer.isView(inner) && !(inner instanceof DataView)) return Array.from(inner as Float32Array);
      return inner;
    });
    if (text !== undefined) return text;
  } catch (error) {
    throw unsendable(
      `a value that JSON can't hold (${error instanceof Error ? error.message.split('\n')[0] : 'unknown'})`,
    );
  }
  throw unsendable(`a ${typeof value}`);
}

function unsendable(what: string): GpufaasError {
  return new GpufaasError('HANDLER_ERROR', `The handler returned ${what}.`, {
    suggestions: ['Return JSON, a string, bytes, a Response, or an async iterable of these.'],
  });
}
