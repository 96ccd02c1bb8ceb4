import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Lanes, openLane } from '../../../src/workers/lanes.ts';
import type { LaneAddress } from '../../../src/workers/protocol.ts';
import type { Channel, Message } from '../../../src/workers/transport.ts';

const RUN = { type: 'run', call: 1, model: 'm', instance: null, inputs: [], slot: null, placed: null };
const RAN = { type: 'ran', call: 1, outputs: [], placed: null, runMs: 0.5 };
const closed: number[] = [];
const received: { message: Message; parts: Uint8Array[] }[] = [];

function open(): Lanes {
  received.length = 0;
  closed.length = 0;
  const lanes = Lanes.open(
    (message, parts) => received.push({ message, parts }),
    (lane) => closed.push(lane),
  )!;
  onTestFinished(() => lanes.close());
  return lanes;
}

function join(address: LaneAddress, lane: number): { channel: Channel; got: Message[]; closed: Promise<void> } {
  const got: Message[] = [];
  const closed = Promise.withResolvers<void>();
  const channel = openLane(address, lane, {
    onMessage: (message) => got.push(message),
    onClose: () => closed.resolve(),
  });
  onTestFinished(() => channel.close());
  return { channel, got, closed: closed.promise };
}

describe.runIf(process.platform === 'linux')('lanes', () => {
  it('carry frames both ways, each thread on its own', async () => {
    const lanes = open();
    const first = join(lanes.address, 0);
    const second = join(lanes.address, 7);
    await expect.poll(() => lanes.get(0) !== undefined && lanes.get(7) !== undefined).toBe(true);
    lanes.get(7)!.send(RUN);
    await expect.poll(() => second.got).toEqual([RUN]);
    expect(first.got).toEqual([]);
    second.channel.send(RAN, [new Uint8Array([1, 2, 3])]);
    await expect.poll(() => received.length).toBe(1);
    expect(received[0]!.message).toEqual(RAN);
    expect([...received[0]!.parts[0]!]).toEqual([1, 2, 3]);
  });

  it('shut out whoever does not know the secret', async () => {
    const lanes = open();
    const stranger = join({ ...lanes.address, secret: 'x'.repeat(lanes.address.secret.length) }, 0);
    await stranger.closed;
    expect(lanes.get(0)).toBeUndefined();
  });

  it('shut out a crowd that says nothing, and stay open for their own', async () => {
    const lanes = open();
    const crowd = Array.from({ length: 40 }, () => connect({ path: lanes.address.path }));
    onTestFinished(() => crowd.forEach((socket) => socket.destroy()));
    let refused = 0;
    for (const socket of crowd) socket.on('close', () => refused++).on('error', () => undefined);
    await expect.poll(() => refused).toBe(24);
    for (const socket of crowd.slice(0, 16)) socket.destroy();
    await expect.poll(() => refused).toBe(40);
    join(lanes.address, 3);
    await expect.poll(() => lanes.get(3) !== undefined).toBe(true);
  });

  it('are forgotten when their thread ends, and end with the daemon side', async () => {
    const lanes = open();
    const first = join(lanes.address, 0);
    const second = join(lanes.address, 1);
    await expect.poll(() => lanes.get(0) !== undefined && lanes.get(1) !== undefined).toBe(true);
    first.channel.close();
    await expect.poll(() => lanes.get(0)).toBeUndefined();
    expect(closed).toEqual([0]);
    lanes.close();
    await second.closed;
    const late = connect({ path: lanes.address.path });
    await once(late, 'error');
  });
});
