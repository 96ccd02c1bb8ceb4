// Instances in a real worker, whose backend is told what to do: given up, evicted and killed while they are made.

import { expect, it } from 'vitest';
import { createRunner } from '../../../src/workers/runner.ts';
import type { LoadableModel } from '../../../src/workers/types.ts';
import { cpuDevice, emulatedModel, floats, workerTests } from '../../helpers/workers.ts';

const { watch } = workerTests();
const backend = new URL('../../fixtures/backends/scripted.ts', import.meta.url).href;
const device = cpuDevice({ threads: 2 });
const slow: LoadableModel = emulatedModel('a', { emulation: { loadMs: 200, runMs: 5, memoryBytes: 1 } });
const input = [floats('x', [1, 3], [1, 2, 3])];

async function started(model = slow) {
  const watched = watch(device, { backend, backoffMs: [0] });
  await watched.runner.start();
  await watched.runner.load(model);
  return watched;
}

it.each(['narrow', 'evict'] as const)('%s while an instance is made leaves the worker alive', async (how) => {
  const { runner, lost } = await started();
  await runner.widen(slow);
  const widening = runner.widen(slow);
  await runner[how]('a');
  await widening;
  // Lanes of threads that ended would have it killed half a second later.
  await new Promise((resolve) => setTimeout(resolve, 800));
  expect(lost).toEqual([]);
  if (how === 'evict') await runner.load(slow);
  await runner.widen(slow);
  expect((await runner.run('a', input, 0)).outputs).toHaveLength(1);
  await expect(runner.run('a', input, 1)).rejects.toMatchObject({ code: 'INTERNAL' });
  expect((await runner.run('a', input)).outputs).toHaveLength(1);
});

it('a load that hangs between instances is blamed on its own model, at its own limit', async () => {
  const culprits: unknown[] = [];
  const runner = createRunner(
    device,
    { backend, backoffMs: [0], loadLimitMs: 1_000 },
    {
      onReady: () => undefined,
      onLost: (_reason, _final, culprit) => void culprits.push(culprit),
      onNotice: () => undefined,
    },
  );
  try {
    await runner.start();
    await runner.load(slow);
    const widening = runner.widen(slow);
    await expect(runner.load(emulatedModel('hang-load'))).rejects.toMatchObject({ code: 'WORKER_DIED' });
    await widening;
    await expect.poll(() => culprits).toEqual(['hang-load']);
  } finally {
    await runner.stop(true);
  }
});

it('instances of a model that is not resident are refused', async () => {
  const { runner, lost } = await started();
  await expect(runner.widen(emulatedModel('other'))).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(lost).toEqual([]);
});
