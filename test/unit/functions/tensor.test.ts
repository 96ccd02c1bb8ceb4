import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinTensors, readFromChild, tensorHeads } from '../../../src/functions/wire.ts';
import { ModelOutput, tensor, toWire, type TensorData, type TensorDatatype } from '../../../src/sdk/tensor.ts';

/** Across the wire and back. */
function roundTrip(datatype: TensorDatatype, shape: number[], data: TensorData): TensorData {
  const sent = toWire('x', tensor(datatype, shape, data));
  const [received] = joinTensors(tensorHeads([sent]), [sent.data]);
  return new ModelOutput(received!).as(datatype);
}

describe('a tensor of a handler', () => {
  const arrays: [TensorDatatype, fc.Arbitrary<TensorData>][] = [
    ['FP32', fc.float32Array()],
    ['FP64', fc.float64Array()],
    ['INT8', fc.int8Array()],
    ['INT16', fc.int16Array()],
    ['INT32', fc.int32Array()],
    ['INT64', fc.bigInt64Array()],
    ['UINT8', fc.uint8Array()],
    ['UINT16', fc.uint16Array()],
    ['UINT32', fc.uint32Array()],
    ['UINT64', fc.bigUint64Array()],
    ['BYTES', fc.array(fc.string({ unit: 'grapheme' }))],
  ];
  it.each(arrays)('of %s keeps every element', (datatype, elements) => {
    fc.assert(
      fc.property(elements, (data) => {
        expect(roundTrip(datatype, [data.length], data)).toEqual(data);
      }),
    );
    expect(roundTrip(datatype, [0], datatype === 'BYTES' ? [] : tensor(datatype, [0], []).data)).toHaveLength(0);
  });

  it('of FP16 and BF16 is rounded to the nearest', () => {
    expect(roundTrip('FP16', [5], Float32Array.of(1, 0.1, 65504, 70000, -0))).toEqual(
      Float32Array.of(1, 0.0999755859375, 65504, Infinity, -0),
    );
    expect(roundTrip('BF16', [5], Float32Array.of(1, 1.00390625, 1.01171875, NaN, -Infinity))).toEqual(
      Float32Array.of(1, 1, 1.015625, NaN, -Infinity),
    );
  });

  it('may be made of a plain list, or without a datatype of a typed array', () => {
    expect(tensor('INT64', [2], [1, 2n]).data).toEqual(BigInt64Array.of(1n, 2n));
    expect(tensor('BOOL', [2], [true, false]).data).toEqual(Uint8Array.of(1, 0));
    expect(tensor([2, 1], Float32Array.of(1, 2))).toEqual({
      datatype: 'FP32',
      shape: [2, 1],
      data: Float32Array.of(1, 2),
    });
    expect(tensor([2], Buffer.from([1, 2])).datatype).toBe('UINT8');
    expect(tensor('UINT8', [2], new Uint8ClampedArray([1, 300]) as never).data).toEqual(Uint8Array.of(1, 255));
  });

  it('may be a view into a larger buffer', () => {
    const large = Float32Array.of(0, 1, 2, 3);
    expect(roundTrip('FP32', [2], large.subarray(1, 3))).toEqual(Float32Array.of(1, 2));
    const unaligned = new Uint8Array(9);
    unaligned.set(new Uint8Array(Float64Array.of(Math.PI).buffer), 1);
    expect(
      new ModelOutput({ name: 'x', datatype: 'FP64', shape: [1], data: unaligned.subarray(1) }).as('FP64'),
    ).toEqual(Float64Array.of(Math.PI));
  });

  it.each<[string, () => unknown, RegExp]>([
    ['an unknown datatype', () => tensor('FLOAT' as never, [1], [1]), /"FLOAT" is not a datatype; use one of BOOL/],
    ['a negative dimension', () => tensor('FP32', [-1], [1]), /list of whole numbers/],
    ['too few elements', () => tensor('FP32', [2, 3], [1, 2, 3]), /\[2, 3\] has 6 elements, but 3/],
    ['no elements', () => tensor('FP32', [1], undefined as never), /typed array or a list/],
    ['another typed array', () => tensor('FP32', [1], Float64Array.of(1)), /Float32Array, not a Float64Array/],
    ['fractions as whole numbers', () => tensor('INT64', [1], [1.5]), /no INT64 numbers/],
    ['numbers as text', () => tensor('BYTES', [1], [1]), /BYTES tensor are strings/],
    ['a list without a datatype', () => tensor([1], [1] as never), /needs a typed array/],
    ['what is no tensor', () => toWire('pixels', [1, 2] as never), /"pixels" is not a tensor/],
  ])('with %s is refused', (_, make, message) => expect(make).toThrow(message));
});

describe('what a handler process sends', () => {
  it('is believed only if it fits together', () => {
    const head = { name: 'x', datatype: 'FP32', shape: [2] };
    const bytes = new Uint8Array(8);
    expect(joinTensors([head], [bytes])).toHaveLength(1);
    for (const wrong of [
      null,
      [],
      [{}],
      [{ ...head, shape: [3] }],
      [{ ...head, shape: [-2] }],
      [{ ...head, shape: 'x' }],
      [{ ...head, datatype: 'toString' }],
      [{ ...head, name: 3 }],
    ]) {
      expect(() => joinTensors(wrong, [bytes])).toThrow(/tensor/i);
    }
  });

  it('never throws where it is read, whatever it is', () => {
    const kinds = fc.constantFrom('loaded', 'run', 'answer', 'chunk', 'failed', 'log', 'load', 'x', 3, null);
    const message = fc.record({
      type: kinds,
      call: fc.anything(),
      run: fc.anything(),
      model: fc.anything(),
      status: fc.anything(),
      headers: fc.anything(),
      text: fc.anything(),
    });
    const known = new Set(['loaded', 'run', 'answer', 'chunk', 'failed', 'log']);
    fc.assert(
      fc.property(message, (one) => {
        const read = readFromChild(one as Record<string, unknown>);
        return read === null || known.has(read.type);
      }),
    );
    expect(
      readFromChild({ type: 'answer', call: 1, status: 200, headers: { a: 'b' }, streamed: false }),
    ).not.toBeNull();
    expect(readFromChild({ type: 'answer', call: 1, status: 99, headers: {}, streamed: false })).toBeNull();
    expect(readFromChild({ type: 'answer', call: 1, status: 200, headers: { a: 1 }, streamed: false })).toBeNull();
  });
});
