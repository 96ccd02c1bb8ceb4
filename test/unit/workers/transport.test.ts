// The frames between processes: cut anywhere they arrive whole, mutilated they are refused.

import { duplexPair } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GpufaasError } from '../../../src/errors.ts';
import { type Channel, encodeFrame, FrameDecoder, type Message, openChannel } from '../../../src/workers/transport.ts';

interface Received {
  readonly message: Message;
  readonly parts: Uint8Array[];
}

const joined = (message: Message, parts: readonly Uint8Array[] = []): Buffer =>
  Buffer.concat(encodeFrame(message, parts));

function decode(bytes: Uint8Array, cuts: readonly number[] = []): Received[] {
  const received: Received[] = [];
  const decoder = new FrameDecoder((message, parts) => received.push({ message, parts }));
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    if (cut <= from || cut >= bytes.byteLength) continue;
    decoder.push(bytes.subarray(from, cut));
    from = cut;
  }
  decoder.push(bytes.subarray(from));
  return received;
}

describe('frames', () => {
  it('arrive as they were sent, wherever the stream is cut', () => {
    const frame = fc.record({
      text: fc.string({ unit: 'grapheme' }),
      parts: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }),
    });
    fc.assert(
      fc.property(
        fc.array(frame, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(600), { maxLength: 20 }),
        (frames, cuts) => {
          const bytes = Buffer.concat(frames.map(({ text, parts }) => joined({ text }, parts)));
          const received = decode(bytes, cuts);
          expect(received.map(({ message }) => message['text'])).toEqual(frames.map(({ text }) => text));
          expect(received.map(({ parts }) => parts.map((part) => [...part]))).toEqual(
            frames.map(({ parts }) => parts.map((part) => [...part])),
          );
        },
      ),
    );
  });

  it('lay every part on an 8-byte boundary of a buffer that holds nothing else and can be transferred', () => {
    const [{ parts } = { parts: [] }] = decode(
      joined({}, [new Uint8Array(3).fill(1), new Uint8Array(16).fill(2), new Uint8Array(0), new Uint8Array(1).fill(3)]),
    );
    expect(parts.map((part) => part.byteOffset % 8)).toEqual([0, 0, 0, 0]);
    const buffer = parts[0]!.buffer as ArrayBuffer;
    expect(buffer.byteLength).toBe(8 + 16 + 8);
    const moved = structuredClone(parts[1]!, { transfer: [buffer] });
    expect([...new Float64Array(moved.buffer as ArrayBuffer, moved.byteOffset, 2)]).toHaveLength(2);
    expect(buffer.byteLength).toBe(0);
  });

  it('are refused if any byte of the prefix or of the part table is wrong, never misread as another payload', () => {
    const parts = [new Uint8Array([1, 2, 3]), new Uint8Array([4])];
    const good = joined({ a: 1 }, parts);
    fc.assert(
      fc.property(fc.nat(16 + 8 - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(good);
        bytes[at] = bytes[at]! ^ flip;
        let received: Received[] = [];
        let code = 'INTERNAL';
        try {
          received = decode(bytes);
        } catch (error) {
          ({ code } = error as GpufaasError);
        }
        expect(code).toBe('INTERNAL');
        // What is left are frames that are still waiting for bytes, or part lengths that swap padding for data.
        for (const { parts: got } of received)
          expect(got.reduce((sum, part) => sum + part.byteLength, 0)).toBeLessThanOrEqual(16);
      }),
    );
  });

  it('are bounded on both sides', () => {
    const options = { maxFrameBytes: 100 };
    expect(() => encodeFrame({}, [new Uint8Array(100)], options)).toThrow(/over the limit of 100 bytes/);
    const decoder = new FrameDecoder(() => expect.unreachable(), options);
    expect(() => decoder.push(joined({}, [new Uint8Array(100)]))).toThrow(/100 allowed/);
  });

  it('with a message that is no JSON object are refused', () => {
    for (const text of ['[]', '1 ', 'null', '{"a"', 'xx']) {
      const bytes = Buffer.alloc(16 + text.length);
      joined({}).copy(bytes, 0, 0, 4);
      bytes.writeUInt32LE(text.length, 4);
      bytes.write(text, 16);
      expect(() => decode(bytes)).toThrow(/not a message/);
    }
  });
});

describe('a channel', () => {
  interface End {
    readonly channel: Channel;
    readonly received: Received[];
    readonly closed: Promise<GpufaasError | null>;
  }

  function open(stream: ReturnType<typeof duplexPair>[0], onMessage?: (received: Received) => void): End {
    const received: Received[] = [];
    const { promise, resolve } = Promise.withResolvers<GpufaasError | null>();
    const channel = openChannel(stream, {
      onMessage(message, parts) {
        received.push({ message, parts });
        onMessage?.({ message, parts });
      },
      onClose: resolve,
    });
    return { channel, received, closed: promise };
  }

  it('carries messages both ways and tells both ends when one closes', async () => {
    const [a, b] = duplexPair();
    const left = open(a);
    const right = open(b, ({ message, parts }) => right.channel.send({ echo: message['n'] }, parts));
    left.channel.send({ n: 1 }, [new Uint8Array(70_000).fill(7)]);
    left.channel.send({ n: 2 });
    await expect.poll(() => left.received.length).toBe(2);
    expect(left.received.map(({ message }) => message)).toEqual([{ echo: 1 }, { echo: 2 }]);
    expect(left.received[0]!.parts[0]).toEqual(new Uint8Array(70_000).fill(7));
    await left.channel.drained();
    left.channel.close();
    expect(await left.closed).toBeNull();
    expect(left.channel.closed).toBe(true);
    left.channel.send({ n: 3 });
    b.destroy();
    expect(await right.closed).toBeNull();
  });

  it('closes with an error on garbage and delivers nothing more', async () => {
    const [a, b] = duplexPair();
    const right = open(b);
    a.write(Buffer.concat([joined({ n: 1 }), Buffer.from('HTTP/1.1 200 OK\r\n\r\n')]));
    const error = await right.closed;
    expect(error?.message).toMatch(/does not begin like one/);
    expect(right.received).toHaveLength(1);
    a.write(joined({ n: 2 }), () => undefined);
    expect(right.received).toHaveLength(1);
  });

  it('says so when the peer goes in the middle of a message', async () => {
    const [a, b] = duplexPair();
    const right = open(b);
    a.end(joined({ n: 1 }, [new Uint8Array(50)]).subarray(0, 40));
    expect((await right.closed)?.message).toMatch(/in the middle of a message/);
  });

  it('refuses to pile up what the peer does not read', async () => {
    const [a] = duplexPair();
    const channel = openChannel(a, { onMessage: () => undefined, onClose: () => undefined }, { maxPendingBytes: 1000 });
    expect(() => {
      for (let i = 0; i < 1000; i++) channel.send({ i }, [new Uint8Array(1024)]);
    }).toThrow(/does not read/);
    channel.close();
    await channel.drained();
  });
});
