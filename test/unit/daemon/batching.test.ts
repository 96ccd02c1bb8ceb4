import { describe, expect, it } from 'vitest';
import { joinInputs, splitOutputs } from '../../../src/daemon/batching.ts';
import type { Tensor } from '../../../src/tensors.ts';

const tensor = (shape: number[], values: number[], name = 'x'): Tensor => ({
  name,
  datatype: 'UINT8',
  shape,
  data: Uint8Array.from(values),
});

describe('a batch', () => {
  it('joins inputs along the first axis, whatever their order, and splits outputs again', () => {
    const joined = joinInputs([
      [tensor([1, 2], [1, 2]), tensor([1, 1], [9], 'y')],
      [tensor([2, 1], [7, 8], 'y'), tensor([2, 2], [3, 4, 5, 6])],
    ]);
    expect(joined).toEqual([tensor([3, 2], [1, 2, 3, 4, 5, 6]), tensor([3, 1], [9, 7, 8], 'y')]);
    expect(splitOutputs(joined, [1, 2])).toEqual([
      [tensor([1, 2], [1, 2]), tensor([1, 1], [9], 'y')],
      [tensor([2, 2], [3, 4, 5, 6]), tensor([2, 1], [7, 8], 'y')],
    ]);
  });

  it('refuses inputs of different row shapes', () => {
    expect(() => joinInputs([[tensor([1, 2], [1, 2])], [tensor([1, 3], [1, 2, 3])]])).toThrow('different shapes');
  });

  it('refuses to split an output without a batch axis', () => {
    expect(() => splitOutputs([tensor([1], [1])], [1, 2])).toThrow('no batch axis');
  });
});
