// Fetches one file over HTTP: goes on where it broke off, tries again with growing pauses, gives up a server that sends
// nothing. What arrived stays beside the target until the file is whole.

import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { request as plainRequest, type IncomingMessage } from 'node:http';
import { request as secureRequest } from 'node:https';
import { GpufaasError } from '../errors.ts';
import { formatDuration, formatSize } from '../units.ts';
import { checkUrl } from './address.ts';
import { translateFull } from './files.ts';

/** How patient a download is; times in milliseconds. */
export interface DownloadOptions {
  /** Tries in a row that bring nothing new before it gives up (default 5). */
  readonly tries?: number;
  /** Pause before the second try; doubles each time (default 500, at most 30 s). */
  readonly pauseMs?: number;
  /** The longest a server may send nothing (default 30 s). */
  readonly stallMs?: number;
  /** Sent with the first request, not with those it is redirected to. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxBytes?: number;
  /** The address is one of the hub's: the advice names owner, repository and HF_TOKEN. */
  readonly fromHub?: boolean;
}

/** A download under way. */
export interface DownloadTask {
  readonly url: URL;
  /** Where the file goes; `.part` beside it is what has arrived. */
  readonly path: string;
  readonly onProgress: (doneBytes: number, totalBytes: number | null) => void;
  /** Called when the size is known, with what of it is missing, before a byte is written; throws to refuse. */
  readonly onSize: (bytes: number, missingBytes: number) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Ends the name of the file beside a part that tells which content it is of. */
export const TAG = '.tag';
const LONGEST_PAUSE_MS = 30_000;
const MAX_REDIRECTS = 8;
/** However much each try brings: a server that drips is not worth more connections. */
const MAX_TRIES = 100;

/** An answer that trying again would not change. */
class Refused extends Error {
  readonly error: GpufaasError;

  constructor(error: GpufaasError) {
    super(error.message);
    this.error = error;
  }
}

/** Fetches the file. Throws FETCH_FAILED, MODEL_NOT_FOUND, DISK_FULL, BAD_MODEL (too large), or the signal's reason. */
export async function download(task: DownloadTask, options: DownloadOptions = {}): Promise<void> {
  const { tries = 5, pauseMs = 500 } = options;
  let fruitless = 0;
  let last: unknown;
  for (let attempt = 0; attempt < MAX_TRIES && fruitless < tries; attempt++) {
    const before = await sizeOf(partOf(task));
    try {
      await attemptOnce(task, options);
      await rename(partOf(task), task.path);
      await rm(tagOf(task), { force: true });
      return;
    } catch (error) {
      task.signal.throwIfAborted();
      if (error instanceof Refused) throw error.error;
      if (error instanceof GpufaasError) throw error;
      const full = translateFull(error);
      if (full !== error) throw full;
      last = error;
    }
    fruitless = (await sizeOf(partOf(task))) > before ? 0 : fruitless + 1;
    if (fruitless < tries) await pause(waitFor(last, fruitless, pauseMs), task.signal);
  }
  const goesOn = (await sizeOf(partOf(task))) > 0 ? ': it goes on where it broke off' : '';
  throw new GpufaasError('FETCH_FAILED', `${task.url.host} could not be fetched from: ${reason(last)}.`, {
    cause: last,
    suggestions: [`Check the network and the address, then try again${goesOn}.`],
  });
}

async function attemptOnce(task: DownloadTask, options: DownloadOptions): Promise<void> {
  const { stallMs = 30_000, maxBytes = Infinity } = options;
  const stall = new Stall(stallMs, task.signal);
  let response: IncomingMessage | null = null;
  try {
    const from = await sizeOf(partOf(task));
    const tag = from > 0 ? await readFile(tagOf(task), 'utf8').catch(() => '') : '';
    const resume = from > 0 && tag !== '';
    response = await request(
      task.url,
      { ...options.headers, ...(resume && { range: `bytes=${from}-`, 'if-range': tag }) },
      stall.signal,
    );
    const { statusCode: status = 0, headers } = response;
    const range = status === 206 ? /^bytes (\d+)-\d*\/(\d+|\*)/.exec(headers['content-range'] ?? '') : null;
    if (status === 416 || (status === 206 && Number(range?.[1]) !== from)) {
      // What we have does not fit what it has now: from the beginning.
      await rm(partOf(task), { force: true });
      throw new Error(`the server has another file now (${status})`);
    }
    if (status < 200 || status > 299) throw refusal(status, headers['retry-after'], task.url, options);
    const start = status === 206 ? from : 0;
    const length = Number(headers['content-length'] ?? Number.NaN);
    const total = Number.isSafeInteger(length) ? start + length : null;
    if (total !== null && total > maxBytes) throw tooLarge(maxBytes);
    if (total !== null) await task.onSize(total, total - start);
    await writeFile(tagOf(task), strongTag(response), { mode: 0o600 });
    await using file = await open(partOf(task), start > 0 ? 'a' : 'w', 0o600);
    let done = start;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      stall.moved();
      done += chunk.byteLength;
      if (done > (total ?? maxBytes))
        throw total === null ? tooLarge(maxBytes) : new Error('the server sent more than it said');
      await file.writeFile(chunk);
      task.onProgress(done, total);
    }
    if (total !== null && done < total)
      throw new Error(`the connection broke off after ${formatSize(done)} of ${formatSize(total)}`);
  } catch (error) {
    throw stall.stalled ? new Error(`the server sent nothing for ${formatDuration(stallMs)}`) : error;
  } finally {
    response?.destroy();
    stall.end();
  }
}

