// locality and instances: when they are made, when runs go side by side in them, when they are given up.

import { expect, it } from 'vitest';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import type { ModelSpec, SchedulerAction } from '../../../src/scheduling/types.ts';

const MODEL: ModelSpec = { id: 'a', memoryBytes: 10, loadMs: 5, runMs: 10 };
const OTHER: ModelSpec = { id: 'b', memoryBytes: 40, loadMs: 5, runMs: 10 };

/** One device with two cores that holds `a`, under a policy; `run` carries out runs one by one while `waiting` requests wait. */
function scene(memoryBytes: number, { policy = 'locality', model = MODEL } = {}) {
  const core = createScheduler({ policy });
  let nowMs = 0;
  let next = 0;
  const actions: SchedulerAction[] = [];
  const decide = (): readonly SchedulerAction[] => {
    const decided = core.decide(nowMs);
    actions.push(...decided);
    return decided;
  };
  const submit = (count: number, id = 'a'): void => {
    for (let i = 0; i < count; i++) {
      core.apply(nowMs, { type: 'submitted', request: { id: next++, model: id, arrivedAtMs: nowMs, bytes: 1 } });
    }
  };
  for (const spec of [model, OTHER]) core.apply(0, { type: 'model-added', model: spec });
  core.apply(0, { type: 'device-added', device: { id: 'cpu:0', memoryBytes, overlap: true, instances: 2 } });
  core.apply(0, { type: 'load-requested', model: 'a' });
  decide();
  core.apply(0, { type: 'load-finished', device: 'cpu:0', model: 'a' });
  decide();
  return {
    core,
    actions,
    decide,
    submit,
    /** So many times: the queue is filled up to `waiting`, and the run that follows takes 10 ms; gives the sizes of the runs. */
    run: (times: number, waiting: number): number[] => {
      const sizes: number[] = [];
      for (let i = 0; i < times; i++) {
        submit(Math.max(0, waiting - core.view().queuedRequests));
        const run = decide().find((action) => action.type === 'run')!;
        sizes.push(run.requests.length);
        expect(run.sideBySide ?? false).toBe(run.requests.length > 1);
        nowMs += 10;
        core.apply(nowMs, { type: 'run-finished', device: 'cpu:0', run: run.run });
      }
      return sizes;
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

it('tries now and then whether it has become better', () => {
  const { run, widened, observe } = scene(100);
  run(20, 8);
  widened();
  observe(100);
  expect(run(400, 8).filter((size) => size === 2)).toHaveLength(2);
});

it('gives instances up before a load that needs their memory, and evicts nothing for it', () => {
  const { core, actions, run, widened, decide, submit, resident } = scene(60);
  run(20, 8);
  widened();
  run(2, 8);
  const before = actions.length;
  submit(1, 'b');
  const begun = decide().find((action) => action.type === 'run')!;
  const since = kinds(actions.slice(before));
  expect(since).toContain('load');
  expect(since.indexOf('narrow')).toBeLessThan(since.indexOf('load'));
  expect(since).toContain('narrow');
  expect(since).not.toContain('evict');
  expect(resident()).toMatchObject({ bytes: 10, instances: 0 });
  core.apply(1000, { type: 'run-finished', device: 'cpu:0', run: begun.run });
  expect(run(3, 8)).toEqual([1, 1, 1]);
});
