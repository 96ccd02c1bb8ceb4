// Callers send requests with the very same head again and again over one connection: what node:http, the router and the guard made of
// its bytes once holds for the same bytes again. Such a request goes from its socket to its call. Everything else, and all
// that is not plain (other heads, heads cut in two, requests behind requests), goes to node:http's parser as ever.

import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { freeChunk } from '../free-buffer.ts';
import type { Exchange } from './exchange.ts';
import { RepeatedExchange } from './repeated-exchange.ts';

/** A longer head is not remembered, in bytes. */
const MAX_HEAD_BYTES = 16 * 1024;
const HEAD_END = '\r\n\r\n';
const NOTHING = Buffer.alloc(0);
/** What may come behind a body before its request is answered; then the socket is not read any more. A paused one does not show its end. */
const MAX_SURPLUS_BYTES = 64 * 1024;

/** Serves a request like the one it was remembered for; false if that is not possible (any more), and nothing was done. */
export type ServeAgain = (exchange: Exchange, bodyBytes: number) => boolean;

interface Remembered {
  readonly head: Buffer;
  readonly headers: IncomingHttpHeaders;
  readonly bodyBytes: number;
  readonly serve: ServeAgain;
}

/** The last request of each connection of a server that may come again. */
export class RepeatedRequests {
  readonly #connections = new WeakMap<Socket, Connection>();

  /** Looks at the requests of this server before its parser does. */
  watch(server: Server): void {
    const keepAlive = `timeout=${Math.floor(server.keepAliveTimeout / 1000)}`;
    server.on('connection', (socket: Socket) => {
      const listeners = socket.listeners('data') as ((chunk: Buffer) => void)[];
      // Whoever else reads here does so in ways we don't know.
      if (listeners.length !== 1) return;
      socket.removeListener('data', listeners[0]!);
      this.#connections.set(socket, new Connection(socket, listeners[0]!, keepAlive));
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#connections.get(request.socket)?.onRequest(request, response);
    });
    // Idle connections are closed as ever; one that is idle to node:http only is not.
    server.on('timeout', (socket: Socket) => {
      if (this.#connections.get(socket)?.isBusy !== true) socket.destroy();
    });
  }

  /** Requests with the same head as this one, on its connection, are served by `serve` from now on. */
  remember(request: IncomingMessage, serve: ServeAgain): void {
    this.#connections.get(request.socket)?.remember(request, serve);
  }
}

class Connection {
  readonly #socket: Socket;
  readonly #parse: (chunk: Buffer) => void;
  readonly #keepAlive: string;
  #remembered: Remembered | null = null;
  /** What went to node:http since it was known to be between requests: bytes, requests, and the first one's head. */
  #fedBytes = 0;
  #requests = 0;
  #head: Buffer | null = null;
  /** The bytes of that request; NaN if they are not known. */
  #requestBytes = Number.NaN;
  /** The beginning of a head that is not whole yet. */
  #begun: Buffer = NOTHING;
  /** While it is being answered. */
  #request: IncomingMessage | null = null;
  #exchange: RepeatedExchange | null = null;
  /** What came behind a body before its request was answered. */
  #surplus: Buffer | null = null;

  constructor(socket: Socket, parse: (chunk: Buffer) => void, keepAlive: string) {
    this.#socket = socket;
    this.#parse = parse;
    this.#keepAlive = keepAlive;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('close', () => this.#exchange?.lost());
  }

  /** True while a request is served here and not by node:http, and until its answer is sent. */
  get isBusy(): boolean {
    return this.#exchange !== null || this.#socket.writableLength > 0;
  }

