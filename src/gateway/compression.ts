// gzip and deflate for inference requests and answers. Nothing is unpacked beyond its limit, and nothing is packed that
// nobody asked for: on the way out a local line is faster than any compressor.

import { promisify } from 'node:util';
import { constants, deflate, deflateSync, gunzip, gzip, gzipSync, inflate, inflateRaw } from 'node:zlib';
import { GpufaasError } from '../errors.ts';
import { formatSize } from '../units.ts';

/** The two content codings of the protocol. */
export type Coding = 'gzip' | 'deflate';

// Below this a library's default "Accept-Encoding: gzip, deflate" is not worth following.
const WORTHWHILE_BYTES = 1024;
const SYNCHRONOUS_BYTES = 16 * 1024;
const LEVEL = { level: constants.Z_BEST_SPEED };

const pack = { gzip: promisify(gzip), deflate: promisify(deflate) };
const packNow = { gzip: gzipSync, deflate: deflateSync };
const unpack = { gunzip: promisify(gunzip), inflate: promisify(inflate), inflateRaw: promisify(inflateRaw) };

/** The coding of a request body; null if it has none. Throws UNSUPPORTED_MEDIA for others. */
export function requestCoding(contentEncoding: string | undefined): Coding | null {
  const coding = contentEncoding?.trim().toLowerCase() ?? '';
  if (coding === '' || coding === 'identity') return null;
  if (coding === 'gzip' || coding === 'x-gzip') return 'gzip';
  if (coding === 'deflate') return 'deflate';
  throw new GpufaasError('UNSUPPORTED_MEDIA', 'Only gzip and deflate are understood as Content-Encoding.');
}

/** Unpacks a body. Throws BODY_TOO_LARGE as soon as it grows past `maxBytes`, BAD_REQUEST if it is damaged. */
export async function unpackBody(body: Uint8Array, coding: Coding, maxBytes: number): Promise<Uint8Array> {
  const options = { maxOutputLength: Math.max(1, maxBytes) };
  try {
    if (coding === 'gzip') return await unpack.gunzip(body, options);
    // "deflate" means the zlib format; some callers send the bare stream.
    const zlibFormat = body.byteLength > 1 && (body[0]! & 0x0f) === 8 && ((body[0]! << 8) | body[1]!) % 31 === 0;
    return await (zlibFormat ? unpack.inflate(body, options) : unpack.inflateRaw(body, options));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE') {
      throw new GpufaasError(
        'BODY_TOO_LARGE',
        `The body unpacks to more than the ${formatSize(maxBytes)} allowed here.`,
      );
    }
    throw new GpufaasError('BAD_REQUEST', `The body is not valid ${coding} data.`);
  }
}

interface Accepted {
  readonly coding: Coding;
  /** The caller named this coding and nothing else: a wish, not a library's default. */
  readonly wished: boolean;
}

/** What the caller accepts, best first by quality, gzip before deflate; null if neither. */
function acceptedCoding(acceptEncoding: string | undefined): Accepted | null {
  if (acceptEncoding === undefined || acceptEncoding === '') return null;
  let best: { coding: Coding; quality: number } | null = null;
  let named = 0;
  for (const item of acceptEncoding.toLowerCase().split(',', 16)) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim());
    if (name !== '' && name !== 'identity') named++;
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    const quality = q === undefined ? 1 : Number(q.slice(2));
    if ((name !== 'gzip' && name !== 'deflate') || !(quality > 0)) continue;
    if (best === null || quality > best.quality || (quality === best.quality && name === 'gzip')) {
      best = { coding: name, quality };
    }
  }
  return best === null ? null : { coding: best.coding, wished: named === 1 };
}

/** The coding to pack an answer with, or null to send it as it is. */
export function answerCoding(acceptEncoding: string | undefined, bytes: number, binary: boolean): Coding | null {
  const accepted = acceptedCoding(acceptEncoding);
  if (accepted === null) return null;
  // Tensors hardly shrink; they are packed for those who ask for it, not for every HTTP library's default header.
  return accepted.wished || (!binary && bytes >= WORTHWHILE_BYTES) ? accepted.coding : null;
}

/** Packs an answer; off the main thread unless it is small. */
export async function packAnswer(body: Uint8Array, coding: Coding): Promise<Uint8Array> {
  return body.byteLength <= SYNCHRONOUS_BYTES ? packNow[coding](body, LEVEL) : await pack[coding](body, LEVEL);
}
