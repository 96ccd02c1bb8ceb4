// A CUDA device as far as it can be tested without one: a fake nvidia-smi and a backend that keeps its books. What needs
// a real card is in `npm run test:gpu`.

import { readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Device } from '../../../src/devices/types.ts';
import { cpuDevice, emulatedModel, floats, type Watched, workerTests } from '../../helpers/workers.ts';

const { watch, folder } = workerTests();
const BACKEND = new URL('../../fixtures/backends/fake-card.ts', import.meta.url).href;
const SMI = fileURLToPath(new URL('../../fixtures/nvidia-smi', import.meta.url));
const MIB = 2 ** 20;
const card: Device = cpuDevice({ id: 'cuda:0', kind: 'cuda', uuid: 'GPU-aaaa', memoryBytes: 8000 * MIB });

let memory: string;
beforeEach(() => {
  const place = folder();
  memory = join(place, 'memory-GPU-aaaa');
  writeFileSync(memory, '10000, 9000\n');
  vi.stubEnv('PATH', `${SMI}${delimiter}${process.env['PATH']}`);
  vi.stubEnv('FAKE_NVIDIA', place);
  vi.stubEnv('FAKE_CARD', memory);
});
afterEach(() => void vi.unstubAllEnvs());

const model = (id: string, mib: number, path = id) =>
  emulatedModel(id, { path, emulation: { loadMs: 1, runMs: 1, memoryBytes: mib * MIB } });

async function started(options = {}): Promise<Watched> {
  const watched = watch(card, { backend: BACKEND, backoffMs: [0], cardReadMs: 5_000, ...options });
  await watched.runner.start();
  return watched;
}

describe('a card', () => {
  it('is pinned by its identity and measured before and after each load and eviction', async () => {
    const { runner } = await started();
    expect(readFileSync(`/proc/${runner.pid}/environ`, 'utf8')).toContain('CUDA_VISIBLE_DEVICES=GPU-aaaa');
    expect((await runner.load(model('a', 1000))).measuredBytes).toBe(1000 * MIB);
    expect((await runner.load(model('b', 500))).measuredBytes).toBe(500 * MIB);
    expect(await runner.measure()).toMatchObject({ deviceTotalBytes: 10000 * MIB, deviceFreeBytes: 7500 * MIB });
    expect((await runner.evict('a')).releasedBytes).toBe(1000 * MIB);
    expect(await runner.measure()).toMatchObject({ deviceFreeBytes: 8500 * MIB });
  });

  it('that does not answer costs a load nothing but its figures', async () => {
    const { runner } = await started();
    writeFileSync(memory.replace('memory-GPU-aaaa', 'fail'), 'no\n');
    expect((await runner.load(model('a', 1000))).measuredBytes).toBeNull();
    await runner.run('a', [floats('x', [1, 3], [1, 2, 3])]);
    expect((await runner.evict('a')).releasedBytes).toBeNull();
  });

  it('whose memory others take is reported once, and once when it is back', async () => {
    const { notices } = await started({ reserveBytes: 500 * MIB, cardWatchMs: 30 });
    writeFileSync(memory, '10000, 400\n');
    await expect.poll(() => notices.length).toBe(1);
    expect(notices[0]).toMatchObject({
      message: 'less of the card is free than its reserve',
      details: { device: 'cuda:0', freeBytes: 400 * MIB, reserveBytes: 500 * MIB },
    });
    writeFileSync(memory, '10000, 8000\n');
    await expect.poll(() => notices.length).toBe(2);
    expect(notices[1]!.message).toMatch(/free again/);
  });

  it('that does not get its memory back after evictions gets a new worker, once nothing is under way', async () => {
    const watched = await started();
    const { runner, lost, notices } = watched;
    await runner.load(model('slow', 10));
    await runner.load(model('leaky', 2000, 'leaky'));
    const running = runner.run('slow', [floats('x', [1, 3], [1, 2, 3])]);
    await runner.evict('leaky');
    await running;
    await expect.poll(() => watched.ready()).toBe(2);
    expect(notices.map(({ message }) => message)).toContain('an eviction did not give all memory back');
    expect(lost).toEqual([{ reason: `${2000 * MIB} bytes did not come back after evictions`, final: false }]);
  });
});
