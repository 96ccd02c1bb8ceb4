// Unpacks a WOFF 1.0 font into the plain font file inside it.

import { inflateSync } from 'node:zlib';

const HEADER_BYTES = 44;
const ENTRY_BYTES = 20;
const SFNT_ENTRY_BYTES = 16;

/** The sfnt (TrueType or OpenType) bytes of a WOFF file; throws if it is none. */
export function unpackWoff(woff: Buffer): ArrayBuffer {
  if (woff.toString('latin1', 0, 4) !== 'wOFF') throw new Error('This is no WOFF font.');
  const count = woff.readUInt16BE(12);
  const tables = Array.from({ length: count }, (_, i) => {
    const entry = HEADER_BYTES + i * ENTRY_BYTES;
    const [offset, packed, size] = [
      woff.readUInt32BE(entry + 4),
      woff.readUInt32BE(entry + 8),
      woff.readUInt32BE(entry + 12),
    ];
    const stored = woff.subarray(offset, offset + packed);
    return { tag: woff.subarray(entry, entry + 4), content: packed < size ? inflateSync(stored) : stored };
  });
  const head = Buffer.alloc(12 + count * SFNT_ENTRY_BYTES);
  woff.copy(head, 0, 4, 8);
  head.writeUInt16BE(count, 4);
  const parts: Buffer[] = [head];
  let offset = head.length;
  tables.forEach(({ tag, content }, i) => {
    const entry = 12 + i * SFNT_ENTRY_BYTES;
    tag.copy(head, entry);
    head.writeUInt32BE(offset, entry + 8);
    head.writeUInt32BE(content.length, entry + 12);
    const padding = Buffer.alloc((4 - (content.length % 4)) % 4);
    parts.push(content, padding);
    offset += content.length + padding.length;
  });
  return new Uint8Array(Buffer.concat(parts)).buffer;
}
