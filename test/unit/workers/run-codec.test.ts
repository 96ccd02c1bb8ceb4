// Runs and their answers in few bytes: what arrives is what was sent, whatever went before.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GpufaasError } from '../../../src/errors.ts';
import { RunCodec } from '../../../src/workers/run-codec.ts';
import { encodeFrame, FrameDecoder, type Message } from '../../../src/workers/transport.ts';

const u32 = fc.nat(2 ** 32 - 1);
const heads = fc.array(
  fc.record({
    name: fc.constantFrom('input', 'é"{', ''),
    datatype: fc.constantFrom('FP32', 'BYTES'),
    shape: fc.array(fc.constantFrom(0, 1, 3), { maxLength: 2 }),
  }),
  { maxLength: 2 },
);
const placed = fc.option(fc.array(u32, { maxLength: 3 }));
const run = fc.record({
  type: fc.constant('run'),
  call: fc.maxSafeNat(),
  model: fc.constantFrom('a', 'b'),
  instance: fc.option(fc.nat(100)),
  inputs: heads,
  slot: fc.option(u32),
  placed,
});
const ran = fc.record({
  type: fc.constant('ran'),
  call: fc.maxSafeNat(),
  outputs: heads,
  placed,
  runMs: fc.double({ noNaN: true }),
});
const failed = fc.record({ type: fc.constant('failed'), call: u32, error: fc.constant({ code: 'INTERNAL' }) });
const message = fc.oneof(run, ran, failed) as fc.Arbitrary<Message>;

const RUN = {
  type: 'run',
  call: 7,
  model: 'm',
  instance: null,
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3] }],
};
const placedAt = (slot: number): Message => ({ ...RUN, slot, placed: [12] });

function receiver(): { push: (bytes: Uint8Array) => void; received: Message[] } {
  const received: Message[] = [];
  const decoder = new FrameDecoder((each) => received.push(each), { codec: new RunCodec() });
  return { push: (bytes) => decoder.push(bytes), received };
}

describe('runs on a lane', () => {
  it('arrive as they were sent, whatever went before', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), (messages) => {
        const codec = new RunCodec();
        const { push, received } = receiver();
        for (const each of messages) push(Buffer.concat(encodeFrame(each, [], { codec })));
        expect(received).toEqual(messages);
      }),
    );
  });

  it('name what repeats only once', () => {
    const codec = new RunCodec();
    const bytes = [1, 2, 3].map((slot) => Buffer.concat(encodeFrame(placedAt(slot), [], { codec })));
    expect(bytes[0]!.includes('FP32')).toBe(true);
    expect(bytes.slice(1).map((each) => each.byteLength)).toEqual([44, 44]);
    const other = encodeFrame({ ...placedAt(1), inputs: [{ ...RUN.inputs[0]!, shape: [2, 3] }] }, [], { codec });
    expect(Buffer.concat(other).includes('[2,3]')).toBe(true);
  });

  it('name it again after a message that could not be sent', () => {
    const codec = new RunCodec();
    expect(() => encodeFrame(placedAt(1), [new Uint8Array(100)], { codec, maxFrameBytes: 50 })).toThrow(
      /over the limit/,
    );
    const { push, received } = receiver();
    push(Buffer.concat(encodeFrame(placedAt(2), [], { codec })));
    expect(received).toEqual([placedAt(2)]);
  });

  it('name it again if a shape was changed where it lay', () => {
    const codec = new RunCodec();
    const { push, received } = receiver();
    const shape = [1, 3];
    const message = { ...placedAt(1), inputs: [{ ...RUN.inputs[0]!, shape }] };
    push(Buffer.concat(encodeFrame(message, [], { codec })));
    shape[0] = 2;
    push(Buffer.concat(encodeFrame(message, [], { codec })));
    expect(received.at(-1)).toMatchObject({ inputs: [{ shape: [2, 3] }] });
  });

  it('travel as JSON where there are too many tensors for it', () => {
    const codec = new RunCodec();
    const { push, received } = receiver();
    const heads = Array.from({ length: 70_000 }, () => ({ name: 'y', datatype: 'FP32', shape: [] }));
    const many = { type: 'ran', call: 1, outputs: heads, placed: heads.map(() => 4), runMs: 1 };
    const one = { type: 'ran', call: 2, outputs: heads.slice(0, 1), placed: [4], runMs: 1 };
    const options = { codec, maxMessageBytes: 2 ** 24 };
    for (const message of [one, many, one]) push(Buffer.concat(encodeFrame(message, [], options)));
    expect(received.map(({ outputs }) => (outputs as unknown[]).length)).toEqual([1, 70_000, 1]);
  });

  it.each([
    ['repeat what never came', (bytes: Buffer) => bytes.fill(0, 17, 18)],
    ['are of no kind', (bytes: Buffer) => bytes.fill(9, 16, 17)],
    ['promise more than comes', (bytes: Buffer) => bytes.fill(255, 18, 20)],
    [
      'are cut off',
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 4), Buffer.from([4, 0, 0, 0]), bytes.subarray(8)]),
    ],
  ])('are refused where they %s', (_what, mutilate) => {
    const bytes = Buffer.concat(encodeFrame(placedAt(1), [], { codec: new RunCodec() }));
    const { push, received } = receiver();
    expect(() => push(mutilate(bytes))).toThrow(expect.objectContaining<Partial<GpufaasError>>({ code: 'INTERNAL' }));
    expect(received).toEqual([]);
  });
});
