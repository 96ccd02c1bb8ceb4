// Whether two runs gave the same answers, but for rounding.

import type { Datatype, Tensor } from '../tensors.ts';

type Read = (view: DataView, index: number) => number;

/** What is compared number by number; everything else bit by bit, or not at all. */
const FLOATS: Partial<Record<Datatype, { readonly width: number; readonly read: Read; readonly precision: number }>> = {
  FP16: { width: 2, read: (view, index) => view.getFloat16(index * 2, true), precision: 2 ** -10 },
  FP32: { width: 4, read: (view, index) => view.getFloat32(index * 4, true), precision: 0 },
  FP64: { width: 8, read: (view, index) => view.getFloat64(index * 8, true), precision: 0 },
};

/** The largest |a - b| / max(1, |b|) over two sets of FP32 outputs; 0 where there is nothing to compare, Infinity if shapes differ. */
export function largestDifference(a: readonly Tensor[], b: readonly Tensor[]): number {
  let largest = 0;
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (right === undefined || left.data.byteLength !== right.data.byteLength) return Infinity;
    if (left.datatype === 'FP32') largest = Math.max(largest, differenceOf(left, right, FLOATS.FP32!));
  }
  return largest;
}

/**
 * True if both sets hold the same tensors: floats where |a - b| <= tolerance * max(unit, |b|) (FP16 within what it can tell apart), all else
 * bit by bit. `units` has one number for each tensor (default 1).
 */
export function areSameAnswers(
  a: readonly Tensor[],
  b: readonly Tensor[],
  tolerance: number,
  units: readonly number[] = [],
): boolean {
  if (a.length !== b.length) return false;
  return a.every((left, index) => {
    const right = b[index]!;
    if (left.name !== right.name || left.datatype !== right.datatype) return false;
    if (left.shape.join() !== right.shape.join() || left.data.byteLength !== right.data.byteLength) return false;
    const float = FLOATS[left.datatype];
    if (float === undefined) return Buffer.compare(left.data, right.data) === 0;
    return differenceOf(left, right, float, units[index]) <= Math.max(tolerance, float.precision);
  });
}

/**
 * What differences in each output are to be measured by, from several answers of one model: the largest number in it, at most 1. Where all are
 * small, small differences count.
 */
export function unitsOf(answers: readonly (readonly Tensor[])[]): number[] {
  return (answers[0] ?? []).map((_, output) => {
    let largest = 0;
    for (const answer of answers) {
      const { datatype, data } = answer[output]!;
      const float = FLOATS[datatype];
      if (float === undefined) continue;
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      for (let index = 0; index < data.byteLength / float.width; index++) {
        const value = Math.abs(float.read(view, index));
        if (value > largest && value < Infinity) largest = value;
      }
    }
    return Math.min(1, largest);
  });
}

/** The largest |a - b| / max(unit, |b|) of two tensors of equal length; Infinity where only one of two is no number. */
function differenceOf(
  { data: left }: Tensor,
  { data: right }: Tensor,
  { width, read }: { readonly width: number; readonly read: Read },
  unit = 1,
): number {
  let largest = 0;
  const x = new DataView(left.buffer, left.byteOffset, left.byteLength);
  const y = new DataView(right.buffer, right.byteOffset, right.byteLength);
  for (let index = 0; index < left.byteLength / width; index++) {
    const one = read(x, index);
    const two = read(y, index);
    if (Object.is(one, two) || one === two) continue;
    const difference = Math.abs(one - two) / Math.max(unit, Math.abs(two));
    if (Number.isNaN(difference)) return Infinity;
    if (difference > largest) largest = difference;
  }
  return largest;
}
