// locality and instances: when they are made, when runs go side by side in them, when they are given up.

import { expect, it } from 'vitest';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import type { DeviceSpec, ModelSpec, SchedulerAction } from '../../../src/scheduling/types.ts';

const MODEL: ModelSpec = { id: 'a', memoryBytes: 10, loadMs: 5, runMs: 10 };
const OTHER: ModelSpec = { id: 'b', memoryBytes: 40, loadMs: 5, runMs: 10 };

const deviceOf = (memoryBytes: number, instances = 2): DeviceSpec => ({
  id: 'cpu:0',
  memoryBytes,
  overlap: true,
  instances,
});

/** One device with two cores, or so many, that holds `a`, under a policy. */
function scene(memoryBytes: number, { policy = 'locality', model = MODEL, instances = 2 } = {}) {
  const core = createScheduler({ policy });
  let nowMs = 0;
  let next = 0;
  const actions: SchedulerAction[] = [];
  const decide = (): readonly SchedulerAction[] => {
    const decided = core.decide(nowMs);
    actions.push(...decided);
    return decided;
  };
  const submit = (id: string, rows: number): void => {
    const request = { id: next++, model: id, arrivedAtMs: nowMs, bytes: 1, rows };
    core.apply(nowMs, { type: 'submitted', request });
  };
  const load = (): void => {
    core.apply(nowMs, { type: 'load-requested', model: 'a' });
    decide();
    core.apply(nowMs, { type: 'load-finished', device: 'cpu:0', model: 'a' });
  };
  const end = (decided: readonly SchedulerAction[]): void => {
    nowMs += 10;
    for (const action of decided) {
      if (action.type === 'run') core.apply(nowMs, { type: 'run-finished', device: 'cpu:0', run: action.run });
    }
  };
  for (const spec of [model, OTHER]) core.apply(0, { type: 'model-added', model: spec });
  core.apply(0, { type: 'device-added', device: deviceOf(memoryBytes, instances) });
  load();
  return {
    core,
    actions,
    load,
    /** So many times: the queue is filled up to `waiting`, and the run that follows takes 10 ms; gives the sizes of the runs. */
    run: (times: number, waiting: number, rows = (_index: number): number => 1): number[] => {
      const sizes: number[] = [];
      for (let i = 0; i < times; i++) {
        while (core.view().queuedRequests < waiting) submit('a', rows(next));
        const decided = decide();
        const run = decided.find((action) => action.type === 'run')!;
        sizes.push(run.requests.length);
        expect(run.sideBySide ?? false).toBe(run.requests.length > 1);
        end(decided);
      }
      return sizes;
    },
    clearQueue: () => {
      for (let id = 0; id < next; id++) core.apply(nowMs, { type: 'cancelled', request: id });
      // So that a first request of one row is the next one.
      next = Math.ceil(next / 3) * 3;
    },
    /** `b` is asked for, loaded, run and unloaded again; gives what was decided at its arrival. */
    needMemory: (): readonly SchedulerAction[] => {
      submit('b', 1);
      const decided = decide();
      core.apply(nowMs, { type: 'load-finished', device: 'cpu:0', model: 'b' });
      end(decided);
      end(decide());
      core.apply(nowMs, { type: 'unload-requested', model: 'b' });
      end(decide());
      return decided;
    },
    widened: (ready = true) => core.apply(nowMs, { type: 'widened', device: 'cpu:0', model: 'a', ready }),
    observe: (sideBySideMs: number) => core.apply(nowMs, { type: 'model-observed', model: 'a', sideBySideMs }),
    resident: () => core.view().devices[0]!.resident.find(({ model: id }) => id === 'a'),
  };
}

const kinds = (actions: readonly SchedulerAction[]): string[] => actions.map(({ type }) => type);

it('asks for instances once the queue stayed long, and runs side by side when they are there', () => {
  const { actions, run, widened, resident, core } = scene(100);
  expect(run(19, 8)).toEqual(Array.from({ length: 19 }, () => 1));
  expect(kinds(actions)).not.toContain('widen');
  run(1, 8);
  expect(actions.at(-1)).toEqual({ type: 'widen', device: 'cpu:0', model: 'a', instances: 2 });
  expect(resident()).toMatchObject({ bytes: 30, instances: 2 });
  expect(core.view().devices[0]!.usedBytes).toBe(30);
  // They are still being made.
  expect(run(3, 8)).toEqual([1, 1, 1]);
  widened();
  expect(run(3, 8)).toEqual([2, 2, 2]);
});

