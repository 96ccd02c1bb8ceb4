// Messages between the daemon and a child process: length-prefixed binary frames over a duplex byte stream (the
// socket pair of the child's fourth stdio slot). A frame is a small JSON message with any number of byte parts; each
// part arrives 8-byte aligned inside one ArrayBuffer of its own frame, so typed arrays are views and the whole can be
// transferred to another thread. Sizes are bounded; whatever is not a frame closes the channel.
//
// Layout, little endian: magic u32 · message bytes u32 · parts u32 · payload bytes u32 | part lengths u32 each |
// message (JSON, UTF-8, or what the channel's codec made of it) | parts, each padded to 8 bytes.

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { GpufaasError } from '../errors.ts';
import { freeBuffer, freeChunk } from '../free-buffer.ts';

/** What a message may be: anything JSON can carry, in an object. */
export type Message = Readonly<Record<string, unknown>>;

/** The stdio slot that carries the channel: `stdio: ['ignore', 'pipe', 'pipe', 'pipe']`, then `child.stdio[3]`. */
export const CHANNEL_FD = 3;

/** Another form for some messages of a channel than JSON, at both of its ends. May remember what went before. */
export interface MessageCodec {
  /** The message's bytes, the first of which is no `{`, with as many left free before and behind them; null if it travels as JSON. */
  encode(message: Message, before: number, behind: number): Buffer | null;
  /** The message in these bytes of the view; throws if they are none. */
  decode(view: DataView, from: number, to: number): Message;
  /** What was encoded last was never sent. */
  forget(): void;
}

/** Bounds of one channel, in bytes, and its codec. */
export interface ChannelOptions {
  readonly codec?: MessageCodec;
  /** The largest frame that is sent or accepted (default 1 GiB). */
  readonly maxFrameBytes?: number;
  /** The largest JSON message inside a frame (default 4 MiB). */
  readonly maxMessageBytes?: number;
  /** What may wait for the peer to read before `send` refuses (default 2 GiB). */
  readonly maxPendingBytes?: number;
}

/** What a channel tells its owner. */
export interface ChannelHandlers {
  /** A whole frame. The parts are views of one ArrayBuffer that holds nothing else (`parts[0].buffer`), yours to keep or transfer. */
  onMessage(message: Message, parts: Uint8Array[]): void;
  /** Once, when no more will come: null if the peer closed between frames, else what went wrong. */
  onClose(error: GpufaasError | null): void;
}

/** One end of a channel. */
export interface Channel {
  /**
   * Sends one frame. The bytes of `parts` are not copied: leave them unchanged until `drained`. Nothing happens after the
   * channel closed. Throws BODY_TOO_LARGE for a frame over the bound, QUEUE_FULL if the peer reads too slowly.
   */
  send(message: Message, parts?: readonly Uint8Array[]): void;
  /** The same with parts that are given away: their buffers are freed once the system took them, not at some later collection. */
  give(message: Message, parts: readonly Uint8Array[]): void;
  /** Resolves when everything sent so far was handed to the system, or the channel closed. */
  drained(): Promise<void>;
  /** Bytes sent that the system has not taken yet. */
  readonly pendingBytes: number;
  readonly closed: boolean;
  /** Closes at once; what was not taken yet is lost. `onClose(null)` follows. */
  close(): void;
}

const MAGIC = 0x31667067; // 'gpf1'
const PREFIX_BYTES = 16;
const MAX_PARTS = 65_536;
const MAX_FRAME_BYTES = 2 ** 30;
const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

/** Copying a small frame into one chunk costs less than a gathered write of its parts, in bytes. */
const COPIED_BYTES = 16 * 2 ** 10;

const OPENING_BRACE = 0x7b;

const align8 = (bytes: number): number => Math.ceil(bytes / 8) * 8;
const PADDING = new Uint8Array(8);
const EMPTY = new Uint8Array(0);

/**
 * The chunks of one frame, ready for a gathered write. The parts of a small frame are copied, those of a large one are referenced.
 * Throws BODY_TOO_LARGE.
 */
