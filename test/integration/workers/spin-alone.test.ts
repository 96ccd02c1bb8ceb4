// A model that has its process to itself: its threads are left to spin between runs, until another one runs too. Real sessions,
// and processor time as the system counts it.

import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { LoadableModel } from '../../../src/workers/types.ts';
import { preparedDense } from '../../helpers/prepared-model.ts';
import { cpuDevice, floats, numbersOf, workerTests } from '../../helpers/workers.ts';

const { folder, watch } = workerTests();
const WIDTH = 2048;
const cores = availableParallelism();

/** Milliseconds of processor time that the threads of the process have taken. */
function processorMs(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  return sum;
}

/** A resident model of matrix products beside another one; both give the same. */
async function resident(artefact: object, changes: Partial<LoadableModel> = {}) {
  const { runner, lost } = watch(cpuDevice({ threads: cores }));
  await runner.start();
  const model = { ...(await preparedDense(folder(), WIDTH, { ...artefact })), ...changes };
  await runner.load(model);
  await runner.load({ ...model, id: 'other' });
  const x = floats(
    'x',
    [1, WIDTH],
    Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(i)),
  );
  const run = (id = model.id) => runner.run(id, [x]);
  /** True if the threads go on for a while after runs that are far from each other. */
  const spins = async (): Promise<boolean> => {
    const beyondMs: number[] = [];
    for (let i = 0; i < 30; i++) {
      await setTimeout(8);
      await run();
      const before = processorMs(runner.pid!);
      await setTimeout(8);
      beyondMs.push(processorMs(runner.pid!) - before);
    }
    return beyondMs.toSorted((a, b) => a - b)[15]! > 0.5;
  };
  /** Runs that follow each other as soon as a lone caller's do, unless the machine is busy. */
  const alone = async (): Promise<void> => {
    for (let i = 0; i < 500; i++) {
      await run();
      const untilMs = performance.now() + 0.3;
      while (performance.now() < untilMs);
    }
  };
  return { run, spins, alone, lost };
}

describe.runIf(process.platform === 'linux' && cores > 1)('a model alone', { timeout: 60_000 }, () => {
  it.each(['mapped', 'prepacked'])('lets its threads spin after many runs, until others run (%s)', async (mode) => {
    const { run, spins, alone, lost } = await resident({ mode });
    const outputs = async (id?: string) => numbersOf((await run(id)).outputs[0]);
    const expected = await outputs();
    expect(await spins()).toBe(false);
    await expect.poll(() => alone().then(spins), { timeout: 30_000, interval: 0 }).toBe(true);
    expect(await outputs()).toEqual(expected);
    for (let i = 0; i < 50; i++) {
      expect(await outputs('other')).toEqual(expected);
      expect(await outputs()).toEqual(expected);
    }
    expect(await spins()).toBe(false);
    expect(lost).toEqual([]);
  });

  it('leaves them as its manifest has them', async () => {
    const { spins, alone } = await resident(
      {},
      {
        sessionOptions: { extra: { session: { 'intra_op.spin_duration_us': '20' } } },
      },
    );
    for (let i = 0; i < 4; i++) await alone();
    expect(await spins()).toBe(false);
  });
});
