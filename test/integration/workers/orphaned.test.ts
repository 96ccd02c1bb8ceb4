import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { emulatedDevice, workerTests } from '../../helpers/workers.ts';

const { folder, watch } = workerTests();
const PARENT = fileURLToPath(new URL('../../fixtures/worker-parent.ts', import.meta.url));

it(
  'A worker whose daemon is killed removes the files that the daemon kept in memory',
  { timeout: 20_000 },
  async () => {
    const memory = folder();
    writeFileSync(join(memory, 'weights.bin'), 'x');
    const parent = spawn(process.execPath, [PARENT, memory], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [pid] = (await once(parent.stdout, 'data')) as [Buffer];
    expect(Number(pid)).toBeGreaterThan(0);
    expect(existsSync(memory)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => existsSync(memory)).toBe(false);
    await expect.poll(() => existsSync(`/proc/${Number(pid)}`)).toBe(false);
  },
);

it('A worker that ends before its daemon leaves them', async () => {
  const memory = folder();
  const { runner } = watch(emulatedDevice(), { memoryFolder: memory });
  await runner.start();
  await runner.stop();
  expect(existsSync(memory)).toBe(true);
});
