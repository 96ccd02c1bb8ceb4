import { describe, expect, it } from 'vitest';
import { runBatch } from '../../../src/daemon/batching.ts';
import type { Pending } from '../../../src/daemon/pending.ts';
import { GpufaasError } from '../../../src/errors.ts';
import { joinInputs, splitOutputs } from '../../../src/joined-tensors.ts';
import type { RunResult } from '../../../src/workers/types.ts';
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

  it('gives each member bytes of its own: one answer may be sent and given back before the other is', () => {
    const [[first], [second]] = splitOutputs([tensor([2, 2], [1, 2, 3, 4])], [1, 1]) as [[Tensor], [Tensor]];
    (first.data.buffer as ArrayBuffer).transfer(0);
    expect([...second.data]).toEqual([3, 4]);
  });

  it('refuses inputs of different row shapes', () => {
    expect(() => joinInputs([[tensor([1, 2], [1, 2])], [tensor([1, 3], [1, 2, 3])]])).toThrow('different shapes');
  });

  it('refuses to split an output without a batch axis', () => {
    expect(() => splitOutputs([tensor([1], [1])], [1, 2])).toThrow('no batch axis');
  });
});

describe('the members of a batch', () => {
  /** Adds the rows of `x` to those of `y`, as a model would; keeps the shapes it was run with. */
  function adder() {
    const shapes: string[] = [];
    const run = async (_model: string, inputs: readonly Tensor[]): Promise<RunResult> => {
      const [x, y] = ['x', 'y'].map((name) => inputs.find((input) => input.name === name));
      shapes.push(inputs.map(({ shape }) => shape.join('x')).join(' '));
      if (x === undefined || y === undefined || x.shape[0] !== y.shape[0]) {
        throw new GpufaasError('BAD_TENSOR', 'x and y must have the same rows.');
      }
      return {
        outputs: [
          tensor(
            [...x.shape],
            Array.from(x.data, (value, i) => value + y.data[i]!),
            'sum',
          ),
        ],
        runMs: 1,
      };
    };
    return { shapes, run };
  }
  const member = (inputs: readonly Tensor[], rows = 1): Pick<Pending, 'request'> => ({
    request: { model: 'm', inputs, rows, arrivedAtMs: 0, bytes: 1, priority: 0, admitted: false },
  });
  const good = (value: number) => member([tensor([1, 1], [value]), tensor([1, 1], [10], 'y')]);

  it('get their own answers, whatever is wrong with others', async () => {
    const model = adder();
    const { answers } = await runBatch(model, 'm', [
      good(1),
      member([tensor([1, 1], [2])]),
      good(3),
      // Rows that would shift onto each other if they were joined.
      member([tensor([2, 1], [4, 5]), tensor([1, 1], [10], 'y')], 2),
      member([tensor([1, 1], [6]), tensor([2, 1], [10, 10], 'y')]),
      // Fewer bytes than the shape says: left to the worker to refuse.
      member([tensor([1, 1], []), tensor([1, 1], [10], 'y')]),
      good(7),
    ]);
    const shown = answers.map((answer) =>
      answer instanceof GpufaasError ? answer.code : [...answer.outputs[0]!.data],
    );
    expect(shown.toSpliced(5, 1)).toEqual([[11], 'BAD_TENSOR', [13], 'BAD_TENSOR', 'BAD_TENSOR', [17]]);
    expect(model.shapes[0]).toBe('3x1 3x1');
  });

  it('run one by one where the joint run fails', async () => {
    const model = adder();
    const run = async (id: string, inputs: readonly Tensor[]): Promise<RunResult> => {
      if (inputs[0]!.shape[0]! > 1) throw new GpufaasError('OUT_OF_MEMORY', 'too many rows');
      return model.run(id, inputs);
    };
    const { answers } = await runBatch({ run }, 'm', [good(1), good(2)]);
    expect(answers.map((answer) => (answer as RunResult).outputs[0]!.data[0])).toEqual([11, 12]);
  });

  it('are all in doubt when the worker dies', async () => {
    const run = () => Promise.reject(new GpufaasError('WORKER_DIED', 'killed'));
    await expect(runBatch({ run }, 'm', [good(1), good(2)])).rejects.toMatchObject({ code: 'WORKER_DIED' });
  });
});
