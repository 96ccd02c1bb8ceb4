// A model that has its process to itself: its threads are left to spin between runs, until another one runs too. Real sessions,
// and processor time as the system counts it.

import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
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

describe.runIf(process.platform === 'linux' && cores > 1)('a model alone', { timeout: 60_000 }, () => {
  it.each(['mapped', 'prepacked'])('lets its threads spin after many runs, until others run (%s)', async (mode) => {
    const { runner, lost } = watch(cpuDevice({ threads: cores }));
    await runner.start();
    const model = await preparedDense(folder(), WIDTH, { mode });
    await runner.load(model);
    await runner.load({ ...model, id: 'other' });
    const x = floats(
      'x',
      [1, WIDTH],
      Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(i)),
    );
    const run = async (id: string) => numbersOf((await runner.run(id, [x])).outputs[0]);
    const expected = await run(model.id);
    /** What the threads take beyond the runs themselves, which follow each other at a distance. */
    const beyondMs = async (): Promise<number> => {
      const taken: number[] = [];
      for (let i = 0; i < 30; i++) {
        await setTimeout(8);
        await runner.run(model.id, [x]);
        const before = processorMs(runner.pid!);
        await setTimeout(8);
        taken.push(processorMs(runner.pid!) - before);
      }
      return taken.toSorted((a, b) => a - b)[15]!;
    };
    const spins = async (): Promise<boolean> => (await beyondMs()) > 0.5;
    expect(await spins()).toBe(false);
    // What comes later finds threads asleep that spin, so nothing is done in between. A busy machine is late more often.
    const alone = async (): Promise<boolean> => {
      for (let i = 0; i < 500; i++) await runner.run(model.id, [x]);
      return spins();
    };
    await expect.poll(alone, { timeout: 30_000, interval: 0 }).toBe(true);
    expect(await run(model.id)).toEqual(expected);
    for (let i = 0; i < 50; i++) {
      expect(await run('other')).toEqual(expected);
      expect(await run(model.id)).toEqual(expected);
    }
    expect(await spins()).toBe(false);
    expect(lost).toEqual([]);
  });
});
