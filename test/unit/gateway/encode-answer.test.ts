// Encoding of inference answers: JSON that reads back as the same numbers, and binary tensors behind it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeAnswer } from '../../../src/gateway/open-inference/answer.ts';
import { floatsToText } from '../../../src/gateway/open-inference/float-text.ts';
import { RepeatedAnswers } from '../../../src/gateway/open-inference/repeated-answer.ts';
import type { EncodedAnswer } from '../../../src/gateway/open-inference/types.ts';
import type { Datatype, Tensor } from '../../../src/tensors.ts';
import { floats } from '../../helpers/gateway.ts';

const head = { modelName: 'm', modelVersion: '2', id: null };
const tensor = (name: string, datatype: Datatype, data: Uint8Array, shape: readonly number[]): Tensor => ({
  name,
  datatype,
  shape,
  data,
});
const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const text = (encoded: EncodedAnswer): string => Buffer.concat(encoded.parts).toString();
const json = (datatype: Datatype, data: Uint8Array, count: number): unknown => {
  const output = tensor('y', datatype, data, [count]);
  const parsed = JSON.parse(text(encodeAnswer(head, [output], [{ name: 'y', binary: false }])));
  return parsed.outputs[0].data;
};

describe('JSON', () => {
  test('names the model, its version, the request and each output', () => {
    const output = tensor('y', 'FP32', floats(1, 0.5), [1, 2]);
    const encoded = encodeAnswer({ ...head, id: 'a"b' }, [output], [{ name: 'y', binary: false }]);
    expect(encoded.headerLength).toBeNull();
    expect(JSON.parse(text(encoded))).toEqual({
      model_name: 'm',
      model_version: '2',
      id: 'a"b',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 2], data: [1, 0.5] }],
    });
  });

  test('holds every datatype', () => {
    expect(json('UINT8', Uint8Array.of(255), 1)).toEqual([255]);
    expect(json('INT8', Uint8Array.of(255), 1)).toEqual([-1]);
    expect(json('INT16', bytesOf(Int16Array.of(-2)), 1)).toEqual([-2]);
    expect(json('UINT16', bytesOf(Uint16Array.of(65_535)), 1)).toEqual([65_535]);
    expect(json('INT32', bytesOf(Int32Array.of(-5)), 1)).toEqual([-5]);
    expect(json('UINT32', bytesOf(Uint32Array.of(4e9)), 1)).toEqual([4e9]);
    expect(json('FP64', bytesOf(Float64Array.of(0.1, 1e300)), 2)).toEqual([0.1, 1e300]);
    expect(json('BOOL', Uint8Array.of(1, 0), 2)).toEqual([true, false]);
    expect(json('BYTES', Uint8Array.of(2, 0, 0, 0, 0xc3, 0xa9, 0, 0, 0, 0), 2)).toEqual(['é', '']);
  });

  test('writes 64-bit integers with every digit', () => {
    const output = tensor('y', 'INT64', bytesOf(BigInt64Array.of(9007199254740993n)), [1]);
    expect(text(encodeAnswer(head, [output], [{ name: 'y', binary: false }]))).toContain('[9007199254740993]');
  });

  test('reads data that starts at an odd place', () => {
    const shifted = new Uint8Array(9);
    shifted.set(floats(1, 2), 1);
    expect(json('FP32', shifted.subarray(1), 2)).toEqual([1, 2]);
  });

  test.each<[string, Datatype, Uint8Array]>([
    ['NaN', 'FP32', floats(Number.NaN)],
    ['infinity', 'FP64', bytesOf(Float64Array.of(Number.POSITIVE_INFINITY))],
    ['half floats', 'FP16', Uint8Array.of(0, 0)],
    ['bytes that are no text', 'BYTES', Uint8Array.of(1, 0, 0, 0, 0xff)],
  ])('has no word for %s, and says to ask for binary data', (_what, datatype, data) => {
    expect(() => json(datatype, data, 1)).toThrow('binary data');
  });
});