export function encodeFrame(
  message: Message,
  parts: readonly Uint8Array[] = [],
  options: ChannelOptions = {},
): Uint8Array[] {
  let payloadBytes = 0;
  for (const part of parts) payloadBytes += align8(part.byteLength);
  const copied = payloadBytes <= COPIED_BYTES;
  const before = PREFIX_BYTES + parts.length * 4;
  const behind = copied ? payloadBytes : 0;
  const head = options.codec?.encode(message, before, behind) ?? encodeJson(message, before, behind);
  const messageBytes = head.byteLength - before - behind;
  const total = before + messageBytes + payloadBytes;
  const maxFrameBytes = options.maxFrameBytes ?? MAX_FRAME_BYTES;
  if (total > maxFrameBytes || messageBytes > (options.maxMessageBytes ?? MAX_MESSAGE_BYTES)) {
    options.codec?.forget();
    throw new GpufaasError(
      'BODY_TOO_LARGE',
      `A message of ${total} bytes is over the limit of ${maxFrameBytes} bytes.`,
    );
  }
  if (parts.length > MAX_PARTS) {
    options.codec?.forget();
    throw new GpufaasError(
      'BODY_TOO_LARGE',
      `A message of ${parts.length} parts is over the limit of ${MAX_PARTS} parts.`,
    );
  }
  const view = new DataView(head.buffer, head.byteOffset, before);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, messageBytes, true);
  view.setUint32(8, parts.length, true);
  view.setUint32(12, payloadBytes, true);
  const chunks: Uint8Array[] = [head];
  let lengthAt = PREFIX_BYTES;
  let offset = before + messageBytes;
  for (const part of parts) {
    view.setUint32(lengthAt, part.byteLength, true);
    lengthAt += 4;
    const padding = align8(part.byteLength) - part.byteLength;
    if (copied) {
      head.set(part, offset);
      head.fill(0, offset + part.byteLength, offset + part.byteLength + padding);
      offset += part.byteLength + padding;
    } else {
      if (part.byteLength > 0) chunks.push(part);
      if (padding > 0) chunks.push(PADDING.subarray(0, padding));
    }
  }
  return chunks;
}

function encodeJson(message: Message, before: number, behind: number): Buffer {
  const json = JSON.stringify(message);
  const bytes = Buffer.allocUnsafe(before + Buffer.byteLength(json) + behind);
  bytes.write(json, before);
  return bytes;
}

/** Puts frames together from chunks cut anywhere. `push` throws INTERNAL on bytes that are no frame; then it is of no more use. */
export class FrameDecoder {
  readonly #deliver: (message: Message, parts: Uint8Array[]) => void;
  readonly #maxFrameBytes: number;
  readonly #maxMessageBytes: number;
  readonly #codec: MessageCodec | undefined;
  #stage: 'prefix' | 'head' | 'payload' = 'prefix';
  /** Bytes of this stage. */
  #needed = PREFIX_BYTES;
  /** Where they are gathered; null while none was: a prefix or head that lies whole in a chunk is read there. */
  #target: Buffer | null = null;
  #filled = 0;
  #partCount = 0;
  #payloadBytes = 0;
  #message: Message = {};
  #partBytes: number[] = [];

  constructor(deliver: (message: Message, parts: Uint8Array[]) => void, options: ChannelOptions = {}) {
    this.#deliver = deliver;
    this.#maxFrameBytes = options.maxFrameBytes ?? MAX_FRAME_BYTES;
    this.#maxMessageBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES;
    this.#codec = options.codec;
  }

  /** True between frames: nothing was received of a frame that is not whole. */
  get idle(): boolean {
    return this.#stage === 'prefix' && this.#filled === 0;
  }

