import { describe, expect, it } from 'vitest';
import { areSameAnswers, largestDifference, unitsOf } from '../../../src/models/same-answers.ts';
import type { Datatype, Tensor } from '../../../src/tensors.ts';

function tensor(datatype: Datatype, data: ArrayBufferView, name = 'y'): Tensor {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name, datatype, shape: [bytes.byteLength], data: bytes };
}
const fp32 = (...values: number[]): Tensor[] => [tensor('FP32', Float32Array.from(values))];

describe('two answers are the same', () => {
  it.each<[string, Tensor[], Tensor[], boolean]>([
    ['within the tolerance', fp32(1, 0.5), fp32(1.00005, 0.5), true],
    ['not beyond it', fp32(1, 0.5), fp32(1, 0.5002), false],
    ['relative to large values', fp32(1000), fp32(1000.05), true],
    ['with the same values that are no numbers', fp32(NaN, Infinity, -0), fp32(NaN, Infinity, 0), true],
    ['not if one of two is no number', fp32(NaN), fp32(1), false],
    ['not if one of two is infinite', fp32(1), fp32(Infinity), false],
    ['of FP64', [tensor('FP64', Float64Array.of(1))], [tensor('FP64', Float64Array.of(1.00001))], true],
    ['not of other FP64', [tensor('FP64', Float64Array.of(1))], [tensor('FP64', Float64Array.of(1.001))], false],
    [
      'of FP16 as far as it can tell apart',
      [tensor('FP16', Uint16Array.of(0x3c00))],
      [tensor('FP16', Uint16Array.of(0x3c01))],
      true,
    ],
    ['not of other FP16', [tensor('FP16', Uint16Array.of(0x3c00))], [tensor('FP16', Uint16Array.of(0x3c04))], false],
    ['of equal whole numbers', [tensor('INT64', BigInt64Array.of(3n))], [tensor('INT64', BigInt64Array.of(3n))], true],
    ['not of others', [tensor('INT64', BigInt64Array.of(3n))], [tensor('INT64', BigInt64Array.of(4n))], false],
    ['not of another type', fp32(0), [tensor('INT32', Int32Array.of(0))], false],
    ['not of another length', fp32(0), fp32(0, 0), false],
    ['not of another name', fp32(0), [tensor('FP32', Float32Array.of(0), 'z')], false],
    ['not if one lacks an output', fp32(0), [], false],
    ['in another shape only if that is the same', fp32(1, 2), [{ ...fp32(1, 2)[0]!, shape: [2, 4] }], false],
  ])('%s', (_what, a, b, same) => {
    expect(areSameAnswers(a, b, 1e-4)).toBe(same);
    expect(areSameAnswers(b, a, 1e-4)).toBe(same);
  });
});

it('what small numbers differ by is measured by the largest of all answers', () => {
  const [a, b, c] = [fp32(1e-6, 0), fp32(1e-6, 4e-8), fp32(-2e-6, NaN)] as const;
  expect(areSameAnswers(a, b, 1e-4)).toBe(true);
  const units = unitsOf([a, b, c]);
  expect(units).toEqual([Math.fround(2e-6)]);
  expect(areSameAnswers(a, b, 1e-4, units)).toBe(false);
  expect(areSameAnswers(a, fp32(1e-6, 1e-10), 1e-4, units)).toBe(true);
  expect(unitsOf([fp32(5, Infinity)])).toEqual([1]);
});

it('the largest difference is told of FP32 alone', () => {
  expect(largestDifference(fp32(1, 2), fp32(1, 2.5))).toBeCloseTo(0.2);
  expect(largestDifference([tensor('INT32', Int32Array.of(1))], [tensor('INT32', Int32Array.of(9))])).toBe(0);
  expect(largestDifference(fp32(1), fp32(1, 2))).toBe(Infinity);
});
