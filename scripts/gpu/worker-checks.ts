// Checks of one device by a worker alone, without a daemon: starts, loads, answers, two models at once, memory that comes back.

import type { Device } from '../../src/devices/types.ts';
import { askCardMemory } from '../../src/devices/nvidia.ts';
import { formatSize } from '../../src/units.ts';
import type { DeviceRunner, RunnerOptions } from '../../src/workers/runner.ts';
import type { LoadableModel } from '../../src/workers/types.ts';
import type { Checks, Seen } from './checks.ts';
import { differenceOf, inputOf, numbersOf, openRunner, ROWS } from './networks.ts';

/** FP32 on another processor: rounding differs with the order of sums, not the answer. */
const TOLERANCE = 1e-3;
/**
 * ONNX Runtime lets NVIDIA's cards since Ampere multiply FP32 with 10 bits of mantissa (TF32). Here that is off, so that a wrong
 * kernel can be told from rounding; the daemon's checks leave it on, as it is for users.
 */
const FULL_PRECISION = { NVIDIA_TF32_OVERRIDE: '0' };
/** What may stay behind after evictions: handles, kernels that are kept. */
export const LITTLE_BYTES = 100e6;
const CYCLES = 10;
const ASKED = 5;
/** A driver that is slower makes every load slower by as much as a load waits for it. */
const SLOW_MS = 1_000;

export async function checkWorker(
  checks: Checks,
  device: Device,
  models: readonly LoadableModel[],
  answers: ReadonlyMap<string, Float32Array>,
  options: RunnerOptions,
): Promise<void> {
  const notices: string[] = [];
  const environment = { ...options.environment, ...FULL_PRECISION };
  const runner = openRunner(device, { ...options, environment }, notices);
  try {
    const startedMs = performance.now();
    const isUp = await checks.check('a worker starts on it', async () => {
      await runner.start();
      return { passed: true, saw: `${Math.round(performance.now() - startedMs)} ms` };
    });
    if (!isUp) return;
    const { uuid } = device;
    if (uuid !== undefined) await checks.check('its driver tells its memory', () => timeDriver(uuid));
    for (const model of models) {
      await checks.check(`${model.id}: loads, and answers as the CPU does`, () => compare(runner, model, answers));
    }
    await checks.check('two models run side by side', async () => {
      const startMs = performance.now();
      const runs = models.flatMap(({ id }) => Array.from({ length: 10 }, () => runner.run(id, inputOf(id, 1))));
      await Promise.all(runs);
      return { passed: true, saw: `${runs.length} runs in ${Math.round(performance.now() - startMs)} ms` };
    });
    await checks.check(`memory comes back after ${CYCLES} evictions and loads`, () => cycle(runner, models, notices));
  } finally {
    await runner.stop();
  }
}

async function timeDriver(uuid: string): Promise<Seen> {
  const times: number[] = [];
  let answered = 0;
  for (let i = 0; i < ASKED; i++) {
    const startMs = performance.now();
    if ((await askCardMemory(uuid)) !== null) answered++;
    times.push(performance.now() - startMs);
  }
  const slowest = Math.max(...times);
  return {
    passed: answered === ASKED && slowest < SLOW_MS,
    saw: `${answered} of ${ASKED} answers, fastest ${Math.round(Math.min(...times))} ms, slowest ${Math.round(slowest)} ms`,
  };
}

async function compare(
  runner: DeviceRunner,
  model: LoadableModel,
  answers: ReadonlyMap<string, Float32Array>,
): Promise<Seen> {
  const { id } = model;
  const { loadMs } = await runner.load(model);
  let worst = 0;
  const times: string[] = [];
  for (const rows of ROWS) {
    const first = await runner.run(id, inputOf(id, rows));
    const again = await runner.run(id, inputOf(id, rows));
    worst = Math.max(worst, differenceOf(numbersOf(first.outputs), answers.get(`${id} ${rows}`)!));
    times.push(`${rows}: first ${first.runMs.toFixed(1)}, then ${again.runMs.toFixed(1)} ms`);
  }
  return {
    passed: worst < TOLERANCE,
    saw: `load ${Math.round(loadMs)} ms, runs by rows ${times.join('; ')}, largest difference ${worst.toExponential(1)}`,
  };
}

async function cycle(runner: DeviceRunner, models: readonly LoadableModel[], notices: string[]): Promise<Seen> {
  const full = await runner.measure();
  for (const { id } of models) await runner.evict(id);
  const before = await runner.measure();
  for (let i = 0; i < CYCLES; i++) {
    const each = models[i % models.length]!;
    await runner.load(each);
    await runner.run(each.id, inputOf(each.id, 1));
    await runner.evict(each.id);
  }
  const after = await runner.measure();
  const own = full.deviceFreeBytes !== null && before.deviceFreeBytes !== null && after.deviceFreeBytes !== null;
  const kept = own ? before.deviceFreeBytes! - after.deviceFreeBytes! : after.processRssBytes - before.processRssBytes;
  const freed = own ? before.deviceFreeBytes! - full.deviceFreeBytes! : full.processRssBytes - before.processRssBytes;
  const what = own ? 'device' : 'process';
  return {
    passed: kept < LITTLE_BYTES && (!own || freed > 0) && notices.length === 0,
    saw: `evicting both freed ${formatSize(Math.max(0, freed))} of ${what} memory, ${formatSize(Math.max(0, kept))} more in use after the cycles${notices.map((text) => `; ${text}`).join('')}`,
  };
}