  push(chunk: Uint8Array): void {
    const view = viewOf(chunk);
    let at = 0;
    while (at < chunk.byteLength) {
      const left = chunk.byteLength - at;
      if (this.#target === null && left >= this.#needed) {
        const from = at;
        at += this.#needed;
        this.#read(view, from);
        continue;
      }
      const target = (this.#target ??= Buffer.allocUnsafe(this.#needed));
      const taken = Math.min(left, this.#needed - this.#filled);
      target.set(chunk.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled < this.#needed) return;
      if (this.#stage === 'payload') this.#finish(target.buffer as ArrayBuffer);
      else this.#read(viewOf(target), 0);
    }
  }

  #expect(stage: 'prefix' | 'head' | 'payload', bytes: number): void {
    this.#stage = stage;
    this.#needed = bytes;
    this.#target = null;
    this.#filled = 0;
  }

  #read(view: DataView<ArrayBuffer>, at: number): void {
    if (this.#stage === 'prefix') this.#readPrefix(view, at);
    else this.#readHead(view, at);
  }

  #readPrefix(view: DataView<ArrayBuffer>, at: number): void {
    const messageBytes = view.getUint32(at + 4, true);
    this.#partCount = view.getUint32(at + 8, true);
    this.#payloadBytes = view.getUint32(at + 12, true);
    if (view.getUint32(at, true) !== MAGIC) throw notAFrame('it does not begin like one');
    if (messageBytes < 2 || messageBytes > this.#maxMessageBytes)
      throw notAFrame(`its message has ${messageBytes} bytes`);
    if (this.#partCount > MAX_PARTS) throw notAFrame(`it claims ${this.#partCount} parts`);
    const total = PREFIX_BYTES + this.#partCount * 4 + messageBytes + this.#payloadBytes;
    if (total > this.#maxFrameBytes) throw notAFrame(`it claims ${total} bytes of ${this.#maxFrameBytes} allowed`);
    this.#expect('head', this.#partCount * 4 + messageBytes);
  }

  #readHead(view: DataView<ArrayBuffer>, at: number): void {
    const end = at + this.#needed;
    this.#partBytes = [];
    let sum = 0;
    let offset = at;
    for (let i = 0; i < this.#partCount; i++, offset += 4) {
      const partBytes = view.getUint32(offset, true);
      this.#partBytes.push(partBytes);
      sum += align8(partBytes);
    }
    if (sum !== this.#payloadBytes) throw notAFrame('its parts do not add up');
    let message: unknown;
    try {
      message =
        this.#codec === undefined || view.getUint8(offset) === OPENING_BRACE
          ? JSON.parse(textOf(view, offset, end))
          : this.#codec.decode(view, offset, end);
    } catch {
      throw notAFrame('its message can not be read');
    }
    if (typeof message !== 'object' || message === null || Array.isArray(message))
      throw notAFrame('its message is no object');
    this.#message = message as Message;
    if (this.#payloadBytes === 0) {
      this.#finish(new ArrayBuffer(0));
      return;
    }
    this.#expect('payload', this.#payloadBytes);
    // Unpooled, so that the payload's ArrayBuffer is the frame's own; not zeroed, because every byte is overwritten.
    this.#target = Buffer.allocUnsafeSlow(this.#payloadBytes);
  }

  #finish(payload: ArrayBuffer): void {
    const parts: Uint8Array[] = [];
    let offset = 0;
    for (const bytes of this.#partBytes) {
      parts.push(bytes === 0 ? new Uint8Array(0) : new Uint8Array(payload, offset, bytes));
      offset += align8(bytes);
    }
    const message = this.#message;
    this.#expect('prefix', PREFIX_BYTES);
    this.#deliver(message, parts);
  }
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView<ArrayBuffer> =>
  new DataView(buffer as ArrayBuffer, byteOffset, byteLength);

/** The text in these bytes of a view, UTF-8. */
export function textOf({ buffer, byteOffset }: DataView, from: number, to: number): string {
  return Buffer.from(buffer as ArrayBuffer, byteOffset + from, to - from).toString('utf8');
}

function notAFrame(why: string): GpufaasError {
  return new GpufaasError('INTERNAL', `What arrived from the other process is not a message: ${why}.`);
}

/** Opens a channel over a duplex stream, which belongs to the channel from then on. */
export function openChannel(stream: Duplex, handlers: ChannelHandlers, options: ChannelOptions = {}): Channel {
  const maxPendingBytes = options.maxPendingBytes ?? 2 * 2 ** 30;
  let closed = false;
  let delivering = false;
  const waiting = new Set<() => void>();
  const finish = (error: GpufaasError | null): void => {
    if (closed) return;
    closed = true;
    stream.destroy();
    for (const wake of waiting) wake();
    handlers.onClose(error);
  };
  const decoder = new FrameDecoder((message, parts) => {
    if (closed) return;
    delivering = true;
    handlers.onMessage(message, parts);
    delivering = false;
  }, options);
  stream.on('data', (chunk: Uint8Array) => {
    if (closed) return;
    let broken: GpufaasError | undefined;
    try {
      decoder.push(chunk);
      // Every byte was copied to its place.
      freeChunk(chunk);
    } catch (error) {
      // What the owner's handler throws is not the channel's: only what the decoder says ends it.
      if (delivering || !(error instanceof GpufaasError)) throw error;
      broken = error;
    }
    if (broken) finish(broken);
  });
  const ended = (): void =>
    finish(
      decoder.idle
        ? null
        : new GpufaasError('INTERNAL', 'The other process closed the channel in the middle of a message.'),
    );
  stream.on('end', ended);
  stream.on('close', ended);
  stream.on('error', (cause: Error) =>
    finish(new GpufaasError('INTERNAL', 'The channel to the other process broke.', { cause })),
  );

  const channel: Channel = {
    send(message, parts = []) {
      if (closed) return;
      if (stream.writableLength > maxPendingBytes) {
        throw new GpufaasError('QUEUE_FULL', 'The other process does not read what it is sent.');
      }
      const chunks = encodeFrame(message, parts, options);
      if (chunks.length === 1) {
        stream.write(chunks[0]);
        return;
      }
      stream.cork();
      for (const chunk of chunks) stream.write(chunk);
      stream.uncork();
    },
    give(message, parts) {
      channel.send(message, parts);
      if (parts.some(({ byteLength }) => byteLength > COPIED_BYTES))
        void channel.drained().then(() => parts.forEach(freeBuffer));
    },
    drained() {
      if (closed || stream.writableLength === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = (): void => {
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
        stream.write(EMPTY, wake);
      });
    },
    get pendingBytes() {
      return stream.writableLength;
    },
    get closed() {
      return closed;
    },
    close: () => finish(null),
  };
  return channel;
}

/** In a child: its end of the channel that the parent opened over `child.stdio[CHANNEL_FD]`. */
export function channelToParent(handlers: ChannelHandlers, options: ChannelOptions = {}): Channel {
  return openChannel(new Socket({ fd: CHANNEL_FD, readable: true, writable: true }), handlers, options);
}
