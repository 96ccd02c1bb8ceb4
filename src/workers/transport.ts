// Messages between the daemon and a child process: length-prefixed binary frames over a duplex byte stream (the
// socket pair of the child's fourth stdio slot). A frame is a small JSON message with any number of byte parts; each
// part arrives 8-byte aligned inside one ArrayBuffer of its own frame, so typed arrays are views and the whole can be
// transferred to another thread. Sizes are bounded; whatever is not a frame closes the channel.
//
// Layout, little endian: magic u32 · message bytes u32 · parts u32 · payload bytes u32 | part lengths u32 each |
// message (JSON, UTF-8) | parts, each padded to 8 bytes.

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { GpufaasError } from '../errors.ts';
import { freeChunk } from '../free-buffer.ts';

/** What a message may be: anything JSON can carry, in an object. */
export type Message = Readonly<Record<string, unknown>>;

/** The stdio slot that carries the channel: `stdio: ['ignore', 'pipe', 'pipe', 'pipe']`, then `child.stdio[3]`. */
export const CHANNEL_FD = 3;

/** Bounds of one channel, in bytes. */
export interface ChannelOptions {
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

const align8 = (bytes: number): number => Math.ceil(bytes / 8) * 8;
const PADDING = new Uint8Array(8);
const EMPTY = new Uint8Array(0);

/** The chunks of one frame, ready for a gathered write; parts are referenced, not copied. Throws BODY_TOO_LARGE. */
export function encodeFrame(
  message: Message,
  parts: readonly Uint8Array[] = [],
  options: ChannelOptions = {},
): Uint8Array[] {
  const json = Buffer.from(JSON.stringify(message));
  let payloadBytes = 0;
  for (const part of parts) payloadBytes += align8(part.byteLength);
  const total = PREFIX_BYTES + parts.length * 4 + json.byteLength + payloadBytes;
  const maxFrameBytes = options.maxFrameBytes ?? MAX_FRAME_BYTES;
  if (total > maxFrameBytes || json.byteLength > (options.maxMessageBytes ?? MAX_MESSAGE_BYTES)) {
    throw new GpufaasError(
      'BODY_TOO_LARGE',
      `A message of ${total} bytes is over the limit of ${maxFrameBytes} bytes.`,
    );
  }
  if (parts.length > MAX_PARTS) {
    throw new GpufaasError(
      'BODY_TOO_LARGE',
      `A message of ${parts.length} parts is over the limit of ${MAX_PARTS} parts.`,
    );
  }
  const head = Buffer.allocUnsafe(PREFIX_BYTES + parts.length * 4 + json.byteLength);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(json.byteLength, 4);
  head.writeUInt32LE(parts.length, 8);
  head.writeUInt32LE(payloadBytes, 12);
  const chunks: Uint8Array[] = [head];
  let offset = PREFIX_BYTES;
  for (const part of parts) {
    offset = head.writeUInt32LE(part.byteLength, offset);
    if (part.byteLength === 0) continue;
    chunks.push(part);
    const padding = (8 - (part.byteLength % 8)) % 8;
    if (padding > 0) chunks.push(PADDING.subarray(0, padding));
  }
  json.copy(head, offset);
  return chunks;
}

/** Puts frames together from chunks cut anywhere. `push` throws INTERNAL on bytes that are no frame; then it is of no more use. */
export class FrameDecoder {
  readonly #deliver: (message: Message, parts: Uint8Array[]) => void;
  readonly #maxFrameBytes: number;
  readonly #maxMessageBytes: number;
  #stage: 'prefix' | 'head' | 'payload' = 'prefix';
  #target: Uint8Array = new Uint8Array(PREFIX_BYTES);
  #filled = 0;
  #partCount = 0;
  #payloadBytes = 0;
  #message: Message = {};
  #partBytes: number[] = [];

  constructor(deliver: (message: Message, parts: Uint8Array[]) => void, options: ChannelOptions = {}) {
    this.#deliver = deliver;
    this.#maxFrameBytes = options.maxFrameBytes ?? MAX_FRAME_BYTES;
    this.#maxMessageBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES;
  }

