// A worker that dies of batches which nobody asked for: their requests run alone, and the model is batched no more.

import { expect, it } from 'vitest';
import { ManualClock } from '../../../src/clock.ts';
import { Dispatcher } from '../../../src/daemon/dispatcher.ts';
import type { DispatcherEvent } from '../../../src/daemon/dispatcher-events.ts';
import type { InferenceRequest } from '../../../src/daemon/pending.ts';
import type { Device } from '../../../src/devices/types.ts';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import { FakeRunner } from '../../helpers/fake-runner.ts';

const never = new AbortController().signal;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function request(value: number): InferenceRequest {
  const data = Uint8Array.of(value);
  const inputs = [{ name: 'x', datatype: 'UINT8' as const, shape: [1], data }];
  return { model: 'a', inputs, arrivedAtMs: 0, bytes: 1, rows: 1, priority: 0, admitted: false };
}

function setUp() {
  const events: DispatcherEvent[] = [];
  const dispatcher = new Dispatcher(createScheduler({ policy: 'locality' }), new ManualClock(), (event) =>
    events.push(event),
  );
  const device: Device = {
    id: 'cpu:0',
    kind: 'cpu',
    index: 0,
    name: 'test',
    memoryBytes: 2e9,
    threads: 1,
    overlap: true,
  };
  const runner = new FakeRunner(device.id);
  dispatcher.addDevice(device, runner);
  dispatcher.deviceReady(device.id);
  dispatcher.addModel(
    { id: 'a', path: '', prepared: false, inputs: [], outputs: [] },
    {
      id: 'a',
      memoryBytes: 1e6,
      loadMs: 100,
      runMs: 10,
      batching: { maxSize: 8, maxDelayMs: 0, unasked: true, runMsByRows: [10, 11, 12, 13, 14, 15, 16, 17] },
    },
  );
  /** So many calls at once, on a worker that dies of `deaths` batches and of no single run; gives how they end. */
  const calls = async (count: number, deaths: number): Promise<readonly unknown[]> => {
    const answers = Array.from({ length: count }, (_, value) =>
      dispatcher.infer(request(value), never).then(
        () => 'answered',
        (error: unknown) => error,
      ),
    );
    for (let step = 0; step < 40; step++) {
      await settle();
      const rows = runner.runs[0]?.inputs[0]?.shape[0];
      if (rows === undefined) {
        if (runner.loads.length > 0) runner.finishLoad();
      } else if (rows > 1 && deaths > 0) {
        deaths--;
        runner.die();
        dispatcher.deviceLost('cpu:0', 'signal SIGKILL');
        dispatcher.deviceReady('cpu:0');
      } else runner.finishRun();
    }
    return Promise.all(answers);
  };
  const told = (type: DispatcherEvent['type']): DispatcherEvent[] => events.filter((event) => event.type === type);
  return { dispatcher, calls, told };
}

it('one death costs no call and no quarantine: they are tried again alone', async () => {
  const { dispatcher, calls, told } = setUp();
  expect(await calls(4, 1)).toEqual(Array(4).fill('answered'));
  expect(told('quarantine')).toEqual([]);
  expect(told('batches-differ')).toEqual([]);
  expect(dispatcher.batchesDiffer('a')).toBe(false);
});

it('a second one ends its batches, and it serves on', async () => {
  const { dispatcher, calls, told } = setUp();
  await calls(4, 1);
  expect(await calls(4, 1)).toEqual(Array(4).fill('answered'));
  expect(told('quarantine')).toEqual([]);
  expect(told('batches-differ')).toEqual([
    { type: 'batches-differ', device: 'cpu:0', model: 'a', fault: 'the worker died of it twice' },
  ]);
  expect(dispatcher.batchesDiffer('a')).toBe(true);
  // It would die of any further batch.
  expect(await calls(8, Infinity)).toEqual(Array(8).fill('answered'));
  // Removed and deployed again, it is the same model.
  dispatcher.removeModel('a');
  expect(dispatcher.batchesDiffer('a')).toBe(true);
});
