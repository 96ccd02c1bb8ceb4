import { describe, expect, it } from 'vitest';
import { runUnasked } from '../../../src/daemon/unasked-batch.ts';
import type { Pending } from '../../../src/daemon/pending.ts';
import { GpufaasError } from '../../../src/errors.ts';
import type { Tensor } from '../../../src/tensors.ts';

const row = (value: number): Tensor => ({
  name: 'x',
  datatype: 'FP32',
  shape: [1],
  data: new Uint8Array(Float32Array.of(value).buffer),
});
const member = (value: number): Pick<Pending, 'request'> => ({
  request: { model: 'm', inputs: [row(value)], rows: 1, arrivedAtMs: 0, bytes: 4, priority: 0, admitted: false },
});
const MEMBERS = [1, 2, 3, 4].map(member);
const numbers = ({ data }: Tensor): number[] => Array.from(new Float32Array(data.slice().buffer));

/** A model that answers with these numbers; keeps how many rows each run had. */
function runnerOf(answer: (rows: number[]) => number[]) {
  const sizes: number[] = [];
  const run = async (_model: string, [x]: readonly Tensor[]) => {
    const rows = numbers(x!);
    sizes.push(rows.length);
    const y = new Uint8Array(Float32Array.from(answer(rows)).buffer);
    return { outputs: [{ name: 'y', datatype: 'FP32' as const, shape: [y.byteLength / 4], data: y }], runMs: 1 };
  };
  return { run, sizes };
}
const double = (rows: number[]): number[] => rows.map((value) => 2 * value);
/** Adds up all rows of a run, as no model should. */
const mix = (rows: number[]): number[] => rows.map((value) => value + rows.reduce((sum, each) => sum + each, 0));

async function answersOf(
  runner: ReturnType<typeof runnerOf>,
  members: readonly Pick<Pending, 'request'>[],
  number: number,
) {
  const { answers, fault } = await runUnasked(runner, 'm', members, number);
  const values = answers.map((answer) =>
    answer instanceof GpufaasError ? answer.code : numbers(answer.outputs[0]!)[0],
  );
  return { values, fault };
}

describe('a batch that nobody asked for', () => {
  it('is one run, and one answer of it is compared in the first three and in every 500th', async () => {
    const checked: number[] = [];
    for (const number of [0, 1, 2, 3, 4, 499, 500, 501, 999, 1000]) {
      const runner = runnerOf(double);
      expect(await answersOf(runner, MEMBERS, number)).toEqual({ values: [2, 4, 6, 8], fault: null });
      expect(runner.sizes[0]).toBe(4);
      if (runner.sizes.length === 2) checked.push(number);
    }
    expect(checked).toEqual([0, 1, 2, 500, 1000]);
  });

  it('compares another request each time', async () => {
    const seen: number[] = [];
    for (const number of [500, 1000, 1500, 2000]) {
      const runner = runnerOf((rows) => {
        if (rows.length === 1) seen.push(rows[0]!);
        return double(rows);
      });
      await answersOf(runner, MEMBERS, number);
    }
    expect(new Set(seen).size).toBe(4);
  });

  it('gives all what they get alone where one differs', async () => {
    const runner = runnerOf(mix);
    expect(await answersOf(runner, MEMBERS, 0)).toEqual({ values: [2, 4, 6, 8], fault: 'the answers differ' });
  });

  it('is given up where each runs alone and all together do not', async () => {
    const runner = runnerOf((rows) => {
      if (rows.length > 1) throw new GpufaasError('OUT_OF_MEMORY', 'too many rows');
      return double(rows);
    });
    expect(await answersOf(runner, MEMBERS, 7)).toEqual({ values: [2, 4, 6, 8], fault: 'they do not run together' });
  });

  it('is not given up for requests that are bad themselves', async () => {
    const runner = runnerOf((rows) => {
      if (rows.some((value) => value < 0)) throw new GpufaasError('BAD_TENSOR', 'no such row');
      return double(rows);
    });
    const { values, fault } = await answersOf(runner, [member(-1), member(2), member(3)], 0);
    expect(values).toEqual(['BAD_TENSOR', 4, 6]);
    expect(fault).toBeNull();
  });

  it('is not given up for requests that can not be joined', async () => {
    const odd = (value: number): Pick<Pending, 'request'> => ({ request: { ...member(value).request, rows: 2 } });
    expect(await answersOf(runnerOf(double), [odd(1), odd(2), odd(3)], 0)).toEqual({ values: [2, 4, 6], fault: null });
  });

  it('finds what mixes rows in small numbers', async () => {
    const small = runnerOf((rows) => mix(rows).map((value) => 1e-7 * value));
    expect((await answersOf(small, MEMBERS, 0)).fault).toBe('the answers differ');
  });

  it('passes on the death of the worker', async () => {
    const run = () => Promise.reject(new GpufaasError('WORKER_DIED', 'gone'));
    await expect(runUnasked({ run }, 'm', MEMBERS, 0)).rejects.toMatchObject({ code: 'WORKER_DIED' });
  });
});
