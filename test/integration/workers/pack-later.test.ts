// A resident model whose weights are packed while it serves: real sessions, real mappings.

import { readFileSync, renameSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { preparedDense } from '../../helpers/prepared-model.ts';
import { cpuDevice, floats, numbersOf, workerTests } from '../../helpers/workers.ts';

const { folder, watch } = workerTests();
const WIDTH = 512;

const prepared = () => preparedDense(folder(), WIDTH, { packAfterRuns: 3 });

describe.runIf(process.platform === 'linux')('a model that is packed after three runs', { timeout: 60_000 }, () => {
  it('lets go of its mapped weights in a pause, answers as before, and gives its memory back', async () => {
    const { runner } = watch(cpuDevice());
    await runner.start();
    const model = await prepared();
    await runner.load(model);
    const mappings = () => readFileSync(`/proc/${runner.pid}/maps`, 'utf8').split('weights.bin').length - 1;
    const run = async () => {
      const x = floats(
        'x',
        [1, WIDTH],
        Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(i)),
      );
      return numbersOf((await runner.run(model.id, [x])).outputs[0]);
    };
    const atFirst = await run();
    const mapped = mappings();
    expect(mapped).toBeGreaterThanOrEqual(4);
    await run();
    await run();
    await expect.poll(mappings, { timeout: 10_000 }).toBeLessThan(mapped);
    const packed = await run();
    expect(Math.max(...packed.map((y, i) => Math.abs(y - atFirst[i]!) / Math.max(1, Math.abs(y))))).toBeLessThan(1e-5);
    await runner.evict(model.id);
    expect(mappings()).toBe(0);
  });

  it('goes on as it is if its file has gone', async () => {
    const { runner, lost } = watch(cpuDevice());
    await runner.start();
    const model = await prepared();
    await runner.load(model);
    const run = async () => {
      const x = floats('x', [1, WIDTH], new Float32Array(WIDTH).fill(0.5));
      return numbersOf((await runner.run(model.id, [x])).outputs[0]);
    };
    const atFirst = await run();
    renameSync(model.path, `${model.path}.gone`);
    // Twice as many runs as lose what packing takes: it is tried without a pause.
    for (let i = 0; i < 8; i++) expect(await run()).toEqual(atFirst);
    expect(lost).toEqual([]);
  });
});
