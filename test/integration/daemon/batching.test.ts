import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { Dispatcher } from '../../../src/daemon/dispatcher.ts';
import type { InferenceRequest } from '../../../src/daemon/pending.ts';
import { inspectOnnx } from '../../../src/onnx/inspect.ts';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import type { Tensor } from '../../../src/tensors.ts';
import type { Runner } from '../../../src/workers/types.ts';
import { tinyModel } from '../../helpers/models.ts';
import { cpuDevice, floats, numbersOf, workerTests } from '../../helpers/workers.ts';

const { watch, folder } = workerTests();
const never = new AbortController().signal;
const model = tinyModel(3);

function request(inputs: readonly Tensor[], rows = 1): InferenceRequest {
  return { model: 'tiny', inputs, arrivedAtMs: systemClock.now(), bytes: 16, rows, priority: 0, admitted: false };
}
const rowOf = (index: number): number[] => [index / 10, -1, 1, 0.5];

/** A dispatcher with one worker; `ran` collects the rows of each run. */
async function scene() {
  const path = join(folder(), 'tiny.onnx');
  writeFileSync(path, model.bytes);
  const { runner } = watch(cpuDevice());
  await runner.start();
  const ran: (number | undefined)[] = [];
  const counted: Runner = {
    device: runner.device,
    state: 'ready',
    pid: runner.pid,
    start: () => Promise.resolve(),
    stop: (force) => runner.stop(force),
    measure: () => runner.measure(),
    evict: (id) => runner.evict(id),
    widen: (loadable) => runner.widen(loadable),
    narrow: (id) => runner.narrow(id),
    load: (loadable) => runner.load(loadable),
    run: (id, inputs) => {
      ran.push(inputs[0]?.shape[0]);
      return runner.run(id, inputs);
    },
  };
  const dispatcher = new Dispatcher(createScheduler({ policy: 'locality' }), systemClock, () => undefined);
  dispatcher.addDevice(cpuDevice(), counted);
  dispatcher.deviceReady('cpu:0');
  dispatcher.addModel(
    { id: 'tiny', path, prepared: false, ...inspectOnnx(path) },
    {
      id: 'tiny',
      memoryBytes: 1e6,
      loadMs: 20,
      runMs: 5,
      batching: { maxSize: 8, maxDelayMs: 5, runMsByRows: [5, 5, 6] },
    },
  );
  return { dispatcher, ran };
}

it('requests that wait for one model run together and get the answers of single runs', async () => {
  const { dispatcher, ran } = await scene();
  const answers = await Promise.all(
    Array.from({ length: 24 }, (_, index) => dispatcher.infer(request([floats('input', [1, 4], rowOf(index))]), never)),
  );
  for (const [index, { outputs }] of answers.entries()) {
    expect(outputs[0]!.shape).toEqual([1, 3]);
    const expected = model.answer(rowOf(index));
    for (const [column, value] of numbersOf(outputs[0]).entries()) expect(value).toBeCloseTo(expected[column]!, 5);
  }
  expect(Math.max(...ran.map(Number))).toBe(8);
  expect(ran.length).toBeLessThan(12);
});

it('a bad request among good ones spoils nobody', async () => {
  const { dispatcher } = await scene();
  const bad: Readonly<Record<number, readonly Tensor[]>> = {
    2: [floats('inptu', [1, 4], rowOf(2))],
    5: [floats('input', [1, 5], [1, 2, 3, 4, 5])],
    6: [floats('input', [1, 4], [1, 2])],
    9: [],
  };
  const outcomes = await Promise.allSettled(
    Array.from({ length: 16 }, (_, index) =>
      dispatcher.infer(
        request(
          bad[index] ?? [
            floats('input', [index === 11 ? 2 : 1, 4], index === 11 ? [...rowOf(1), ...rowOf(2)] : rowOf(index)),
          ],
          index === 11 ? 2 : 1,
        ),
        never,
      ),
    ),
  );
  const refused = outcomes.flatMap((outcome, index) =>
    outcome.status === 'rejected' ? [[index, outcome.reason.code]] : [],
  );
  expect(refused).toEqual(Object.keys(bad).map((index) => [Number(index), 'BAD_TENSOR']));
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === 'rejected') continue;
    const expected = index === 11 ? [...model.answer(rowOf(1)), ...model.answer(rowOf(2))] : model.answer(rowOf(index));
    for (const [column, value] of numbersOf(outcome.value.outputs[0]).entries()) {
      expect(value).toBeCloseTo(expected[column]!, 5);
    }
  }
});
