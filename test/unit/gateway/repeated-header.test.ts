// A header that comes again is not read again, and whatever else comes is refused or read as if it were the first.

import { describe, expect, test } from 'vitest';
import { RepeatedHeaders } from '../../../src/gateway/open-inference/repeated-header.ts';
import { decodeRequest } from '../../../src/gateway/open-inference/request.ts';
import type { InferRequest, Signature } from '../../../src/gateway/open-inference/types.ts';
import { binaryBody, floats, spec } from '../../helpers/gateway.ts';

const model: Signature = {
  inputs: [spec('x', 'FP32', [-1, 2]), spec('s', 'BYTES', [-1])],
  outputs: [spec('y', 'FP32', [1])],
};
const numbers: Signature = { inputs: [spec('x', 'FP32', [-1, 2])], outputs: [spec('y', 'FP32', [1])] };

const binary = (name: string, datatype: string, shape: readonly number[], bytes: number): object => ({
  name,
  datatype,
  shape,
  parameters: { binary_data_size: bytes },
});
const sentAs = (json: object, ...tensors: readonly Uint8Array[]): { body: Uint8Array; length: number } => {
  const { payload, headers } = binaryBody(json, ...tensors);
  return { body: payload, length: Number(headers['inference-header-content-length']) };
};
const request = (values: Uint8Array, more: object = {}) =>
  sentAs({ inputs: [binary('x', 'FP32', [values.byteLength / 8, 2], values.byteLength)], ...more }, values);

describe('a header that comes again', () => {
  const decode = (headers: RepeatedHeaders, sent: ReturnType<typeof request>, signature = numbers): InferRequest =>
    headers.decode(sent.body, sent.length, signature);

  test('goes with the bytes behind it this time, as a first one would', () => {
    const headers = new RepeatedHeaders();
    for (const values of [floats(1, 2), floats(3, 4), floats(5, 6, 7, 8), floats(9, 10, 11, 12), floats(1, 2)]) {
      const sent = request(values, { outputs: [{ name: 'y', parameters: { binary_data: true } }] });
      expect(decode(headers, sent)).toEqual(decodeRequest(sent.body, sent.length, numbers));
    }
  });

  test('is nothing to another model', () => {
    const headers = new RepeatedHeaders();
    const other: Signature = { ...numbers, inputs: [spec('x', 'FP32', [1, 3])] };
    decode(headers, request(floats(1, 2)));
    expect(() => decode(headers, request(floats(1, 2)), other)).toThrow(/must be/);
  });

  test('with fewer or more bytes behind it is refused', () => {
    const headers = new RepeatedHeaders();
    const sent = request(floats(1, 2));
    decode(headers, sent);
    expect(() => headers.decode(sent.body.subarray(0, -4), sent.length, numbers)).toThrow(/bytes are left/);
    expect(() => headers.decode(Buffer.concat([sent.body, floats(1)]), sent.length, numbers)).toThrow(/bytes behind/);
    expect(() => headers.decode(sent.body, 10_000, numbers)).toThrow(/Inference-Header-Content-Length/);
  });

  test('keeps no bytes of the request before: they may have been freed', () => {
    const headers = new RepeatedHeaders();
    const first = request(floats(1, 2));
    const held = new Uint8Array(new ArrayBuffer(first.body.byteLength));
    held.set(first.body);
    headers.decode(held, first.length, numbers);
    held.buffer.transfer(0);
    expect(decode(headers, request(floats(3, 4))).inputs[0]!.data).toEqual(Buffer.from(floats(3, 4)));
  });

  test('that counts strings is read each time: their lengths are among the bytes', () => {
    const headers = new RepeatedHeaders();
    const text = (length: number): Buffer => {
      const bytes = Buffer.from('....abcd');
      bytes.writeUInt32LE(length, 0);
      return bytes;
    };
    const sent = (length: number) =>
      sentAs({ inputs: [binary('x', 'FP32', [1, 2], 8), binary('s', 'BYTES', [1], 8)] }, floats(1, 2), text(length));
    decode(headers, sent(4), model);
    expect(() => decode(headers, sent(3), model)).toThrow(/length-prefixed/);
  });

  test('that holds the numbers itself is read each time', () => {
    const headers = new RepeatedHeaders();
    const sent = (values: readonly number[]) =>
      sentAs({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: values }] });
    expect(decode(headers, sent([1, 2])).inputs[0]!.data).toEqual(floats(1, 2));
    expect(decode(headers, sent([3, 4])).inputs[0]!.data).toEqual(floats(3, 4));
  });

  test('with an id gives the id of this time', () => {
    const headers = new RepeatedHeaders();
    expect(decode(headers, request(floats(1, 2), { id: 'a' })).id).toBe('a');
    expect(decode(headers, request(floats(1, 2), { id: 'b' })).id).toBe('b');
  });
});
