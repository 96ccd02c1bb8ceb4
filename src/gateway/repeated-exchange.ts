// A request whose head was known: its body as it comes from the socket, and its answer as it goes there.

import { type IncomingHttpHeaders, type OutgoingHttpHeaders, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { freeChunk } from '../free-buffer.ts';
import { type BodyLease, cutOff, tooSlow } from './body.ts';
import { type BodyLimits, bodyRates, type WatchedBody } from './body-rate.ts';
import type { Exchange } from './exchange.ts';

/** Copying a small answer into one chunk costs less than a gathered write of its parts, in bytes. */
const COPIED_BYTES = 16 * 1024;
/** An answer before the body was whole ends the connection; this long the caller may go on sending before it is cut. */
const LINGER_MS = 10_000;

/** A request whose head was known. */
export interface KnownRequest {
  readonly headers: IncomingHttpHeaders;
  readonly headBytes: number;
  readonly bodyBytes: number;
}

/** What the connection is told. */
export interface ExchangeOwner {
  /** The exchange is over and the connection is free for the next. */
  onAnswered(): void;
}

/** One request of a connection that speaks HTTP/1.1 and stays open. */
export class RepeatedExchange implements Exchange {
  readonly headers: IncomingHttpHeaders;
  readonly bodyBytes: number;
  readonly #socket: Socket;
  readonly #owner: ExchangeOwner;
  readonly #keepAlive: string;
  /** What the head came with, and what of the body is in it: all, if that is small. */
  readonly #chunk: Buffer;
  readonly #first: Buffer;
  #target: Buffer | null = null;
  #watched: WatchedBody | null = null;
  #received: number;
  #onWhole: PromiseWithResolvers<Uint8Array> | null = null;
  #over = false;
  #tellEnd: ((answered: boolean) => void) | null = null;

  /** `chunk` is a chunk of the socket that begins with the head and has nothing behind the body. */
  constructor(socket: Socket, owner: ExchangeOwner, request: KnownRequest, chunk: Buffer, keepAlive: string) {
    this.#socket = socket;
    this.#owner = owner;
    this.headers = request.headers;
    this.bodyBytes = request.bodyBytes;
    this.#chunk = chunk;
    this.#first = chunk.subarray(request.headBytes);
    this.#received = this.#first.byteLength;
    this.#keepAlive = keepAlive;
  }

  get begun(): boolean {
    return this.#over;
  }

  onEnd(listener: (answered: boolean) => void): void {
    this.#tellEnd = listener;
  }

  readBody(limits: BodyLimits, lease: BodyLease): Uint8Array | Promise<Uint8Array> {
    lease.take(this.bodyBytes);
    if (this.#received === this.bodyBytes) return this.#first;
    this.#target = Buffer.allocUnsafeSlow(this.bodyBytes);
    this.#first.copy(this.#target);
    freeChunk(this.#chunk);
    this.#onWhole = Promise.withResolvers<Uint8Array>();
    this.#watched = {
      limits,
      startedAtMs: performance.now(),
      receivedBytes: this.#received,
      fail: () => this.#endBody()?.reject(tooSlow()),
    };
    bodyRates.watch(this.#watched);
    return this.#onWhole.promise;
  }

  /** Takes what came; gives what lies behind the body, null if nothing does. */
  receive(chunk: Buffer): Buffer | null {
    const missing = this.bodyBytes - this.#received;
    if (missing === 0) return chunk;
    const taken = Math.min(missing, chunk.byteLength);
    if (this.#target !== null) chunk.copy(this.#target, this.#received, 0, taken);
    this.#received += taken;
    if (this.#watched !== null) this.#watched.receivedBytes = this.#received;
    const surplus = taken === chunk.byteLength ? null : chunk.subarray(taken);
    if (surplus === null) freeChunk(chunk);
    if (this.#received === this.bodyBytes) {
      const whole = this.#target;
      this.#endBody()?.resolve(whole!);
    }
    return surplus;
  }

  /** No more of the body is taken; gives whoever waits for it. */
  #endBody(): PromiseWithResolvers<Uint8Array> | null {
    if (this.#watched !== null) bodyRates.unwatch(this.#watched);
    this.#watched = null;
    this.#target = null;
    const waiting = this.#onWhole;
    this.#onWhole = null;
    return waiting;
  }

  answer(status: number, headers: OutgoingHttpHeaders, parts: readonly Uint8Array[], onSent?: () => void): void {
    if (this.#over) return;
    const socket = this.#socket;
    if (!socket.writable) return this.cut();
    const isWhole = this.#received === this.bodyBytes;
    const stays = isWhole && headers['connection'] !== 'close';
    let bytes = 0;
    for (const part of parts) bytes += part.byteLength;
    const head = this.#head(status, headers, bytes, stays);
    if (head.length + bytes <= COPIED_BYTES) {
      const whole = Buffer.allocUnsafe(head.length + bytes);
      let at = whole.write(head, 'latin1');
      for (const part of parts) {
        whole.set(part, at);
        at += part.byteLength;
      }
      socket.write(whole, onSent);
    } else {
      socket.cork();
      socket.write(head, 'latin1');
      for (const [index, part] of parts.entries()) socket.write(part, index === parts.length - 1 ? onSent : undefined);
      socket.uncork();
    }
    // A run that succeeded has read its inputs to the end.
    if (status === 200 && this.#first.byteLength === this.bodyBytes) freeChunk(this.#chunk);
    this.#finish(true);
    if (stays) return this.#owner.onAnswered();
    socket.end();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }

  #head(status: number, headers: OutgoingHttpHeaders, bytes: number, stays: boolean): string {
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
    for (const name in headers) if (name !== 'connection') head += `${name}: ${String(headers[name])}\r\n`;
    const connection = stays ? `keep-alive\r\nKeep-Alive: ${this.#keepAlive}` : 'close';
    return `${head}content-length: ${bytes}\r\nDate: ${httpDate()}\r\nConnection: ${connection}\r\n\r\n`;
  }

  cut(): void {
    this.#socket.destroy();
  }

  /** The connection is gone. */
  lost(): void {
    if (this.#over) return;
    this.#endBody()?.reject(cutOff());
    this.#finish(false);
  }

  #finish(answered: boolean): void {
    this.#over = true;
    this.#tellEnd?.(answered);
  }
}

let dateSecond = 0;
let dateText = '';

/** Now, as HTTP writes it; made anew once a second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}
