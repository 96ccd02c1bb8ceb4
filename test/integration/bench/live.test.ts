// A live bench in small: real daemons, real workers, real networks.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { live } from '../../../src/bench/real/live.ts';
import { readSettings } from '../../../src/bench/settings.ts';
import { renderReport } from '../../../src/bench/table.ts';
import { buildNetwork } from '../../../src/onnx/networks.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-live-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const functions = ['one', 'two', 'three'].map((name, seed) => {
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, buildNetwork({ kind: 'cnn', megabytes: 2, seed }).encode());
  return path;
});

describe('A live bench', () => {
  it('runs each seed under each policy and compares them in pairs', async () => {
    const flags = { policy: 'lb,lalb', seeds: '1-2', devices: '1', rpm: '600' };
    const settings = readSettings({ ...flags, devices: undefined });
    const said: string[] = [];
    const say = (message: string): unknown => said.push(message);
    const options = { onStep: () => undefined, onPlan: say, onFinished: say };
    const { report } = await live({ settings, flags, functions, runMs: 1500 }, options);
    expect(said).toEqual([
      '2 policies × 2 seeds × 1.5 s: at least 6 s, more where a policy falls behind. One seed takes less: --seed 1.',
      expect.stringMatching(/^Seed 1, lb \(1 of 4\): mean \d/),
      expect.stringMatching(/^Seed 1, lalb \(2 of 4\): mean \d/),
      expect.stringMatching(/^Seed 2, lalb \(3 of 4\): mean \d/),
      expect.stringMatching(/^Seed 2, lb \(4 of 4\): mean \d/),
    ]);
    expect(report.context.mode).toBe('live');
    // One device that holds 60% of three models of a size: they do not fit together.
    expect(report.context.devices).toHaveLength(1);
    expect(report.results.map(({ policy, workingSet, seeds }) => [policy, workingSet, seeds.length])).toEqual([
      ['lb', 3, 2],
      ['lalb', 3, 2],
    ]);
    for (const { requests, meanMs, loads } of report.results) {
      expect(requests).toBeGreaterThan(5);
      expect(meanMs).toBeGreaterThan(0);
      expect(loads).toBeGreaterThan(0);
    }
    expect(report.paired).toMatchObject([{ policy: 'lalb', against: 'lb', pairs: 2 }]);
    expect(renderReport(report)).toContain('lalb / lb');
  }, 180_000);
});
