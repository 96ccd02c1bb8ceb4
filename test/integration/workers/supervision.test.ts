// A runner and its process when things go wrong: deaths, hangs, stops, crash loops. Fixture backends, real processes.

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { GpufaasError } from '../../../src/errors.ts';
import { createRunner } from '../../../src/workers/runner.ts';
import { emulatedDevice, emulatedModel, floats, numbersOf, type Watched, workerTests } from '../../helpers/workers.ts';

const { watch } = workerTests();
const SCRIPTED = new URL('../../fixtures/backends/scripted.ts', import.meta.url).href;
const NEVER_READY = new URL('../../fixtures/backends/never-ready.ts', import.meta.url).href;
const input = [floats('x', [1, 3], [1, 2, 3])];

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The code that a call ends with. */
function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'none',
    (error: GpufaasError) => error.code,
  );
}

/** Still usable: a model loads and answers. */
async function expectToServe({ runner }: Watched, id = 'good'): Promise<void> {
  await runner.load(emulatedModel(id));
  const { outputs } = await runner.run(id, input);
  expect(numbersOf(outputs[0])).toEqual([0, 0, 0]);
}

describe('a runner', () => {
  it('loads, runs, measures and evicts in its process, and stop ends the process', async () => {
    const watched = watch(emulatedDevice());
    const { runner } = watched;
    expect(runner.state).toBe('stopped');
    await runner.start();
    expect(runner.state).toBe('ready');
    const { pid } = runner;
    expect(alive(pid!)).toBe(true);
    const loaded = await runner.load(emulatedModel('a'));
    expect(loaded).toMatchObject({ measuredBytes: 100e6, inputs: [{ name: 'x' }], outputs: [{ name: 'y' }] });
    const { outputs, runMs } = await runner.run('a', [floats('x', [2, 3], [1, 2, 3, 4, 5, 6])]);
    expect(outputs[0]).toMatchObject({ name: 'y', shape: [2, 3] });
    // A load that ended late is made up for by the run.
    expect(loaded.loadMs + runMs).toBeGreaterThan(8);
    expect(await runner.measure()).toMatchObject({ deviceTotalBytes: 1e9, deviceFreeBytes: 900e6 });
    await runner.evict('a');
    expect(await runner.measure()).toMatchObject({ deviceFreeBytes: 1e9 });
    await expect(runner.run('a', input)).rejects.toMatchObject({ code: 'WORKER_DIED' });
    await runner.stop();
    await runner.stop();
    expect(runner.state).toBe('stopped');
    expect(alive(pid!)).toBe(false);
    expect(watched.lost).toEqual([]);
    await expect(runner.run('a', input)).rejects.toMatchObject({ code: 'WORKER_DIED' });
    await runner.start();
    await expectToServe(watched);
  });

  it('restarts a killed worker, empty, and rejects what was under way with WORKER_DIED', async () => {
    const watched = watch(emulatedDevice(), { backoffMs: [0] });
    const { runner, lost } = watched;
    await runner.start();
    await runner.load(emulatedModel('slow', { emulation: { loadMs: 1, runMs: 60_000, memoryBytes: 1 } }));
    const running = runner.run('slow', input);
    const loading = runner.load(emulatedModel('big', { emulation: { loadMs: 60_000, runMs: 1, memoryBytes: 1 } }));
    const settled = Promise.allSettled([running, loading]);
    process.kill(runner.pid!, 'SIGKILL');
    for (const result of await settled)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'WORKER_DIED' } });
    await expect.poll(() => watched.ready()).toBe(2);
    expect(lost).toEqual([{ reason: 'signal SIGKILL', final: false }]);
    await expect(runner.run('slow', input)).rejects.toMatchObject({ code: 'WORKER_DIED' });
    await expectToServe(watched);
  });

  it('kills a worker that was stopped and does not answer', async () => {
    const watched = watch(emulatedDevice(), { heartbeatMs: 100, heartbeatLimitMs: 500, backoffMs: [0] });
    await watched.runner.start();
    process.kill(watched.runner.pid!, 'SIGSTOP');
    await expect.poll(() => watched.ready()).toBe(2);
    expect(watched.lost).toMatchObject([{ reason: expect.stringMatching(/did not answer/) }]);
    await expectToServe(watched);
  });

  it('leaves no process behind when its own process is killed', async () => {
    const { spawn } = await import('node:child_process');
    const script = `
      import { createRunner } from ${JSON.stringify(new URL('../../../src/workers/runner.ts', import.meta.url).href)};
      const runner = createRunner(${JSON.stringify(emulatedDevice())}, {}, { onReady() {}, onLost() {}, onNotice() {} });
      await runner.start();
      await runner.load(${JSON.stringify(emulatedModel('slow', { emulation: { loadMs: 1, runMs: 60_000, memoryBytes: 1 } }))});
      runner.run('slow', [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: new Uint8Array(12) }]).catch(() => {});
      process.stdout.write(String(runner.pid));`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = Number(
      await new Promise<string>((resolve) => parent.stdout.once('data', (data) => resolve(String(data)))),
    );
    expect(alive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => alive(pid)).toBe(false);
  });

  it('is not ended by a Ctrl-C that reaches the whole process group', async () => {
    const watched = watch(emulatedDevice());
    await watched.runner.start();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(watched.runner.pid!, signal);
    await sleep(100);
    await expectToServe(watched);
    expect(watched.lost).toEqual([]);
  });
});

