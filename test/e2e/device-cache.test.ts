// The whole path with real models on real workers, small enough for every test run; `npm run bench:cache` is the large one.

import { describe, expect, it } from 'vitest';
import { cacheRun, type CacheRunOptions } from '../../bench/cache/cache-run.ts';

const SMALL: CacheRunOptions = {
  models: 6,
  megabytes: 8,
  devices: 'cpu:2@{memory}',
  fit: 2,
  policy: 'lalbo3',
  requests: 150,
  clients: 8,
  skew: 0.8,
  seed: 1,
  kills: 0,
  check: 'values',
};

describe('more models than memory', { timeout: 180_000 }, () => {
  it('answers every request right, within the budget, with fewer misses under lalbo3 than under lb', async () => {
    const lalbo3 = await cacheRun(SMALL);
    const lb = await cacheRun({ ...SMALL, policy: 'lb' });
    for (const result of [lalbo3, lb]) {
      expect(result).toMatchObject({ right: 150, wrong: 0, failed: [] });
      expect(result.peakShare).toBeGreaterThan(0.5);
      expect(result.peakShare).toBeLessThanOrEqual(1);
    }
    expect(lalbo3.misses).toBeGreaterThan(0);
    expect(lalbo3.misses).toBeLessThan(lb.misses);
  });

  it('answers every request right while workers are killed', async () => {
    const result = await cacheRun({ ...SMALL, requests: 1200, kills: 2 });
    expect(result).toMatchObject({ right: 1200, wrong: 0, failed: [] });
    expect(result.kills).toBeGreaterThan(0);
  });

  it('serves the same run on emulated devices', async () => {
    const result = await cacheRun({ ...SMALL, devices: 'emulated:3@{memory}', check: 'shape' });
    expect(result).toMatchObject({ right: 150, wrong: 0, failed: [] });
    expect(result.misses).toBeGreaterThan(0);
  });
});
