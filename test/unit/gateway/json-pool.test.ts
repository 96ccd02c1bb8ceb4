// The pool of JSON threads: same results as on the main thread, errors with their codes, bounds that hold.

import { afterEach, expect, test } from 'vitest';
import { JsonPool } from '../../../src/gateway/json-pool.ts';
import type { Signature } from '../../../src/gateway/open-inference/types.ts';
import { floats, spec } from '../../helpers/gateway.ts';

const signature: Signature = { inputs: [spec('x', 'FP32', [-1])], outputs: [spec('y', 'FP32', [-1])] };
const request = (...data: readonly unknown[]): Uint8Array => bodyOf(data);
const bodyOf = (data: readonly unknown[]): Uint8Array =>
  new Uint8Array(
    Buffer.from(JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [data.length], data }] })),
  );
const head = { modelName: 'm', modelVersion: '1', id: null };

let pool: JsonPool;
afterEach(() => pool.close());

test('a request is decoded and an answer written on another thread', async () => {
  pool = new JsonPool({ threads: 1 });
  const { inputs } = await pool.decode(request(1, 2, 0.5), null, signature);
  expect(inputs[0]!.data).toEqual(floats(1, 2, 0.5));
  const outputs = [{ name: 'y', datatype: 'FP32', shape: [3], data: inputs[0]!.data }] as const;
  const { parts } = await pool.encode(head, outputs, [{ name: 'y', binary: false }]);
  expect(JSON.parse(Buffer.from(parts[0]!).toString()).outputs[0].data).toEqual([1, 2, 0.5]);
});

test('the memory of a large body moves and is not copied', async () => {
  pool = new JsonPool({ threads: 1 });
  const body = bodyOf(Array.from({ length: 50_000 }, (_, index) => index / 7));
  await pool.decode(body, null, signature);
  expect(body.byteLength).toBe(0);
});

test('outputs over one buffer all arrive whole', async () => {
  pool = new JsonPool({ threads: 1 });
  const shared = floats(1, 2, 3);
  const outputs = [
    { name: 'a', datatype: 'FP32', shape: [3], data: shared },
    { name: 'b', datatype: 'FP32', shape: [3], data: shared },
  ] as const;
  const { parts } = await pool.encode(head, outputs, [
    { name: 'a', binary: false },
    { name: 'b', binary: true },
  ]);
  expect(Buffer.from(parts[0]!).toString()).toContain('[1,2,3]');
  expect(new Uint8Array(parts[1]!)).toEqual(floats(1, 2, 3));
});

test('an error comes back with its code and its message', async () => {
  pool = new JsonPool({ threads: 1 });
  await expect(pool.decode(request('a'), null, signature)).rejects.toMatchObject({
    code: 'BAD_TENSOR',
    message: expect.stringContaining('element 0'),
  });
});

test('a body that would unfold to gigabytes is refused before it is parsed', async () => {
  pool = new JsonPool({ threads: 1 });
  const greedy = new Uint8Array(Buffer.from(`{"inputs":[${'[],'.repeat(9_000_000)}0]}`));
  await expect(pool.decode(greedy, null, signature)).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
  const { inputs } = await pool.decode(request(4), null, signature);
  expect(inputs[0]!.data).toEqual(floats(4));
});

test('a job that takes too long is ended', async () => {
  pool = new JsonPool({ threads: 1, timeoutMs: 1 });
  const slow = bodyOf(Array.from({ length: 200_000 }, (_, index) => index));
  await expect(pool.decode(slow, null, signature)).rejects.toMatchObject({ code: 'TIMEOUT' });
});

test('more jobs than may wait are refused, with a time to come back', async () => {
  pool = new JsonPool({ threads: 1, maxQueued: 1 });
  const first = pool.decode(request(1), null, signature);
  const second = pool.decode(request(2), null, signature);
  await expect(pool.decode(request(3), null, signature)).rejects.toMatchObject({
    code: 'QUEUE_FULL',
    retryAfterMs: 1000,
  });
  expect((await first).inputs[0]!.data).toEqual(floats(1));
  expect((await second).inputs[0]!.data).toEqual(floats(2));
});

test('closing rejects what is under way', async () => {
  pool = new JsonPool({ threads: 1 });
  const running = pool.decode(request(1), null, signature);
  const waiting = pool.decode(request(2), null, signature);
  const outcomes = Promise.allSettled([running, waiting]);
  await pool.close();
  expect((await outcomes).map((outcome) => outcome.status)).toEqual(['rejected', 'rejected']);
  await expect(pool.decode(request(3), null, signature)).rejects.toMatchObject({ code: 'DRAINING' });
});
