// Lanes: a socket of its own from the daemon to each model's thread, so that a run does not pass the worker's main thread twice.
// The daemon listens under a name that only this worker was told, with a secret, and a thread connects when it starts. Where
// there is no lane (yet), runs go through the main thread. Linux only: names there need no file that could be left behind.

import { timingSafeEqual } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { newCallId } from '../random.ts';
import type { LaneAddress } from './protocol.ts';
import { RunCodec } from './run-codec.ts';
import { type Channel, type ChannelHandlers, type Message, openChannel } from './transport.ts';

/** A greeting is the secret and the lane's number, u32 little endian. */
const SECRET_BYTES = 72;
const GREETING_BYTES = SECRET_BYTES + 4;
const GREETING_LIMIT_MS = 5_000;
/** Connections that have not greeted yet. */
const MOST_STRANGERS = 16;

/** The daemon's side, for one worker process. */
export class Lanes {
  readonly address: LaneAddress;
  readonly #onMessage: (message: Message, parts: Uint8Array[]) => void;
  readonly #onLaneClosed: (lane: number) => void;
  readonly #server: Server;
  readonly #lanes = new Map<number, Channel>();
  readonly #strangers = new Set<Socket>();

  private constructor(
    onMessage: (message: Message, parts: Uint8Array[]) => void,
    onLaneClosed: (lane: number) => void,
  ) {
    this.#onMessage = onMessage;
    this.#onLaneClosed = onLaneClosed;
    this.address = { path: `\0gpufaas-${newCallId()}`, secret: `${newCallId()}${newCallId()}` };
    this.#server = createServer((socket) => this.#meet(socket));
    // Without a name there are no lanes, and everything goes through the main thread.
    this.#server.on('error', () => this.#server.close());
    this.#server.listen({ path: this.address.path });
    this.#server.unref();
  }

  /** Starts to listen; null where that can't be done without files. */
  static open(
    onMessage: (message: Message, parts: Uint8Array[]) => void,
    onLaneClosed: (lane: number) => void,
  ): Lanes | null {
    return process.platform === 'linux' ? new Lanes(onMessage, onLaneClosed) : null;
  }

  /** The lane of this number, if it is open. */
  get(lane: number | null | undefined): Channel | undefined {
    return lane == null ? undefined : this.#lanes.get(lane);
  }

  #meet(socket: Socket): void {
    if (this.#strangers.size >= MOST_STRANGERS) {
      socket.destroy();
      return;
    }
    this.#strangers.add(socket);
    const timer = setTimeout(() => socket.destroy(), GREETING_LIMIT_MS);
    const part = (): void => {
      clearTimeout(timer);
      this.#strangers.delete(socket);
    };
    socket.on('error', () => socket.destroy());
    socket.once('close', part);
    const greet = (): void => {
      const greeting = socket.read(GREETING_BYTES) as Buffer | null;
      if (greeting === null) return;
      socket.off('readable', greet);
      part();
      if (timingSafeEqual(greeting.subarray(0, SECRET_BYTES), Buffer.from(this.address.secret))) {
        this.#open(greeting.readUInt32LE(SECRET_BYTES), socket);
      } else socket.destroy();
    };
    socket.on('readable', greet);
  }

  #open(lane: number, socket: Socket): void {
    const handlers: ChannelHandlers = {
      onMessage: this.#onMessage,
      onClose: () => {
        if (this.#lanes.get(lane) !== channel) return;
        this.#lanes.delete(lane);
        this.#onLaneClosed(lane);
      },
    };
    const channel = openChannel(socket, handlers, { codec: new RunCodec() });
    this.#lanes.set(lane, channel);
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#strangers) socket.destroy();
    const channels = Array.from(this.#lanes.values());
    this.#lanes.clear();
    for (const channel of channels) channel.close();
  }
}

/** In a model's thread: opens its lane to the daemon. */
export function openLane(address: LaneAddress, lane: number, handlers: ChannelHandlers): Channel {
  const socket = connect({ path: address.path });
  const greeting = Buffer.alloc(GREETING_BYTES);
  greeting.write(address.secret, 'latin1');
  greeting.writeUInt32LE(lane, SECRET_BYTES);
  socket.write(greeting);
  return openChannel(socket, handlers, { codec: new RunCodec() });
}