  onRequest(request: IncomingMessage, response: ServerResponse): void {
    this.#requests++;
    this.#request = request;
    this.#requestBytes = (this.#head?.byteLength ?? Number.NaN) + bodyBytesOf(request);
    // node:http is done with it then.
    response.once('close', () => {
      if (this.#request === request) this.#request = null;
    });
  }

  remember(request: IncomingMessage, serve: ServeAgain): void {
    const head = this.#head;
    if (head === null || request !== this.#request || this.#requests !== 1 || !isPlain(request)) return;
    const { headers } = request;
    this.#remembered = { head, headers, bodyBytes: Number(headers['content-length']), serve };
  }

  #onData(chunk: Buffer): void {
    if (this.#exchange !== null) {
      const surplus = this.#exchange.receive(chunk);
      if (surplus === null) return;
      this.#surplus = this.#surplus === null ? surplus : Buffer.concat([this.#surplus, surplus]);
      if (this.#surplus.byteLength > MAX_SURPLUS_BYTES) this.#socket.pause();
      return;
    }
    if (this.#isBetweenRequests() && this.#serve(chunk)) return;
    this.#feed(chunk);
  }

  #isBetweenRequests(): boolean {
    if (this.#fedBytes === 0) return true;
    if (this.#requests !== 1 || this.#request !== null || this.#fedBytes !== this.#requestBytes) return false;
    this.#fedBytes = 0;
    this.#requests = 0;
    this.#head = null;
    return true;
  }

  /** Serves the request that begins here; false if it is none of those remembered. */
  #serve(chunk: Buffer): boolean {
    const remembered = this.#remembered;
    if (remembered === null) return false;
    const { head, headers, bodyBytes, serve } = remembered;
    const headBytes = head.byteLength;
    if (chunk.byteLength < headBytes || head.compare(chunk, 0, headBytes) !== 0) return false;
    // More than one request: node:http keeps them in order.
    if (chunk.byteLength > headBytes + bodyBytes) return false;
    this.#exchange = new RepeatedExchange(
      this.#socket,
      this,
      { headers, headBytes, bodyBytes },
      chunk,
      this.#keepAlive,
    );
    if (serve(this.#exchange, bodyBytes)) return true;
    this.#exchange = null;
    return false;
  }

  onAnswered(): void {
    this.#exchange = null;
    const socket = this.#socket;
    if (socket.writableNeedDrain) {
      // Who doesn't take answers may not ask for more of them.
      socket.pause();
      socket.once('drain', () => this.#goOn());
    } else if (this.#surplus !== null) this.#goOn();
  }

  #goOn(): void {
    const surplus = this.#surplus;
    this.#surplus = null;
    this.#socket.resume();
    if (surplus !== null) this.#onData(surplus);
  }

  /** Nothing but the beginning of a head came before this. */
  #gatherHead(chunk: Buffer): void {
    const begun = this.#begun;
    const more = chunk.subarray(0, MAX_HEAD_BYTES - begun.byteLength);
    const bytes = begun === NOTHING ? more : Buffer.concat([begun, more]);
    // node:http passes over empty lines before a request.
    const end = bytes[0] === 0x0d || bytes[0] === 0x0a ? -1 : bytes.indexOf(HEAD_END, 0, 'latin1');
    this.#head = end < 0 ? null : copyOf(bytes.subarray(0, end + HEAD_END.length));
    this.#begun = end < 0 ? copyOf(bytes) : NOTHING;
  }

  #feed(chunk: Buffer): void {
    if (this.#fedBytes === this.#begun.byteLength) this.#gatherHead(chunk);
    this.#fedBytes += chunk.byteLength;
    this.#parse(chunk);
    // The parser has copied what it hands on.
    freeChunk(chunk);
  }
}

/** A copy of its own: one in the pool would keep all that lies beside it for as long as the connection lives. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

/** NaN if it does not say so ahead. */
function bodyBytesOf({ headers }: IncomingMessage): number {
  return headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Number.NaN;
}

/** True for a POST request whose body is as long as it says and whose connection stays open behind it. */
function isPlain({ method, httpVersion, headers }: IncomingMessage): boolean {
  const connection = headers.connection ?? 'keep-alive';
  return (
    method === 'POST' &&
    httpVersion === '1.1' &&
    headers['content-length'] !== undefined &&
    headers['transfer-encoding'] === undefined &&
    headers.expect === undefined &&
    headers.upgrade === undefined &&
    connection.toLowerCase() === 'keep-alive'
  );
}
