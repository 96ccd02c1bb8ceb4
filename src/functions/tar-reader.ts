// Reads a tar archive (plain or gzip, told apart by its first bytes) entry by entry, pulling no faster than the
// entries are consumed. Says what each entry is and judges none; a damaged archive throws BAD_PACKAGE.

import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Header, Pax } from 'tar';
import { GpufaasError } from '../errors.ts';

/** One entry; its `body` must be consumed before the next entry is asked for. */
export interface TarEntry {
  /** As the archive spells it, long names included. */
  readonly path: string;
  /** `File`, `Directory`, `SymbolicLink`, … */
  readonly type: string;
  readonly size: number;
  readonly body: AsyncIterable<Uint8Array>;
}

const BLOCK_BYTES = 512;
/** Extended headers hold names and times; more is an attack. */
const MAX_META_BYTES = 64 * 1024;

/** The entries of an archive. Throws BAD_PACKAGE, what the source threw, or what the signal was aborted with. */
export async function* readTar(
  archive: AsyncIterable<Uint8Array>,
  maxTotalBytes: number,
  signal?: AbortSignal,
): AsyncGenerator<TarEntry> {
  const source = abortable(archive, signal);
  const head = await firstBytes(source);
  if (head.byteLength === 0) throw damaged('it is empty');
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    yield head;
    yield* source;
  };
  const compressed = head[0] === 0x1f && head[1] === 0x8b;
  const bytes = new ByteReader(compressed ? decompress(whole()) : whole(), maxTotalBytes);
  try {
    yield* entries(bytes);
    await bytes.drain();
  } finally {
    await bytes.close();
  }
}

async function* entries(bytes: ByteReader): AsyncGenerator<TarEntry> {
  let extended: Pax | undefined;
  let globalExtended: Pax | undefined;
  let longPath: string | undefined;
  let sawNullBlock = false;
  for (;;) {
    const block = await bytes.take(BLOCK_BYTES);
    // Ending without the two null blocks is forgiven; ending without any entry is caught by whoever wants one.
    if (block === null) return;
    const header = new Header(block, 0, extended, globalExtended);
    if (header.nullBlock) {
      if (sawNullBlock) return;
      sawNullBlock = true;
      continue;
    }
    sawNullBlock = false;
    const size = header.size ?? 0;
    if (!header.cksumValid) throw damaged('a header does not match its checksum');
    if (!Number.isSafeInteger(size)) throw damaged('an entry has no valid size');
    if (META_TYPES.has(header.type)) {
      if (size > MAX_META_BYTES) throw damaged('an extended header is too long');
      const text = (await bytes.takeAll(size)).toString('utf8');
      await bytes.skip(padding(size));
      if (header.type === 'GlobalExtendedHeader') globalExtended = Pax.parse(text, globalExtended, true);
      else if (header.type === 'NextFileHasLongPath' || header.type === 'OldGnuLongPath') longPath = cutAtNul(text);
      else if (header.type !== 'NextFileHasLongLinkpath') extended = Pax.parse(text, extended, false);
      continue;
    }
    const body = bytes.body(size);
    yield { path: longPath ?? header.path ?? '', type: header.type, size, body: body.chunks };
    await body.finish();
    await bytes.skip(padding(size));
    extended = undefined;
    longPath = undefined;
  }
}

const META_TYPES = new Set<string>([
  'ExtendedHeader',
  'OldExtendedHeader',
  'GlobalExtendedHeader',
  'NextFileHasLongPath',
  'OldGnuLongPath',
  'NextFileHasLongLinkpath',
]);

