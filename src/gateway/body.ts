// Reads request bodies by hand: raw bytes, at most so many, at no less than a minimum rate, within a budget for all
// bodies in memory. What does not arrive whole is never handed on.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { z } from 'zod';
import { GpufaasError } from '../errors.ts';
import { freeChunk } from '../free-buffer.ts';
import { formatSize } from '../units.ts';
import { type BodyLimits, bodyRates, isTooSlow, RATE_CHECK_MS, type WatchedBody } from './body-rate.ts';

// After a refusal the rest of a body is read and dropped, so that the caller can finish sending and see the answer; but
// not for ever.
const LINGER_MS = 10_000;
const LINGER_BYTES = 256 * 1024 * 1024;

/** Bytes of bodies in memory, all requests together. */
export class BodyBudget {
  readonly #capacity: number;
  #taken = 0;

  constructor(capacityBytes: number) {
    this.#capacity = capacityBytes;
  }

  /** Bytes taken at this moment. */
  get takenBytes(): number {
    return this.#taken;
  }

  /** A lease with nothing taken yet. Give it back in every case. */
  lease(): BodyLease {
    let held = 0;
    return {
      take: (bytes) => {
        // A single body may always pass: else one larger than the budget could never be served.
        if (this.#taken > held && this.#taken + bytes > this.#capacity) {
          throw new GpufaasError('QUEUE_FULL', 'Too many bytes of requests are under way.', { retryAfterMs: 1000 });
        }
        this.#taken += bytes;
        held += bytes;
      },
      giveBack: () => {
        this.#taken -= held;
        held = 0;
      },
    };
  }
}

/** One request's share of the budget. */
export interface BodyLease {
  /** Throws QUEUE_FULL. */
  take(bytes: number): void;
  giveBack(): void;
}

const tooLarge = (maxBytes: number): GpufaasError =>
  new GpufaasError('BODY_TOO_LARGE', `The body is larger than the ${formatSize(maxBytes)} allowed here.`, {
    suggestions: ['Send less, or deploy the function with a larger `maxBody` in its function.yaml.'],
  });

/** For a body that comes too slowly. */
export const tooSlow = (): GpufaasError =>
  new GpufaasError('SLOW_REQUEST', 'The body was sent too slowly.', { suggestions: ['Try again on a better line.'] });

/** For a body that ends too early. */
export const cutOff = (): GpufaasError =>
  new GpufaasError('CANCELLED', 'The caller went away before the body was complete.');

/**
 * For an answer that may begin before its request is all there: the connection is not closed with it, even where the caller asked
 * for that. What is still on its way would reset the connection, and the answer could be lost. `linger` closes it afterwards.
 */
export function holdOpen(response: ServerResponse): void {
  if (!response.req.complete) response.shouldKeepAlive = true;
}

/**
 * Reads and drops what is left of a refused body within bounds, then cuts the connection if there is still more, and closes it
 * if the caller asked for that.
 */
export function linger(raw: IncomingMessage): void {
  if (raw.destroyed) return;
  if (raw.complete) return closeIfAsked(raw);
  let dropped = 0;
  const cut = (): void => void raw.destroy();
  const timer = setTimeout(cut, LINGER_MS);
  timer.unref();
  raw.on('data', (chunk: Buffer) => {
    dropped += chunk.byteLength;
    if (dropped > LINGER_BYTES) cut();
  });
  raw.on('error', () => {});
  raw.once('end', () => closeIfAsked(raw));
  raw.once('close', () => clearTimeout(timer));
  raw.resume();
}

function closeIfAsked({ headers, httpVersion, socket }: IncomingMessage): void {
  const connection = headers.connection ?? '';
  if (/\bclose\b/i.test(connection) || (httpVersion === '1.0' && !/keep-alive/i.test(connection))) socket.end();
}

