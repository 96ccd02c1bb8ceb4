import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import type { DispatcherEvent } from '../../../src/daemon/dispatcher-events.ts';
import { Dispatcher } from '../../../src/daemon/dispatcher.ts';
import type { InferenceRequest } from '../../../src/daemon/pending.ts';
import { inspectOnnx } from '../../../src/onnx/inspect.ts';
import { OnnxModel } from '../../../src/onnx/write.ts';
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
async function scene({ bytes = model.bytes, unasked = false } = {}) {
  const path = join(folder(), 'tiny.onnx');
  writeFileSync(path, bytes);
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
  const events: DispatcherEvent[] = [];
  const dispatcher = new Dispatcher(createScheduler({ policy: 'locality' }), systemClock, (event) =>
    events.push(event),
  );
  dispatcher.addDevice(cpuDevice(), counted);
  dispatcher.deviceReady('cpu:0');
  dispatcher.addModel(
    { id: 'tiny', path, prepared: false, ...inspectOnnx(path) },
    {
      id: 'tiny',
      memoryBytes: 1e6,
      loadMs: 20,
      runMs: 5,
      batching: { maxSize: 8, maxDelayMs: 5, runMsByRows: [5, 5, 6], unasked },
    },
  );
  return { dispatcher, ran, events };
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

it('a model that mixes rows is found out in its first batch, and nobody gets an answer of it', async () => {
  const mixes = new OnnxModel({ name: 'mixes' })
    .input('input', 'FP32', ['batch', 4])
    .output('output', 'FP32', ['batch', 4])
    .node('ReduceMean', ['input'], ['mean'], { axes: { ints: [0] } })
    .node('Add', ['input', 'mean'], ['output']);
  const { dispatcher, ran, events } = await scene({ bytes: mixes.encode(), unasked: true });
  const ask = async (count: number): Promise<void> => {
    const answers = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        dispatcher.infer(request([floats('input', [1, 4], rowOf(index))]), never),
      ),
    );
    for (const [index, { outputs, together }] of answers.entries()) {
      expect(numbersOf(outputs[0])).toEqual(Array.from(Float32Array.from(rowOf(index)), (value) => value + value));
      expect(together).toBe(1);
    }
  };
  await ask(24);
  expect(events).toContainEqual({
    type: 'batches-differ',
    device: 'cpu:0',
    model: 'tiny',
    fault: 'the answers differ',
  });
  expect(dispatcher.batchesDiffer('tiny')).toBe(true);
  const joint = (): number => ran.filter((rows) => rows! > 1).length;
  const before = joint();
  await ask(24);
  expect(joint()).toBe(before);
  expect(events.filter(({ type }) => type === 'batches-differ')).toHaveLength(1);
});
