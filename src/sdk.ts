// What a handler imports from 'gpufaas': `defineHandler`, tensors, and the error that answers with a status.
// Public: names and meanings only grow.

import type { InputTensor, OutputTensor } from './sdk/tensor.ts';

export { tensor } from './sdk/tensor.ts';
export type { InputTensor, OutputTensor, TensorData, TensorDatatype } from './sdk/tensor.ts';

/** One call of the function. The body is what was sent, unchanged. */
export interface FunctionRequest {
  readonly callId: string;
  /** `POST`, `GET`, … */
  readonly method: string;
  /** What follows /function/{name}, without the query: `/` or `/sub/path`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** The body as it is. */
  bytes(): Uint8Array;
  /** The body as UTF-8. */
  text(): string;
  /** The body parsed as JSON; if it is none, the call is answered with 400. */
  json<T = unknown>(): T;
}

/** A model of function.yaml. */
export interface Model {
  /** Its name in function.yaml. */
  readonly name: string;
  /**
   * One inference, placed by the scheduler on a device; resolves with the outputs by name. Rejects with an error whose
   * `code` is stable (BAD_TENSOR, TIMEOUT, QUEUE_FULL, …); left uncaught, the call is answered with its status.
   */
  run<Outputs extends string = string>(
    inputs: Readonly<Record<string, InputTensor>>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Record<Outputs, OutputTensor>>;
}

/** Lines for `gpufaas logs`, tied to the call; `fields` are added as JSON. */
export interface FunctionLog {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** What a handler is given beside the request. */
export interface HandlerContext<Models extends string = string> {
  /** The models of function.yaml, by name. */
  readonly models: Readonly<Record<Models, Model>>;
  /** `environment` of function.yaml, and its secrets by their names. */
  readonly environment: Readonly<Record<string, string>>;
  readonly log: FunctionLog;
  /** Fires when nobody waits for the answer any more: the caller went, the call was cancelled, or its time is up. */
  readonly signal: AbortSignal;
}

/**
 * What a handler may return: a Response, a string (text/plain), bytes (application/octet-stream), an async iterable
 * (streamed: bytes, strings, or one JSON line per value), undefined (204), or anything else as JSON. Typed arrays become
 * lists and whole BigInts numbers in JSON. Or a promise of any of these.
 */
export type HandlerResult = unknown;

/** A function from request to answer. */
export type Handler<Models extends string = string> = (
  request: FunctionRequest,
  context: HandlerContext<Models>,
) => HandlerResult;

/**
 * Defines the handler of a function; export it as the default. Name the models to have them checked and typed:
 * `defineHandler<'detector' | 'classifier'>(async (request, { models }) => …)`.
 */
export function defineHandler<Models extends string = string>(handler: Handler<Models>): Handler<Models> {
  if (typeof handler !== 'function')
    throw new TypeError('defineHandler takes a function: (request, context) => answer.');
  return handler;
}

/** Throw it to answer with a status: `throw new HttpError(422, 'No face in the image.')` answers `{"error": "…"}`. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;
  /** Merged into the JSON that is answered. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(status: number, message: string, details: Readonly<Record<string, unknown>> = {}) {
    if (!Number.isInteger(status) || status < 400 || status > 599) {
      throw new RangeError(`An HttpError has a status from 400 to 599, not ${status}.`);
    }
    super(message);
    this.status = status;
    this.details = details;
  }
}

/**
 * Server-sent events from an async iterable: strings become the data of an event, other values JSON, and objects with
 * `event`, `id` or `data` are taken as whole events.
 */
export function eventStream(events: AsyncIterable<unknown>): Response {
  const encoder = new TextEncoder();
  const iterator = events[Symbol.asyncIterator]();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(formatEvent(value)));
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' } });
}

function formatEvent(value: unknown): string {
  const whole =
    typeof value === 'object' && value !== null && 'data' in value
      ? (value as Record<string, unknown>)
      : { data: value };
  const lines: string[] = [];
  for (const key of ['event', 'id']) {
    if (typeof whole[key] === 'string') lines.push(`${key}: ${whole[key].replaceAll(/[\r\n\0]/g, ' ')}`);
  }
  const data = typeof whole['data'] === 'string' ? whole['data'] : (JSON.stringify(whole['data']) ?? '');
  for (const line of data.split(/\r\n|\r|\n/)) lines.push(`data: ${line}`);
  return `${lines.join('\n')}\n\n`;
}
