// The whole path with real models on real workers, small enough for every test run; `npm run bench:cache` is the large one.

import { expect, it } from 'vitest';
import { cacheRuns, type CacheRun } from '../../bench/cache/cache-run.ts';

const RUN: CacheRun = {
  devices: 'cpu:2@{memory}',
  fit: 2,
  policy: 'lalbo3',
  requests: 100,
  clients: 8,
  skew: 0.8,
  seed: 1,
  kills: 0,
  killEveryMs: 700,
  check: 'values',
  settleMs: 0,
};

it(
  'answers every request right with more models than memory, also while workers are killed',
  { timeout: 240_000 },
  async () => {
    const [lalbo3, lb, killed, emulated] = await cacheRuns({ models: 6, megabytes: 4 }, [
      RUN,
      { ...RUN, policy: 'lb' },
      { ...RUN, kills: 2 },
      { ...RUN, devices: 'emulated:3@{memory}', check: 'shape', requests: 60 },
    ]);
    for (const result of [lalbo3!, lb!, killed!, emulated!]) {
      expect(result).toMatchObject({ wrong: 0, failed: [] });
      expect(result.right).toBeGreaterThanOrEqual(60);
      expect(result.peakShare).toBeGreaterThan(0.5);
      expect(result.peakShare).toBeLessThanOrEqual(1);
      expect(result.misses).toBeGreaterThan(0);
    }
    expect(lalbo3!.misses).toBeLessThan(lb!.misses);
    expect(killed!.kills).toBe(2);
  },
);