/** Follows redirects by hand: none may lead to where models are not fetched from, and none is told our credentials. */
async function request(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  let current = url;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const { authorization: _ours, ...plain } = headers;
    const sent = {
      'accept-encoding': 'identity',
      'user-agent': 'gpufaas',
      ...(current.origin === url.origin ? headers : plain),
    };
    const response = await get(current, sent, signal);
    const { statusCode: status = 0, headers: answered } = response;
    const { location } = answered;
    if (status < 300 || status >= 400 || location === undefined) return response;
    response.destroy();
    current = new URL(location, current);
    checkUrl(current, current.href);
  }
  throw new Refused(
    new GpufaasError('FETCH_FAILED', `${url.host} redirects without end.`, { suggestions: ['Check the address.'] }),
  );
}

/** One request, up to the head of its answer. Not `fetch`: the one built in brings the process down on some closings. */
function get(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? secureRequest : plainRequest;
    send(url, { headers, signal })
      .on('response', (response) => {
        // What goes wrong before the body is read is met by reading it.
        response.on('error', () => undefined);
        resolve(response);
      })
      .on('error', reject)
      .end();
  });
}

/** An answer that is no file: worth another try, or final. */
function refusal(
  status: number,
  retryAfter: string | undefined,
  url: URL,
  { fromHub = false }: DownloadOptions,
): Error {
  if (status === 404 || status === 410) {
    return new Refused(
      new GpufaasError('MODEL_NOT_FOUND', `There is no file at ${url.origin}${url.pathname}.`, {
        suggestions: [fromHub ? 'Check owner, repository and path of the address.' : 'Check the address.'],
      }),
    );
  }
  if (status === 401 || status === 403) {
    return new Refused(
      new GpufaasError('FETCH_FAILED', `${url.host} refuses to give the file (${status}).`, {
        suggestions: [
          fromHub
            ? 'For a private or gated repository set HF_TOKEN in the environment of the daemon.'
            : 'gpufaas has no credentials for it: fetch the file by yourself and deploy it with the function.',
        ],
      }),
    );
  }
  if (status < 500 && status !== 408 && status !== 425 && status !== 429) {
    return new Refused(
      new GpufaasError('FETCH_FAILED', `${url.host} answered ${status}.`, { suggestions: ['Check the address.'] }),
    );
  }
  const after = Number(retryAfter);
  return Object.assign(new Error(`it answered ${status}`), { retryAfterMs: Number.isFinite(after) ? after * 1000 : 0 });
}

/** Aborts when nothing came for too long, or when the caller gives up. */
class Stall {
  readonly signal: AbortSignal;
  stalled = false;
  readonly #stop = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(stallMs: number, outer: AbortSignal) {
    this.signal = AbortSignal.any([this.#stop.signal, outer]);
    this.#timer = setTimeout(() => {
      this.stalled = true;
      this.#stop.abort();
    }, stallMs);
  }

  moved(): void {
    this.#timer.refresh();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** What tells one content from another at the same address; without it nothing is resumed. */
function strongTag({ headers }: IncomingMessage): string {
  const { etag } = headers;
  if (etag !== undefined && !etag.startsWith('W/')) return etag;
  return etag === undefined ? (headers['last-modified'] ?? '') : '';
}

function waitFor(error: unknown, fruitless: number, pauseMs: number): number {
  const asked = (error as { retryAfterMs?: number } | undefined)?.retryAfterMs ?? 0;
  return Math.min(LONGEST_PAUSE_MS, Math.max(asked, pauseMs * 2 ** Math.max(0, fruitless - 1)));
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function reason(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  if (typeof code === 'string') return CODES[code] ?? `the connection failed (${code})`;
  return error instanceof Error ? error.message : 'for an unknown reason';
}

const CODES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name can not be resolved',
  EAI_AGAIN: 'its name can not be resolved',
  ECONNREFUSED: 'it refuses connections',
  ECONNRESET: 'it closed the connection',
  EPIPE: 'it closed the connection',
  ERR_STREAM_PREMATURE_CLOSE: 'it closed the connection',
  ETIMEDOUT: 'it does not answer',
};

const partOf = ({ path }: DownloadTask): string => `${path}.part`;
const tagOf = ({ path }: DownloadTask): string => `${path}${TAG}`;

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

function tooLarge(maxBytes: number): GpufaasError {
  return new GpufaasError('BAD_MODEL', `The file is larger than ${formatSize(maxBytes)}.`, {
    suggestions: ['Check the address: is this the model?'],
  });
}