const padding = (size: number): number => (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
const cutAtNul = (text: string): string => text.split('\0', 1)[0]!;

/** Bytes by the number asked for, out of chunks cut anywhere. */
class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #maxBytes: number;
  #buffer: Uint8Array = new Uint8Array(0);
  #read = 0;

  constructor(source: AsyncIterable<Uint8Array>, maxBytes: number) {
    this.#source = source[Symbol.asyncIterator]();
    this.#maxBytes = maxBytes;
  }

  /** Up to `most` bytes, at least one; null at the end. */
  async some(most: number): Promise<Uint8Array | null> {
    while (this.#buffer.byteLength === 0) {
      const { value, done } = await this.#source.next();
      if (done) return null;
      this.#buffer = value as Uint8Array;
      this.#read += this.#buffer.byteLength;
      if (this.#read > this.#maxBytes) throw new GpufaasError('BAD_PACKAGE', 'The package is longer than its files.');
    }
    const taken = this.#buffer.subarray(0, most);
    this.#buffer = this.#buffer.subarray(taken.byteLength);
    return taken;
  }

  /** Exactly `count` bytes; null if there are none at all. */
  async take(count: number): Promise<Buffer | null> {
    const parts: Uint8Array[] = [];
    let missing = count;
    while (missing > 0) {
      const part = await this.some(missing);
      if (part === null && missing === count) return null;
      if (part === null) throw damaged('it ends in the middle of an entry');
      parts.push(part);
      missing -= part.byteLength;
    }
    return Buffer.concat(parts, count);
  }

  async takeAll(count: number): Promise<Buffer> {
    if (count === 0) return Buffer.alloc(0);
    const bytes = await this.take(count);
    if (bytes === null) throw damaged('it ends in the middle of an entry');
    return bytes;
  }

  async skip(count: number): Promise<void> {
    await this.body(count).finish();
  }

  /** The next `size` bytes in chunks; `finish` reads past what was not consumed. */
  body(size: number): { chunks: AsyncIterable<Uint8Array>; finish(): Promise<void> } {
    let missing = size;
    const next = async (): Promise<Uint8Array | null> => {
      if (missing === 0) return null;
      const part = await this.some(missing);
      if (part === null) throw damaged('it ends in the middle of an entry');
      missing -= part.byteLength;
      return part;
    };
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (let part = await next(); part !== null; part = await next()) yield part;
    };
    return {
      chunks: chunks(),
      async finish() {
        while ((await next()) !== null);
      },
    };
  }

  /** Reads to the end: padding after the archive, and the check sum of gzip. */
  async drain(): Promise<void> {
    while ((await this.some(65_536)) !== null);
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

async function firstBytes(source: AsyncIterator<Uint8Array>): Promise<Buffer> {
  let head = Buffer.alloc(0);
  while (head.byteLength < 2) {
    const { value, done } = await source.next();
    if (done) break;
    head = Buffer.concat([head, value as Uint8Array]);
  }
  return head;
}

/** The source, given up at once when the signal fires, even if it never answers again. */
async function* abortable(source: AsyncIterable<Uint8Array>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  let give: ((reason: unknown) => void) | undefined;
  const onAbort = (): void => give?.(signal!.reason);
  signal?.addEventListener('abort', onAbort);
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { value, done } = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        give = reject;
        iterator.next().then(resolve, reject);
      });
      if (done) return;
      yield value;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    // Not awaited: a source that hangs would hang here too.
    void iterator.return?.(undefined).then(undefined, () => undefined);
  }
}

/** Gunzips off the main thread, in order. */
async function* decompress(source: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = Readable.from(source, { objectMode: false });
  const gunzip = createGunzip();
  input.on('error', (error) => gunzip.destroy(error));
  try {
    yield* input.pipe(gunzip) as AsyncIterable<Uint8Array>;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith('Z_')) throw damaged('it can not be decompressed', error);
    throw error;
  } finally {
    input.destroy();
    gunzip.destroy();
  }
}

function damaged(why: string, cause?: unknown): GpufaasError {
  return new GpufaasError('BAD_PACKAGE', `The package is not a whole tar archive: ${why}.`, {
    cause,
    suggestions: ['Send a tar archive of the function folder, plain or gzip; `gpufaas deploy` makes one.'],
  });
}