describe('a wedged call', () => {
  it('in a run is cleared within its limit, while runs of other models go on until then', async () => {
    const watched = watch(emulatedDevice(), { backend: SCRIPTED, runLimitMs: 1_500, backoffMs: [0] });
    const { runner } = watched;
    await runner.start();
    await runner.load(emulatedModel('hang-run'));
    await runner.load(emulatedModel('good'));
    const outcome = codeOf(runner.run('hang-run', input));
    for (let i = 0; i < 5; i++) await runner.run('good', input);
    expect(await outcome).toBe('WORKER_DIED');
    await expect.poll(() => watched.ready()).toBe(2);
    expect(watched.lost).toMatchObject([{ reason: 'a run took longer than 1500 ms', final: false }]);
    await expectToServe(watched);
  });

  it('in a load is cleared within its limit, while hits go on', async () => {
    const watched = watch(emulatedDevice(), { backend: SCRIPTED, loadLimitMs: 1_500, backoffMs: [0] });
    const { runner } = watched;
    await runner.start();
    await runner.load(emulatedModel('good'));
    const outcome = codeOf(runner.load(emulatedModel('hang-load')));
    for (let i = 0; i < 5; i++) await runner.run('good', input);
    expect(await outcome).toBe('WORKER_DIED');
    await expect.poll(() => watched.ready()).toBe(2);
    expect(watched.lost).toMatchObject([{ reason: 'a load took longer than 1500 ms' }]);
  });

  it('is measured by the limit that its model brings', async () => {
    const watched = watch(emulatedDevice(), { backend: SCRIPTED, backoffMs: [0] });
    await watched.runner.start();
    await watched.runner.load(emulatedModel('hang-run', { limits: { loadMs: 30_000, runMs: 300 } }));
    expect(await codeOf(watched.runner.run('hang-run', input))).toBe('WORKER_DIED');
    await expect.poll(() => watched.lost).toMatchObject([{ reason: 'a run took longer than 300 ms' }]);
  });

  it('does not hold up the end of its worker beyond the grace', async () => {
    const watched = watch(emulatedDevice(), { backend: SCRIPTED, stopGraceMs: 300 });
    await watched.runner.start();
    await watched.runner.load(emulatedModel('hang-run'));
    const outcome = codeOf(watched.runner.run('hang-run', input));
    const { pid } = watched.runner;
    await watched.runner.stop();
    expect(await outcome).toBe('WORKER_DIED');
    expect(alive(pid!)).toBe(false);
    expect(watched.lost).toEqual([]);
  });

  it('is told from a queue that moves: the limit is that of one run, not of all that wait', async () => {
    const watched = watch(emulatedDevice(), { runLimitMs: 1_000 });
    await watched.runner.start();
    await watched.runner.load(emulatedModel('m', { emulation: { loadMs: 1, runMs: 300, memoryBytes: 1 } }));
    await Promise.all(Array.from({ length: 5 }, () => watched.runner.run('m', input)));
    expect(watched.lost).toEqual([]);
  });
});

describe('a worker that dies', () => {
  it.each([
    ['in native code', 'die-run', /SIGSEGV|SIGKILL/],
    ['because its device failed', 'lose-device', /The device failed/],
    ['because a thread ended by itself', 'leave-thread', /thread ended by itself/],
  ])('%s is restarted and says why', async (_, behaviour, reason) => {
    const watched = watch(emulatedDevice(), { backend: SCRIPTED, backoffMs: [0] });
    await watched.runner.start();
    await watched.runner.load(emulatedModel(behaviour));
    await expect(watched.runner.run(behaviour, input)).rejects.toMatchObject({ code: 'WORKER_DIED' });
    await expect.poll(() => watched.ready()).toBe(2);
    expect(watched.lost).toMatchObject([{ reason: expect.stringMatching(reason), final: false }]);
    await expectToServe(watched);
  });

  it('again and again counts as failed, is tried again slowly, and may come back', async () => {
    const watched = watch(emulatedDevice(), {
      backend: SCRIPTED,
      backoffMs: [0, 10],
      crashLimit: 3,
      failedRetryMs: 300,
    });
    const { runner } = watched;
    await runner.start();
    for (let i = 1; i <= 3; i++) {
      await expect.poll(() => runner.state).toBe('ready');
      await expect(runner.load(emulatedModel('die-load'))).rejects.toMatchObject({ code: 'WORKER_DIED' });
      await expect.poll(() => watched.lost.length).toBe(i);
    }
    expect(watched.lost.map(({ final }) => final)).toEqual([false, false, true]);
    expect(runner.state).toBe('failed');
    await expect(runner.load(emulatedModel('good'))).rejects.toMatchObject({ code: 'WORKER_DIED' });
    await expect.poll(() => runner.state).toBe('ready');
    await expectToServe(watched);
  });

  it('before it was ever ready rejects start with its last words', async () => {
    const watched = watch(emulatedDevice(), {
      backend: NEVER_READY,
      backoffMs: [0],
      crashLimit: 2,
      failedRetryMs: 60_000,
    });
    await expect(watched.runner.start()).rejects.toMatchObject({
      code: 'NO_DEVICE',
      message: expect.stringMatching(/does not start: The card is on fire\.$/),
    });
    expect(watched.runner.state).toBe('failed');
  });
});