it('asks for none where the queue is short, for a model that is batched, or under another policy', () => {
  const short = scene(100);
  short.run(100, 3);
  const batched = scene(100, { model: { ...MODEL, batching: { maxSize: 1, maxDelayMs: 0 } } });
  batched.run(100, 8);
  const other = scene(100, { policy: 'lalbo3' });
  other.run(100, 8);
  for (const { actions } of [short, batched, other]) expect(kinds(actions)).not.toContain('widen');
});

it('asks for none that free memory does not hold', () => {
  const { actions, run } = scene(29);
  run(100, 8);
  expect(kinds(actions)).not.toContain('widen');
});

it('goes on as before when they can not be made', () => {
  const { actions, run, widened, resident } = scene(100);
  run(20, 8);
  widened(false);
  expect(resident()).toMatchObject({ bytes: 10, instances: 0 });
  const asked = (): number => kinds(actions).filter((kind) => kind === 'widen').length;
  expect(run(500, 8).every((size) => size === 1)).toBe(true);
  expect(asked()).toBe(1);
  run(6000, 8);
  expect(asked()).toBe(2);
});

it('runs side by side while that ends the queue sooner, and alone otherwise', () => {
  const { run, widened, observe } = scene(100);
  run(20, 8);
  widened();
  // Eight that wait 10 ms each one after the other wait less in all than four pairs of 20 ms.
  observe(20);
  expect(run(3, 8)).toEqual([1, 1, 1]);
  observe(16);
  expect(run(3, 8)).toEqual([2, 2, 2]);
  // Two would wait 10 and 20 ms one after the other.
  expect(run(3, 2).slice(-1)).toEqual([1]);
  expect(run(3, 1).slice(-1)).toEqual([1]);
});

it('tries now and then the way that seems worse', () => {
  const { core, run, widened, observe } = scene(100);
  run(20, 8);
  widened();
  observe(100);
  expect(run(400, 8).filter((size) => size === 2)).toHaveLength(2);
  core.apply(10_000, { type: 'model-observed', model: 'a', runMs: 1_000 });
  expect(run(400, 8).filter((size) => size === 1)).toHaveLength(2);
});

it('takes two requests before one of several rows for two, however many wait behind', () => {
  const { run, widened, observe, clearQueue } = scene(1_000, { instances: 8 });
  run(20, 24);
  widened();
  observe(40);
  expect(run(1, 16)).toEqual([8]);
  clearQueue();
  expect(run(9, 16, (index) => (index % 3 === 2 ? 4 : 1))).toEqual(Array.from({ length: 9 }, () => 1));
});

it('asks for instances again after what once was slow side by side has gone', () => {
  const { actions, run, widened, observe, needMemory } = scene(60);
  run(20, 8);
  widened();
  observe(1_000);
  needMemory();
  const widenings = (): number => kinds(actions).filter((kind) => kind === 'widen').length;
  expect(widenings()).toBe(1);
  run(400, 8);
  expect(widenings()).toBe(2);
});

it('gives instances up when requests of the model are to be joined', () => {
  const { core, actions, run, widened, resident } = scene(100);
  run(20, 8);
  widened();
  core.apply(1_000, { type: 'model-added', model: { ...MODEL, batching: { maxSize: 1, maxDelayMs: 0 } } });
  run(1, 8);
  expect(kinds(actions)).toContain('narrow');
  expect(resident()).toMatchObject({ bytes: 10, instances: 0 });
});

it('asks for none for a long time after a device was lost while they were made', () => {
  const { core, actions, run, load } = scene(100);
  run(20, 8);
  core.apply(1_000, { type: 'device-lost', device: 'cpu:0' });
  core.apply(1_000, { type: 'device-added', device: deviceOf(100) });
  load();
  run(1_000, 8);
  expect(kinds(actions).filter((kind) => kind === 'widen')).toHaveLength(1);
});

it('asks for none while memory of the device is lent', () => {
  const { core, actions, run } = scene(100);
  run(15, 8);
  core.apply(1_000, { type: 'reserve', reservation: 'r', device: 'cpu:0', bytes: 20 });
  run(100, 8);
  expect(kinds(actions)).not.toContain('widen');
  core.apply(5_000, { type: 'unreserve', reservation: 'r' });
  run(30, 8);
  expect(kinds(actions)).toContain('widen');
});

it('gives instances up before a load that needs their memory, and evicts nothing for it', () => {
  const { run, widened, needMemory, resident } = scene(60);
  run(20, 8);
  widened();
  run(2, 8);
  const decided = kinds(needMemory());
  expect(decided).toContain('narrow');
  expect(decided).toContain('load');
  expect(decided.indexOf('narrow')).toBeLessThan(decided.indexOf('load'));
  expect(decided).not.toContain('evict');
  expect(resident()).toMatchObject({ bytes: 10, instances: 0 });
  expect(run(3, 8)).toEqual([1, 1, 1]);
});
