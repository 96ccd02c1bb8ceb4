// Zipf popularity that is the same on every machine: only operations that IEEE 754 rounds one way (+ * / sqrt).

import type { Random } from '../random.ts';

const FRACTION_BITS = 40;

/** base ** exponent for base > 0 and exponent >= 0, by repeated squaring and square roots; the same bits everywhere. */
export function stablePower(base: number, exponent: number): number {
  let whole = Math.floor(exponent);
  let fraction = exponent - whole;
  let result = 1;
  for (let square = base; whole > 0; whole = Math.floor(whole / 2), square *= square) {
    if (whole % 2 === 1) result *= square;
  }
  let root = base;
  for (let bit = 0; bit < FRACTION_BITS && fraction > 0; bit++) {
    root = Math.sqrt(root);
    fraction *= 2;
    if (fraction >= 1) {
      result *= root;
      fraction -= 1;
    }
  }
  return result;
}

/** Shares of `count` functions whose popularity falls with rank as 1 / rank ** skew; they add up to 1. */
export function zipfShares(count: number, skew: number): Float64Array {
  const shares = new Float64Array(count);
  let total = 0;
  for (let rank = 1; rank <= count; rank++) {
    const weight = 1 / stablePower(rank, skew);
    shares[rank - 1] = weight;
    total += weight;
  }
  for (let i = 0; i < count; i++) shares[i]! /= total;
  return shares;
}

/** Draws indices in proportion to `shares`, one random number each. */
export function sampler(shares: Float64Array): (random: Random) => number {
  const upTo = new Float64Array(shares.length);
  let sum = 0;
  for (let i = 0; i < shares.length; i++) upTo[i] = sum += shares[i]!;
  return (random) => {
    const point = random() * sum;
    let low = 0;
    let high = shares.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (point < upTo[middle]!) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
