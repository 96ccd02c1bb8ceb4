import { describe, expect, it } from 'vitest';
import { trySharedRuns } from '../../../src/models/shared-runs.ts';
import type { TensorSpec, Tensor } from '../../../src/tensors.ts';

const MB = 1e6;
const SPEC: { readonly inputs: TensorSpec[]; readonly outputs: TensorSpec[] } = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
};

/** A model in a trial: what it answers, what a run of so many rows takes, and what it needs on top of 10 MB. */
function trialOf({
  answer = (rows: number[][]) => rows.map((row) => row.map((value) => 2 * value)),
  msOf = (_rows: number): number => 1,
  extraBytesOf = (_rows: number): number => 0,
} = {}) {
  let peakBytes = 10 * MB;
  const sizes: number[] = [];
  return {
    sizes,
    run: async (_id: string, [x]: readonly Tensor[]) => {
      const values = Array.from(new Float32Array(x!.data.slice().buffer));
      const rows = Array.from({ length: x!.shape[0]! }, (_, row) => values.slice(2 * row, 2 * row + 2));
      sizes.push(rows.length);
      peakBytes = Math.max(peakBytes, 10 * MB + extraBytesOf(rows.length));
      const answers = answer(rows);
      const data = new Uint8Array(Float32Array.from(answers.flat()).buffer);
      const y: Tensor = { name: 'y', datatype: 'FP32', shape: [answers.length, 2], data };
      return { outputs: [y], runMs: msOf(rows.length) };
    },
    resetPeak: () => {
      peakBytes = 10 * MB;
    },
    memory: async () => ({ residentBytes: 10 * MB, peakBytes: peakBytes as number | null }),
  };
}
const MEASURED = { runMs: 1, runMsByRows: [1, 1, 1, 1, 1, 1, 1, 2], memoryBytes: 10 * MB };
const timesOf = (trial: ReturnType<typeof trialOf>, spec = SPEC, measured = MEASURED, limitMs = 1_000) =>
  trySharedRuns(trial, 'm', spec, measured, performance.now() + limitMs);

describe('requests share runs', () => {
  it('where eight rows take hardly longer than one', async () => {
    const times = await timesOf(trialOf({ msOf: (rows) => 1 + rows / 8 }));
    expect(times).toHaveLength(8);
    expect(times![0]).toBe(1.125);
    expect(times![7]).toBe(2);
  });

  it('up to half of what they take alone, not from there', async () => {
    expect(await timesOf(trialOf({ msOf: (rows) => (rows === 8 ? 4 : 1) }))).not.toBeNull();
    expect(await timesOf(trialOf({ msOf: (rows) => (rows === 8 ? 4.1 : 1) }))).toBeNull();
  });

  it('are not tried where a full run was measured to gain too little, or was not measured', async () => {
    const trial = trialOf();
    expect(await timesOf(trial, SPEC, { ...MEASURED, runMsByRows: [1, 2, 3, 4, 5, 6, 6, 6.1] })).toBeNull();
    expect(await timesOf(trial, SPEC, { ...MEASURED, runMsByRows: [1, 1, 1, 1] })).toBeNull();
    expect(trial.sizes).toEqual([]);
    expect(await timesOf(trial, SPEC, { ...MEASURED, runMsByRows: [1, 2, 3, 4, 5, 6, 6, 6] })).not.toBeNull();
  });

  it('are not tried when there is no time left, nor for longer than there is', async () => {
    const late = trialOf();
    expect(await timesOf(late, SPEC, MEASURED, -1)).toBeNull();
    expect(late.sizes).toEqual([]);
    const slow = trialOf();
    const run: typeof slow.run = async (id, inputs) => {
      await new Promise((resolve) => void setTimeout(resolve, 20));
      return slow.run(id, inputs);
    };
    expect(await timesOf({ ...slow, run }, SPEC, MEASURED, 100)).toBeNull();
    expect(slow.sizes.length).toBeLessThan(8);
  });

  it('not if a full run needs memory that is not accounted', async () => {
    expect(await timesOf(trialOf({ extraBytesOf: (rows) => (rows === 8 ? 0.9 * MB : 0) }))).not.toBeNull();
    expect(await timesOf(trialOf({ extraBytesOf: (rows) => (rows === 8 ? 1.1 * MB : 0) }))).toBeNull();
  });

  it.each<[string, (rows: number[][]) => number[][]]>([
    [
      'takes the mean of all rows',
      (rows) => {
        const mean = rows.reduce((sum, [first]) => sum + first!, 0) / rows.length;
        return rows.map((row) => row.map((value) => value - mean));
      },
    ],
    [
      'scales by the largest of all rows',
      (rows) => {
        const largest = Math.max(...rows.flat().map(Math.abs));
        return rows.map((row) => row.map((value) => Math.round((127 * value) / largest) * largest));
      },
    ],
    [
      'lets a row see the one before',
      (rows) => rows.map((row, i) => row.map((value) => value + (rows[i - 1]?.[0] ?? 0))),
    ],
    ['turns their order', (rows) => rows.toReversed()],
    ['answers several rows with one', (rows) => [rows[0]!]],
    ['answers everything alike', (rows) => rows.map(() => [1, NaN])],
    [
      'mixes rows in small numbers',
      (rows) => {
        const mean = rows.reduce((sum, [first]) => sum + first!, 0) / rows.length;
        return rows.map((row) => row.map((value) => 1e-8 * (value + mean)));
      },
    ],
    [
      'goes wrong with three rows only',
      (rows) => (rows.length === 3 ? rows.map((row) => row.map((value) => value + 1)) : rows),
    ],
  ])('not if the model %s', async (_what, answer) => {
    expect(await timesOf(trialOf({ answer }))).toBeNull();
  });

  it('not if it takes no batches, or strings, or leaves more than the batch open', async () => {
    const trial = trialOf();
    const others: Partial<TensorSpec>[] = [{ shape: [1, 2] }, { shape: [-1, -1] }, { datatype: 'BYTES' }];
    for (const other of others) {
      expect(await timesOf(trial, { ...SPEC, inputs: [{ ...SPEC.inputs[0]!, ...other }] })).toBeNull();
    }
    expect(await timesOf(trial, { ...SPEC, outputs: [{ ...SPEC.outputs[0]!, shape: [2] }] })).toBeNull();
    expect(trial.sizes).toEqual([]);
  });

  it('and the trial passes on what a run throws', async () => {
    const trial = { ...trialOf(), run: () => Promise.reject(new Error('no such model')) };
    await expect(timesOf(trial)).rejects.toThrow('no such model');
  });
});
