// One HTTP request over node:http, with a limit on every wait. Global fetch is not used: it hides its own timeouts and
// takes longer to load than the rest of a command.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { GpufaasError } from '../errors.ts';

/** A request; sizes in bytes, times in milliseconds. */
export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | Readable;
  /** From the start until the headers of the answer, a body sent by then included. */
  readonly answerTimeoutMs: number;
  /** The longest silence inside the body of the answer; 0: none is too long. */
  readonly idleTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The beginning of an answer; its body is still to be read. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
}

const CONNECT_TIMEOUT_MS = 10_000;

/** Sends a request. Throws NO_DAEMON if nothing answers, TIMEOUT if the answer is late, CANCELLED if the signal fires. */
export function send(request: HttpRequest): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  // Not imported: an import of node:http evaluates all its exports, WebSocket and fetch among them, for 40 ms.
  const scheme = process.getBuiltinModule(request.url.protocol === 'https:' ? 'node:https' : 'node:http');
  const outgoing = scheme.request(request.url, {
    method: request.method,
    headers: request.headers,
    // One command, one or two requests: a connection that lingers would only delay the end of the process.
    agent: false,
    ...(request.signal && { signal: request.signal }),
  });
  const destroyAfter = (limitMs: number, what: string) =>
    setTimeout(() => outgoing.destroy(late(request.url, what, limitMs)), limitMs);
  const answerTimer = destroyAfter(request.answerTimeoutMs, 'did not answer');
  const connectTimer = destroyAfter(CONNECT_TIMEOUT_MS, 'took no connection');
  const settled = () => {
    clearTimeout(answerTimer);
    clearTimeout(connectTimer);
  };
  outgoing.on('socket', (socket) => {
    if (!socket.connecting) clearTimeout(connectTimer);
    socket.once('connect', () => clearTimeout(connectTimer));
  });
  let answer: IncomingMessage | undefined;
  outgoing.on('response', (body) => {
    settled();
    answer = body;
    const idleMs = request.idleTimeoutMs;
    if (idleMs > 0) body.setTimeout(idleMs, () => body.destroy(late(request.url, 'sent nothing more', idleMs)));
    resolve({ status: body.statusCode ?? 0, headers: body.headers, body });
  });
  outgoing.on('error', (error) => {
    settled();
    reject(translate(error, request));
  });
  if (request.body === undefined || request.body instanceof Uint8Array) {
    outgoing.end(request.body);
  } else {
    const source = request.body;
    // Once the answer has begun, whoever reads it is the one to hear of this.
    source.on('error', (error) => (answer ?? outgoing).destroy(error));
    // An early answer (too large, no right to) ends the reading of the source as well.
    outgoing.on('close', () => source.destroy());
    source.pipe(outgoing);
  }
  return promise;
}

function late(url: URL, what: string, limitMs: number): GpufaasError {
  return new GpufaasError('TIMEOUT', `The daemon at ${url.origin} ${what} within ${limitMs / 1000} s.`, {
    suggestions: ['Look at `gpufaas status`; if it hangs too, end the daemon and start it again.'],
  });
}

/** The whole body of an answer. Throws NO_DAEMON if the connection breaks off. */
export async function readBody(answer: HttpAnswer, request: Pick<HttpRequest, 'url' | 'signal'>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of readChunks(answer, request)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The body of an answer as it comes. Throws NO_DAEMON if the connection breaks off. */
export async function* readChunks(
  answer: HttpAnswer,
  request: Pick<HttpRequest, 'url' | 'signal'>,
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of answer.body) yield chunk as Buffer;
  } catch (error) {
    throw translate(error, request);
  }
}

/** The body of an answer as it comes, line by line. Throws NO_DAEMON if the connection breaks off. */
export async function* readLines(
  answer: HttpAnswer,
  request: Pick<HttpRequest, 'url' | 'signal'>,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of readChunks(answer, request)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') yield line;
  }
  if (rest !== '') yield rest;
}

const NOT_THERE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'EAI_AGAIN']);
const BROKE_OFF = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNABORTED']);

/** The one place that knows the errors of Node's HTTP client. */
function translate(error: unknown, request: Pick<HttpRequest, 'url' | 'signal'>): unknown {
  if (request.signal?.aborted) return new GpufaasError('CANCELLED', 'Interrupted.', { cause: error });
  if (error instanceof GpufaasError || !(error instanceof Error)) return error;
  const code = 'code' in error ? String(error.code) : '';
  if (NOT_THERE.has(code)) {
    return new GpufaasError('NO_DAEMON', `No gpufaas daemon answers at ${request.url.origin}.`, {
      cause: error,
      suggestions: ['Start one with `gpufaas up`, or set GPUFAAS_URL to where it is.'],
    });
  }
  if (BROKE_OFF.has(code)) {
    return new GpufaasError('NO_DAEMON', `The daemon at ${request.url.origin} broke the connection off.`, {
      cause: error,
      suggestions: ['It may have been stopped: see `gpufaas status`, then try again.'],
    });
  }
  return error;
}
