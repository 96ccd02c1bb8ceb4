// The real daemon on emulated devices, driven by the bench: processes, HTTP, scheduling, all but the arithmetic.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { emulate } from '../../../src/bench/real/emulate.ts';
import { readSettings } from '../../../src/bench/settings.ts';
import { renderReport } from '../../../src/bench/table.ts';

// A place of its own for temporary files: what is left in it was left by the bench.
const place = mkdtempSync(join(tmpdir(), 'gpufaas-emulate-test-'));
const usual = process.env['TMPDIR'];
beforeAll(() => void (process.env['TMPDIR'] = place));
afterAll(() => {
  if (usual === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = usual;
  rmSync(place, { recursive: true, force: true });
});

describe('An emulation', () => {
  it('serves every request of the workload, near to what the simulator says, and leaves nothing behind', async () => {
    const steps: string[] = [];
    // One request at a time for the most part: what is compared is the path of a request, not a queue at its limit.
    const settings = readSettings({ policy: 'lalb', 'working-set': '3', devices: '2', rpm: '20', minutes: '1' });
    const { report, details } = await emulate(settings, 10, { onStep: (step) => steps.push(step) });
    const [real] = report.results;
    const [simulated] = report.simulated!;
    expect(report.context).toMatchObject({ mode: 'emulate', settings: { speed: 10 } });
    expect(real).toMatchObject({ policy: 'lalb', workingSet: 3, requests: 20 });
    expect(real!.loads).toBeGreaterThanOrEqual(3);
    // The machine that tests may be busy: time can only be lost, and what is lost counts tenfold. This tells whether all went
    // at the speed that was asked for; how near it comes is what docs/bench.md shows.
    expect(real!.meanMs).toBeGreaterThan(0.9 * simulated!.meanMs);
    expect(real!.meanMs).toBeLessThan(6 * simulated!.meanMs);
    // By one clock: what was loaded before a call arrived is none that the call has waited for.
    expect(real!.coldRatio).toBeLessThan(0.8);
    expect(details[0]!.cdfMs).toHaveLength(110);
    expect(renderReport(report)).toContain('the real daemon at 10x speed');
    expect(steps.some((step) => step.includes('of 20 requests answered'))).toBe(true);
    expect(readdirSync(place)).toEqual([]);
  }, 120_000);

  it('ends at the signal and takes its daemon with it', async () => {
    const abort = new AbortController();
    const settings = readSettings({ policy: 'lalb', 'working-set': '3', devices: '1', rpm: '60', minutes: '5' });
    const { report } = await emulate(settings, 10, {
      signal: abort.signal,
      onStep: (step) => {
        if (/[1-9]\d* of 300 requests answered/.test(step)) abort.abort();
      },
    });
    expect(report.interrupted).toBe(true);
    expect(report.results).toEqual([]);
    expect(readdirSync(place)).toEqual([]);
  }, 120_000);

  it('refuses what a daemon can not do', async () => {
    const onStep = (): void => undefined;
    await expect(emulate(readSettings({ preload: true }), 10, { onStep })).rejects.toThrow('--preload');
    await expect(emulate(readSettings({ devices: '500' }), 10, { onStep })).rejects.toThrow('more than 64 devices');
    await expect(emulate(readSettings({ sweep: 'rpm=1..2:1' }), 10, { onStep })).rejects.toThrow('--sweep');
  });
});
