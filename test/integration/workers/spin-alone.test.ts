// A model that a lone caller has to itself: its threads are left to spin between runs, until others run too.

import { availableParallelism } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { LoadedModel } from '../../../src/workers/backends/backend.ts';
import { createBackend } from '../../../src/workers/backends/cpu.ts';
import { preparedDense } from '../../helpers/prepared-model.ts';
import { cpuDevice, emulatedModel, floats, numbersOf, workerTests } from '../../helpers/workers.ts';

const { folder, watch } = workerTests();
const backend = new URL('../../fixtures/backends/reloading.ts', import.meta.url).href;
const cores = availableParallelism();

describe('a worker', { timeout: 60_000 }, () => {
  it('has the threads of a model spin after many runs alone, and no longer when another model runs', async () => {
    const { runner } = watch(cpuDevice(), { backend });
    await runner.start();
    for (const id of ['a', 'b']) await runner.load(emulatedModel(id));
    /** A lone caller's: not at once after the answer. */
    const run = async (id: string): Promise<number[]> => {
      const untilMs = performance.now() + 0.3;
      while (performance.now() < untilMs);
      return numbersOf((await runner.run(id, [floats('x', [1, 3], [1, 2, 3])])).outputs[0]);
    };
    for (let i = 0; i < 400; i++) expect(await run('a')).toEqual([0, 0]);
    // On a busy machine some come too late to count.
    await expect.poll(() => run('a'), { timeout: 30_000, interval: 0 }).toEqual([1, 1]);
    for (let i = 0; i < 50; i++) {
      expect((await run('b'))[0]).toBe(0);
      await run('a');
    }
    const [spins, reloads] = await run('a');
    expect(spins).toBe(0);
    expect(reloads).toBeGreaterThanOrEqual(2);
  });

  it('leaves them asleep while one model’s callers wait for each other', async () => {
    const { runner } = watch(cpuDevice(), { backend });
    await runner.start();
    await runner.load(emulatedModel('a'));
    const caller = async (): Promise<void> => {
      for (let i = 0; i < 400; i++) {
        const { outputs } = await runner.run('a', [floats('x', [1, 3], [1, 2, 3])]);
        expect(numbersOf(outputs[0])).toEqual([0, 0]);
      }
    };
    await Promise.all([caller(), caller(), caller(), caller()]);
  });
});

describe.runIf(process.platform === 'linux' && cores > 1)('a model on a CPU device', { timeout: 60_000 }, () => {
  const WIDTH = 1024;
  const whole = cpuDevice({ threads: cores });

  it.each(['mapped', 'prepacked'])(
    'has threads that spin after a run, and no longer, as it is asked (%s)',
    async (mode) => {
      const model = await preparedDense(folder(), WIDTH, { mode });
      const loaded: LoadedModel = await (await createBackend(whole)).load(model);
      const x = floats('x', [1, WIDTH], new Float32Array(WIDTH).fill(0.5));
      const run = async () => numbersOf((await loaded.run([x])).outputs[0]);
      const expected = await run();
      /** What this process computes in the 8 ms after a run, in the median: nothing is done here but by those threads. */
      const afterwardsMs = async (): Promise<number> => {
        const taken: number[] = [];
        for (let i = 0; i < 31; i++) {
          await setTimeout(8);
          await loaded.run([x]);
          const before = process.cpuUsage();
          await setTimeout(8);
          const { user, system } = process.cpuUsage(before);
          taken.push((user + system) / 1_000);
        }
        return taken.toSorted((a, b) => a - b)[15]!;
      };
      try {
        expect(await afterwardsMs()).toBeLessThan(1);
        await loaded.reload!.change({ spins: true });
        expect(await run()).toEqual(expected);
        expect(await afterwardsMs()).toBeGreaterThan(1.2);
        await loaded.reload!.change({ spins: false });
        expect(await run()).toEqual(expected);
        expect(await afterwardsMs()).toBeLessThan(1);
      } finally {
        await loaded.release();
      }
    },
  );

  it('can have them where it has all cores, a second thread, and a manifest that says nothing of it', async () => {
    const model = await preparedDense(folder(), 64);
    const canSpin = async (device = whole, sessionOptions = {}, threads?: number): Promise<boolean | undefined> => {
      const loaded = await (await createBackend(device)).load({ ...model, sessionOptions }, threads);
      await loaded.release();
      return loaded.reload?.canSpin;
    };
    expect(await canSpin()).toBe(true);
    expect(await canSpin(cpuDevice({ threads: cores - 1 }))).toBe(false);
    expect(await canSpin(whole, {}, 1)).toBe(false);
    expect(await canSpin(whole, { intraOpNumThreads: 1 })).toBe(false);
    expect(await canSpin(whole, { extra: { session: { 'intra_op.spin_duration_us': '30' } } })).toBe(false);
  });
});