/** The whole body. Rejects with BODY_TOO_LARGE, SLOW_REQUEST, QUEUE_FULL, or CANCELLED if the caller went away. */
export function readBody(raw: IncomingMessage, limits: BodyLimits, lease: BodyLease): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const announced = raw.headers['content-length'];
    const expected = announced === undefined ? null : Number(announced);
    if (expected !== null && expected > limits.maxBytes) return reject(tooLarge(limits.maxBytes));
    if (expected !== null) lease.take(expected);
    // With a length announced the bytes go straight to their place; memory is touched only as they come.
    let target = expected === null ? null : Buffer.allocUnsafeSlow(expected);
    let chunks: Buffer[] = [];
    const watched: WatchedBody = {
      limits,
      startedAtMs: performance.now(),
      receivedBytes: 0,
      fail: () => finish(tooSlow()),
    };
    bodyRates.watch(watched);
    let done = false;

    function finish(error: GpufaasError | null): void {
      if (done) return;
      done = true;
      bodyRates.unwatch(watched);
      if (error !== null) reject(error);
      else resolve(target ?? (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, watched.receivedBytes)));
      // The listeners stay with the request for as long as it is answered: the bytes must not.
      target = null;
      chunks = [];
    }
    function onData(chunk: Buffer): void {
      if (done) return;
      const before = watched.receivedBytes;
      const received = (watched.receivedBytes += chunk.byteLength);
      if (received > (expected ?? limits.maxBytes)) return finish(tooLarge(limits.maxBytes));
      if (target !== null) {
        chunk.copy(target, before);
        freeChunk(chunk);
        if (received === expected) onWhole();
        return;
      }
      try {
        lease.take(chunk.byteLength);
      } catch (error) {
        return finish(error as GpufaasError);
      }
      chunks.push(chunk);
    }
    // All that was announced is here: what the request's stream does at its end waits until the body was made use of.
    function onWhole(): void {
      raw.pause();
      setImmediate(() => raw.resume());
      finish(null);
    }
    function onEnd(): void {
      finish(expected !== null && watched.receivedBytes !== expected ? cutOff() : null);
    }
    function onClose(): void {
      finish(cutOff());
    }
    raw.on('data', onData);
    raw.on('end', onEnd);
    raw.on('close', onClose);
    raw.on('error', onClose);
    if (raw.destroyed) onClose();
  });
}

/** The body as a stream with the same protections, for what is too large to hold (packages). */
export async function* streamBody(raw: IncomingMessage, limits: BodyLimits): AsyncGenerator<Uint8Array> {
  const announced = raw.headers['content-length'];
  if (announced !== undefined && Number(announced) > limits.maxBytes) throw tooLarge(limits.maxBytes);
  // The connection outlives the stream, so that a refusal can still be answered.
  const chunks = raw.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  let received = 0;
  // Only the time spent waiting for the caller counts: the receiver may be slow itself (a disk).
  let waitedMs = 0;
  const next = (): Promise<IteratorResult<Buffer>> =>
    new Promise((resolve, reject) => {
      const since = performance.now();
      const timer = setInterval(() => {
        const ms = waitedMs + performance.now() - since;
        if (isTooSlow(limits, ms, received)) {
          clearInterval(timer);
          reject(tooSlow());
        }
      }, RATE_CHECK_MS);
      chunks
        .next()
        .finally(() => {
          clearInterval(timer);
          waitedMs += performance.now() - since;
        })
        .then(resolve, () => reject(cutOff()));
    });
  try {
    for (let step = await next(); step.done !== true; step = await next()) {
      received += step.value.byteLength;
      if (received > limits.maxBytes) throw tooLarge(limits.maxBytes);
      yield step.value;
    }
  } finally {
    // Not awaited: with a read outstanding it would end only when the caller sends more.
    void chunks.return?.();
  }
}

/** A small JSON body checked by a schema; an empty body is an empty object. Throws BAD_REQUEST naming the field. */
export async function readJson<Schema extends z.ZodType>(
  raw: IncomingMessage,
  schema: Schema,
  limits: BodyLimits,
  lease: BodyLease,
): Promise<z.infer<Schema>> {
  try {
    const body = await readBody(raw, limits, lease);
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8').trim();
    let value: unknown = {};
    try {
      if (text !== '') value = JSON.parse(text);
    } catch {
      throw new GpufaasError('BAD_REQUEST', 'The body is not valid JSON.');
    }
    return checked(schema, value, 'body');
  } finally {
    lease.giveBack();
  }
}

/** The value if it fits the schema; else BAD_REQUEST that names the field. */
export function checked<Schema extends z.ZodType>(schema: Schema, value: unknown, where: string): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field =
    issue === undefined || issue.path.length === 0 ? where : `${where}: ${issue.path.join('.').slice(0, 80)}`;
  throw new GpufaasError('BAD_REQUEST', `${field}: ${(issue?.message ?? 'not as expected').slice(0, 200)}.`);
}
