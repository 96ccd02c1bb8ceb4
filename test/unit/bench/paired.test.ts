import { describe, expect, it } from 'vitest';
import { geometricInterval } from '../../../src/bench/real/paired.ts';

describe('A paired ratio', () => {
  it('is the geometric mean, so that halving and doubling cancel out', () => {
    expect(geometricInterval([0.5, 2]).ratio).toBeCloseTo(1);
  });

  it('has an interval by Student’s t on the logarithms', () => {
    const { ratio, low, high } = geometricInterval([0.8, 0.9, 1, 0.85, 0.95]);
    expect(ratio).toBeCloseTo(0.8973, 3);
    // Logarithms with mean -0.10836 and standard deviation 0.08872; t(4) = 2.776.
    expect(low).toBeCloseTo(Math.exp(-0.10836 - (2.776 * 0.08815) / Math.sqrt(5)), 2);
    expect(high).toBeCloseTo(Math.exp(-0.10836 + (2.776 * 0.08815) / Math.sqrt(5)), 2);
  });

  it('has none for a single pair', () => {
    expect(geometricInterval([0.7])).toEqual({ ratio: expect.closeTo(0.7), low: null, high: null });
  });
});