describe('errors of a load or run', () => {
  it('come back as they are and leave the worker up', async () => {
    const watched = watch(emulatedDevice(), { backend: SCRIPTED });
    const { runner } = watched;
    await runner.start();
    await expect(runner.load(emulatedModel('oom-load'))).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    await runner.load(emulatedModel('oom-run'));
    await expect(runner.run('oom-run', input)).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    await expectToServe(watched);
    expect(watched.lost).toEqual([]);
  });
});

describe('an emulated device', () => {
  it('can be unplugged and plugged in again', async () => {
    const watched = watch(emulatedDevice());
    const { runner } = watched;
    await runner.start();
    await runner.load(emulatedModel('slow', { emulation: { loadMs: 1, runMs: 60_000, memoryBytes: 1 } }));
    const outcome = codeOf(runner.run('slow', input));
    await runner.unplug();
    expect(await outcome).toBe('WORKER_DIED');
    expect(runner.state).toBe('unplugged');
    expect(watched.lost).toEqual([{ reason: 'it was unplugged', final: true }]);
    expect(runner.pid).toBeUndefined();
    await runner.plug();
    expect(runner.state).toBe('ready');
    await expectToServe(watched);
  });

  it('refuses what does not fit, and passes time at its speed', async () => {
    const { runner } = watch(emulatedDevice({ memoryBytes: 150e6, speed: 20 }));
    await runner.start();
    const startedMs = performance.now();
    const { loadMs } = await runner.load(
      emulatedModel('a', { emulation: { loadMs: 2_000, runMs: 400, memoryBytes: 100e6 } }),
    );
    // Told in the device's own time, as the profile is. What the machine adds counts twentyfold.
    expect(loadMs).toBeGreaterThan(1_900);
    expect(performance.now() - startedMs).toBeLessThan(1_900);
    expect(loadMs).toBeLessThan(20 * 1_900);
    const times: number[] = [];
    for (let i = 0; i < 10; i++) times.push((await runner.run('a', input)).runMs);
    // What ended late is made up for by what comes next: the sum is true.
    expect(times.reduce((sum, runMs) => sum + runMs, loadMs)).toBeGreaterThan(0.95 * (2_000 + 10 * 400));
    expect(Math.min(...times)).toBeLessThan(600);
    await expect(runner.load(emulatedModel('b'))).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    await runner.evict('a');
    await runner.load(emulatedModel('b'));
  });

  it('carries out loads and evictions in the order given', async () => {
    const { runner } = watch(emulatedDevice({ memoryBytes: 100e6 }));
    await runner.start();
    await runner.load(emulatedModel('a'));
    await Promise.all([
      runner.evict('a'),
      runner.load(emulatedModel('b')),
      runner.evict('b'),
      runner.load(emulatedModel('c')),
    ]);
    await runner.run('c', input);
    await expect(runner.run('b', input)).rejects.toMatchObject({ code: 'WORKER_DIED' });
  });

  it('checks inputs as a real one does', async () => {
    const { runner } = watch(emulatedDevice());
    await runner.start();
    await runner.load(emulatedModel('a'));
    await expect(runner.run('a', [floats('x', [1, 4], [1, 2, 3, 4])])).rejects.toMatchObject({
      code: 'BAD_TENSOR',
      message: expect.stringMatching(/dimension 1 is 4 instead of 3/),
    });
  });
});

it('one that stood still before it was killed is the fault of no model', async () => {
  const culprits: unknown[] = [];
  const options = { backoffMs: [60_000], heartbeatMs: 50, heartbeatLimitMs: 60_000 };
  const runner = createRunner(emulatedDevice(), options, {
    onReady: () => undefined,
    onLost: (_reason, _final, culprit) => void culprits.push(culprit),
    onNotice: () => undefined,
  });
  try {
    await runner.start();
    const { pid } = runner;
    process.kill(pid!, 'SIGSTOP');
    await sleep(1_000);
    process.kill(pid!, 'SIGKILL');
    await expect.poll(() => culprits).toEqual([null]);
  } finally {
    await runner.stop(true);
  }
});
