// The frame of one call, whatever its surface: its id and clock, the signal that the caller has gone, its share of the
// body budget, and what is written when it fails. The body never passes through fastify's parsers.

import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Cancellation, type CancelSignal } from '../cancellation.ts';
import { GpufaasError } from '../errors.ts';
import { newCallId } from '../random.ts';
import { callHeaders, errorAnswer, startHeaders } from './answers.ts';
import type { ErrorStyle } from './answers.ts';
import type { BodyLease } from './body.ts';
import { type Coding, requestCoding, unpackBody } from './compression.ts';
import type { GatewayContext } from './context.ts';
import { type Exchange, HttpExchange } from './exchange.ts';
import type { CallSummary, ServedFunction, Surface } from './platform.ts';

/** One call under way. */
export class Call<E extends Exchange = Exchange> {
  readonly id = newCallId();
  readonly arrivedAtMs: number;
  readonly exchange: E;
  readonly params: Readonly<Record<string, string>>;
  /** Headers of every answer, good or bad. */
  readonly headers: OutgoingHttpHeaders;
  readonly #context: GatewayContext;
  readonly #lease: BodyLease;
  readonly #gone = new Cancellation();
  /** Set once known, so that a refusal can be recorded with the function. */
  target: { readonly served: ServedFunction; readonly surface: Surface } | undefined;
  /** True once the daemon has taken the call over and records it itself. */
  handedOver = false;

  constructor(context: GatewayContext, exchange: E, params: Readonly<Record<string, string>>) {
    this.#context = context;
    this.arrivedAtMs = context.settings.now();
    this.exchange = exchange;
    this.params = params;
    this.headers = startHeaders(this.id, Date.now());
    this.#lease = context.budget.lease();
    exchange.onEnd((answered) => {
      this.#lease.giveBack();
      if (!answered) this.#gone.cancel();
    });
  }

  /** Fires when nobody waits for the answer any more. */
  get signal(): CancelSignal {
    return this.#gone;
  }

  /** The value of a request header that comes once. */
  header(name: string): string | undefined {
    const value = this.exchange.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  /** The whole body as it was sent. Throws, or rejects, as `readBody` of body.ts does. */
  readBody(maxBytes: number): Uint8Array | Promise<Uint8Array> {
    const { bodyGraceMs, bodyMinBytesPerSecond } = this.#context.settings;
    const limits = { maxBytes, graceMs: bodyGraceMs, minBytesPerSecond: bodyMinBytesPerSecond };
    return this.exchange.readBody(limits, this.#lease);
  }

  /** The whole body with its Content-Encoding undone; the limit holds for what it unpacks to. */
  readUnpackedBody(maxBytes: number): Uint8Array | Promise<Uint8Array> {
    const coding = requestCoding(this.header('content-encoding'));
    return coding === null ? this.readBody(maxBytes) : this.#unpackBody(coding, maxBytes);
  }

  async #unpackBody(coding: Coding, maxBytes: number): Promise<Uint8Array> {
    const unpacked = await unpackBody(await this.readBody(maxBytes), coding, maxBytes);
    this.#lease.take(unpacked.byteLength);
    return unpacked;
  }

  /** Headers of a good answer. */
  answerHeaders(summary: CallSummary): OutgoingHttpHeaders {
    return { ...this.headers, ...callHeaders(summary, this.#ageMs()) };
  }

  /** Answers with an error and records it where the daemon has not. */
  fail(thrown: unknown, style: ErrorStyle): void {
    const { error, headers, body } = errorAnswer(thrown, style);
    if (this.exchange.begun) this.exchange.cut();
    else {
      const seconds = (this.#ageMs() / 1000).toFixed(6);
      const all = { ...this.headers, 'x-duration-seconds': seconds, ...headers };
      this.exchange.answer(error.status, all, [Buffer.from(JSON.stringify(body))]);
    }
    if (error.code === 'INTERNAL') {
      this.#context.settings.log.error({ callId: this.id, err: error.cause ?? error }, 'a call failed inside gpufaas');
    }
    if (this.target !== undefined && !this.handedOver) this.#record(this.target, error);
  }

  #ageMs(): number {
    return this.#context.settings.now() - this.arrivedAtMs;
  }

  #record(target: { served: ServedFunction; surface: Surface }, error: GpufaasError): void {
    this.#context.platform.refused({
      function: target.served.name,
      version: target.served.version,
      callId: this.id,
      surface: target.surface,
      arrivedAtMs: this.arrivedAtMs,
      status: error.status,
      errorCode: error.code,
      errorMessage: error.message,
    });
  }
}

/** One that node:http read. */
export type HttpCall = Call<HttpExchange>;

/**
 * Makes an `onRequest` hook of a route that is served by hand: fastify routes and checks, then lets go of the request
 * before it would look at the body. The route's own handler is never reached.
 */
export function byHand(
  context: GatewayContext,
  style: ErrorStyle,
  serve: (call: HttpCall) => Promise<void>,
): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    reply.hijack();
    const exchange = new HttpExchange(request.raw, reply.raw);
    const call = new Call(context, exchange, request.params as Record<string, string>);
    serve(call).catch((error: unknown) => call.fail(error, style));
  };
}

/** For the handler that `byHand` makes unreachable. */
export function unreachable(): never {
  throw new GpufaasError('INTERNAL', 'A request passed a route that is served by hand.');
}