  /** True between frames: nothing was received of a frame that is not whole. */
  get idle(): boolean {
    return this.#stage === 'prefix' && this.#filled === 0;
  }

  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.byteLength) {
      const taken = Math.min(chunk.byteLength - offset, this.#target.byteLength - this.#filled);
      this.#target.set(chunk.subarray(offset, offset + taken), this.#filled);
      this.#filled += taken;
      offset += taken;
      if (this.#filled === this.#target.byteLength) this.#advance();
    }
  }

  #expect(stage: 'prefix' | 'head' | 'payload', bytes: number): void {
    this.#stage = stage;
    this.#filled = 0;
    // Unpooled, so that the payload's ArrayBuffer is the frame's own; not zeroed, because every byte is overwritten.
    this.#target = bytes === 0 ? EMPTY : Buffer.allocUnsafeSlow(bytes);
  }

  #advance(): void {
    if (this.#stage === 'prefix') this.#readPrefix();
    else if (this.#stage === 'head') this.#readHead();
    else this.#finish();
  }

  #readPrefix(): void {
    const view = new DataView(this.#target.buffer, this.#target.byteOffset, PREFIX_BYTES);
    const messageBytes = view.getUint32(4, true);
    this.#partCount = view.getUint32(8, true);
    this.#payloadBytes = view.getUint32(12, true);
    if (view.getUint32(0, true) !== MAGIC) throw notAFrame('it does not begin like one');
    if (messageBytes < 2 || messageBytes > this.#maxMessageBytes)
      throw notAFrame(`its message has ${messageBytes} bytes`);
    if (this.#partCount > MAX_PARTS) throw notAFrame(`it claims ${this.#partCount} parts`);
    const total = PREFIX_BYTES + this.#partCount * 4 + messageBytes + this.#payloadBytes;
    if (total > this.#maxFrameBytes) throw notAFrame(`it claims ${total} bytes of ${this.#maxFrameBytes} allowed`);
    this.#expect('head', this.#partCount * 4 + messageBytes);
  }

  #readHead(): void {
    const head = Buffer.from(this.#target.buffer, this.#target.byteOffset, this.#target.byteLength);
    this.#partBytes = [];
    let sum = 0;
    for (let i = 0; i < this.#partCount; i++) {
      const bytes = head.readUInt32LE(i * 4);
      this.#partBytes.push(bytes);
      sum += align8(bytes);
    }
    if (sum !== this.#payloadBytes) throw notAFrame('its parts do not add up');
    let message: unknown;
    try {
      message = JSON.parse(head.toString('utf8', this.#partCount * 4));
    } catch {
      throw notAFrame('its message is not JSON');
    }
    if (typeof message !== 'object' || message === null || Array.isArray(message))
      throw notAFrame('its message is no object');
    this.#message = message as Message;
    this.#expect('payload', this.#payloadBytes);
    if (this.#payloadBytes === 0) this.#finish();
  }

  #finish(): void {
    const { buffer } = this.#target;
    const parts: Uint8Array[] = [];
    let offset = 0;
    for (const bytes of this.#partBytes) {
      parts.push(bytes === 0 ? new Uint8Array(0) : new Uint8Array(buffer, offset, bytes));
      offset += align8(bytes);
    }
    const message = this.#message;
    this.#expect('prefix', PREFIX_BYTES);
    this.#deliver(message, parts);
  }
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

  return {
    send(message, parts = []) {
      if (closed) return;
      if (stream.writableLength > maxPendingBytes) {
        throw new GpufaasError('QUEUE_FULL', 'The other process does not read what it is sent.');
      }
      const chunks = encodeFrame(message, parts, options);
      stream.cork();
      for (const chunk of chunks) stream.write(chunk);
      stream.uncork();
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
}

/** In a child: its end of the channel that the parent opened over `child.stdio[CHANNEL_FD]`. */
export function channelToParent(handlers: ChannelHandlers, options: ChannelOptions = {}): Channel {
  return openChannel(new Socket({ fd: CHANNEL_FD, readable: true, writable: true }), handlers, options);
}
