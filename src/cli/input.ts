// What a call sends: the body from a flag, a file or the standard input, and the content type it most likely has.

import { open, readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { GpufaasError } from '../errors.ts';
import { formatSize } from '../units.ts';

/** A body with its content type. */
export interface CallInput {
  readonly body: Uint8Array;
  readonly contentType: string;
}

/** Where it may come from; at most one of the first two. */
export interface InputSource {
  readonly data?: string | undefined;
  readonly file?: string | undefined;
  readonly signal: AbortSignal;
  /** Told when the command waits for somebody to type or to write. */
  readonly onWaiting: (message: string) => void;
}

const MAX_BYTES = 1_000_000_000;
/** Content is only looked at up to here to find out whether it is JSON. */
const MAX_SNIFFED_BYTES = 16_000_000;
const WAITING_AFTER_MS = 2_000;

const TYPE_OF_EXTENSION: Readonly<Record<string, string>> = {
  '.json': 'application/json',
  '.ndjson': 'application/x-ndjson',
  '.txt': 'text/plain; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.xml': 'application/xml',
  '.yaml': 'application/yaml',
  '.yml': 'application/yaml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
  '.avif': 'image/avif',
  '.bmp': 'image/bmp',
  '.tif': 'image/tiff',
  '.tiff': 'image/tiff',
  '.svg': 'image/svg+xml',
  '.wav': 'audio/wav',
  '.mp3': 'audio/mpeg',
  '.flac': 'audio/flac',
  '.ogg': 'audio/ogg',
  '.mp4': 'video/mp4',
  '.pdf': 'application/pdf',
  '.zip': 'application/zip',
  '.npy': 'application/octet-stream',
  '.bin': 'application/octet-stream',
};

/** Reads the body of a call. Throws FILE_NOT_FOUND, BODY_TOO_LARGE, CANCELLED. */
export async function readInput(source: InputSource): Promise<CallInput> {
  if (source.data !== undefined) {
    const body = Buffer.from(source.data);
    return { body, contentType: sniffType(body) };
  }
  if (source.file !== undefined && source.file !== '-') return readFileInput(source.file);
  const body = await readStandardInput(source);
  return { body, contentType: sniffType(body) };
}

async function readFileInput(path: string): Promise<CallInput> {
  const found = await stat(path);
  if (found.isDirectory()) {
    throw new GpufaasError('USAGE', `${path} is a folder.`, { suggestions: ['Name the file to send.'] });
  }
  if (found.size > MAX_BYTES) throw tooLarge();
  const body = found.isFile() ? await readFile(path) : await readPipe(path);
  return { body, contentType: TYPE_OF_EXTENSION[extname(path).toLowerCase()] ?? sniffType(body) };
}

/** What is not a plain file has no size to go by: `-f <(command)`. */
async function readPipe(path: string): Promise<Uint8Array> {
  await using handle = await open(path);
  return collect(handle.createReadStream({ autoClose: false }));
}

async function readStandardInput({ signal, onWaiting }: InputSource): Promise<Uint8Array> {
  const { stdin } = process;
  if (stdin.isTTY) onWaiting('Type the input, then Ctrl-D. (`-d TEXT` or `-f FILE` give it directly.)');
  const hint = stdin.isTTY
    ? undefined
    : setTimeout(
        () => onWaiting('Waiting for the standard input; `-d` or `-f` would be used instead.'),
        WAITING_AFTER_MS,
      );
  const stop = () => stdin.destroy(new GpufaasError('CANCELLED', 'Interrupted.'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await collect(stdin);
  } finally {
    clearTimeout(hint);
    signal.removeEventListener('abort', stop);
  }
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(): GpufaasError {
  return new GpufaasError('BODY_TOO_LARGE', `The input is larger than ${formatSize(MAX_BYTES)}.`, {
    suggestions: ['Send less at once; a function says by maxBody how much it takes.'],
  });
}

/** JSON, text, or bytes: what the content itself looks like. */
export function sniffType(body: Uint8Array): string {
  const text = asText(body);
  if (text === null) return 'application/octet-stream';
  if (body.length <= MAX_SNIFFED_BYTES && /^\s*[[{"\d\-tfn]/.test(text) && isJson(text)) return 'application/json';
  return 'text/plain; charset=utf-8';
}

/** The bytes as text, or null if they are none (not UTF-8, or with NUL in it). */
export function asText(body: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