describe('32-bit floats', () => {
  test('are written with few digits', () => {
    expect(floatsToText(Float32Array.of(0.1, 1, -2.5, 100, 1e8, 16_777_216, 0.00002))).toBe(
      '0.1,1,-2.5,100,100000000,16777216,0.00002',
    );
    expect(floatsToText(new Float32Array())).toBe('');
  });

  test('read back as the same float, every one of them', () => {
    const finite = fc.float({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 20 }), (values) => {
        const read = JSON.parse(`[${floatsToText(Float32Array.from(values))}]`) as number[];
        expect(read.map(Math.fround)).toEqual(values);
      }),
      { numRuns: 2000 },
    );
  });

  test('read back as the same float around the powers of ten and two', () => {
    const values: number[] = [];
    for (let exponent = -45; exponent <= 38; exponent++) {
      const bits = new Uint32Array(Float32Array.of(10 ** exponent).buffer);
      for (const step of [-1, 0, 1]) {
        const near = new Float32Array(Uint32Array.of(bits[0]! + step).buffer)[0]!;
        if (Number.isFinite(near)) values.push(near, -near);
      }
    }
    for (let exponent = -149; exponent <= 127; exponent++) values.push(2 ** exponent);
    const read = JSON.parse(`[${floatsToText(Float32Array.from(values))}]`) as number[];
    expect(read.map(Math.fround)).toEqual(values);
  });
});

describe('binary tensors', () => {
  test('stand behind the JSON in the order asked for, as views of the outputs', () => {
    const a = tensor('a', 'FP32', floats(1), [1]);
    const b = tensor('b', 'INT8', Uint8Array.of(5, 6), [2]);
    const c = tensor('c', 'INT8', Uint8Array.of(9), [1]);
    const asked = [
      { name: 'b', binary: true },
      { name: 'c', binary: false },
      { name: 'a', binary: true },
    ];
    const encoded = encodeAnswer(head, [a, b, c], asked);
    expect(encoded.parts.slice(1)).toEqual([b.data, a.data]);
    const parsed = JSON.parse(Buffer.from(encoded.parts[0]!).toString());
    expect(encoded.parts[0]!.byteLength).toBe(encoded.headerLength);
    expect(parsed.outputs).toEqual([
      { name: 'b', datatype: 'INT8', shape: [2], parameters: { binary_data_size: 2 } },
      { name: 'c', datatype: 'INT8', shape: [1], data: [9] },
      { name: 'a', datatype: 'FP32', shape: [1], parameters: { binary_data_size: 4 } },
    ]);
  });
});

describe('the answer to a request that comes again', () => {
  const shape = [1];
  const y = (value: number): Tensor => tensor('y', 'FP32', floats(value), shape);
  const binary = [{ name: 'y', binary: true }];

  test('has the header of the one before and the bytes of its own', () => {
    const answers = new RepeatedAnswers();
    const first = answers.encode(head, [y(1)], binary);
    const second = answers.encode(head, [y(2)], binary);
    expect(second).toEqual(encodeAnswer(head, [y(2)], binary));
    expect(second.parts[0]).toBe(first.parts[0]);
  });

  test('is written anew where anything differs', () => {
    const answers = new RepeatedAnswers();
    answers.encode(head, [y(1)], binary);
    const wider = tensor('y', 'FP32', floats(1, 2), [2]);
    const json = [{ name: 'y', binary: false }];
    for (const [otherHead, output, requested] of [
      [{ ...head, id: '7' }, y(1), binary],
      [{ ...head, modelVersion: '3' }, y(1), binary],
      [{ ...head, modelName: 'n' }, y(1), binary],
      [head, wider, binary],
      [head, { ...y(1), datatype: 'INT32' as const }, binary],
      [head, y(1), json],
      [head, y(3), json],
    ] as const) {
      expect(answers.encode(otherHead, [output], requested)).toEqual(encodeAnswer(otherHead, [output], requested));
    }
    expect(answers.encode(head, [y(5)], binary)).toEqual(encodeAnswer(head, [y(5)], binary));
  });

  test('of a model without outputs is JSON each time', () => {
    const answers = new RepeatedAnswers();
    const none: { name: string; binary: boolean }[] = [];
    answers.encode(head, [], none);
    expect(answers.encode(head, [], none).headerLength).toBeNull();
  });

  test('gives each output its own bytes, in the order asked for', () => {
    const answers = new RepeatedAnswers();
    const asked = ['z', 'y'].map((name) => ({ name, binary: true }));
    const z = tensor('z', 'INT8', Uint8Array.of(1), shape);
    answers.encode(head, [y(1), z], asked);
    expect(answers.encode(head, [y(2), z], asked).parts.slice(1)).toEqual([z.data, floats(2)]);
  });
});
