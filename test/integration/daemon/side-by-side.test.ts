// Runs side by side on a real worker: right answers, room given back, and a worker that dies in the middle.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { Dispatcher } from '../../../src/daemon/dispatcher.ts';
import type { InferenceRequest } from '../../../src/daemon/pending.ts';
import { inspectOnnx } from '../../../src/onnx/inspect.ts';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import { createRunner, type DeviceRunner } from '../../../src/workers/runner.ts';
import { tinyModel } from '../../helpers/models.ts';
import { cpuDevice, floats, numbersOf, workerTests } from '../../helpers/workers.ts';

const { folder } = workerTests();
const never = new AbortController().signal;
const CLIENTS = 16;

/** A dispatcher with one device of two cores and 100 MB; models of 10 MB, by the books, whose answers are known. */
async function scene() {
  const dispatcher = new Dispatcher(createScheduler({ policy: 'locality' }), systemClock, () => undefined);
  const device = cpuDevice({ threads: 2, memoryBytes: 100e6 });
  const runner: DeviceRunner = createRunner(
    device,
    { backoffMs: [0] },
    {
      onReady: () => dispatcher.deviceReady(device.id),
      onLost: (reason, _final, culprit) => dispatcher.deviceLost(device.id, reason, culprit),
      onNotice: () => undefined,
    },
  );
  dispatcher.addDevice(device, runner);
  await runner.start();
  const model = tinyModel(3);
  const addModel = (id: string, memoryBytes: number): void => {
    const path = join(folder(), `${id}.onnx`);
    writeFileSync(path, model.bytes);
    dispatcher.addModel({ id, path, prepared: false, ...inspectOnnx(path) }, { id, memoryBytes, loadMs: 20, runMs: 5 });
  };
  addModel('tiny', 10e6);
  const ask = async (id: string, value: number): Promise<void> => {
    const row = [value, -1, 1, 0.5];
    const request: InferenceRequest = {
      model: id,
      inputs: [floats('input', [1, 4], row)],
      arrivedAtMs: systemClock.now(),
      bytes: 16,
      rows: 1,
      priority: 0,
      admitted: false,
    };
    const { outputs } = await dispatcher.infer(request, never);
    const expected = model.answer(row);
    for (const [column, got] of numbersOf(outputs[0]).entries()) expect(got).toBeCloseTo(expected[column]!, 5);
  };
  /** Sixteen that ask one after the other, `calls` times in all, or until `over` says so. */
  const crowd = async (calls: number, over = (): boolean => false): Promise<number> => {
    let begun = 0;
    const client = async (): Promise<void> => {
      while (begun < calls && !over()) await ask('tiny', (begun++ % 100) / 10);
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    return begun;
  };
  const resident = (id: string) => dispatcher.view().devices[0]?.resident.find(({ model: each }) => each === id);
  const end = (): Promise<void> => dispatcher.close(true);
  return { dispatcher, runner, addModel, ask, crowd, resident, end };
}

it('answers a crowd rightly in instances, and gives them up for another model', async () => {
  const { crowd, resident, addModel, ask, end, dispatcher } = await scene();
  const begun = await crowd(50_000, () => resident('tiny')?.instances === 2);
  expect(begun).toBeLessThan(50_000);
  await crowd(500);
  expect(resident('tiny')).toMatchObject({ bytes: 30e6, instances: 2 });
  addModel('large', 85e6);
  await Promise.all([ask('large', 3), crowd(200)]);
  expect(resident('tiny')).toMatchObject({ bytes: 10e6, instances: 0 });
  expect(dispatcher.view().devices[0]!.usedBytes).toBe(95e6);
  await end();
});

it('answers everything although the worker is killed in the middle, again and again', async () => {
  const { crowd, resident, runner, end } = await scene();
  for (let round = 0; round < 3; round++) {
    await crowd(50_000, () => resident('tiny')?.instances === 2);
    const rest = crowd(400);
    process.kill(runner.pid!, 'SIGKILL');
    await rest;
    expect(resident('tiny')).toBeDefined();
  }
  await end();
});
