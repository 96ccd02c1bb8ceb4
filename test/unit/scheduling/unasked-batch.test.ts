// Batches that nobody asked for: the core says so with each, and has no more of them once they were seen to differ.

import { expect, it } from 'vitest';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import type { BatchingSpec, ModelSpec, SchedulerAction, SchedulerEvent } from '../../../src/scheduling/types.ts';

const UNASKED: BatchingSpec = {
  maxSize: 8,
  maxDelayMs: 0,
  unasked: true,
  runMsByRows: [10, 11, 12, 13, 14, 15, 16, 17],
};
const modelOf = (batching?: BatchingSpec): ModelSpec => ({
  id: 'a',
  memoryBytes: 10,
  loadMs: 5,
  runMs: 10,
  ...(batching && { batching }),
});

const DEVICE = { id: 'cpu:0', memoryBytes: 100, overlap: true, instances: 2 };
type Run = Extract<SchedulerAction, { type: 'run' }>;

/** One device of two cores that holds the model. `run` fills the queue to `waiting` and gives the run that begins. */
function scene(model: ModelSpec) {
  const core = createScheduler({ policy: 'locality' });
  let nowMs = 0;
  let next = 0;
  const actions: SchedulerAction[] = [];
  const apply = (event: SchedulerEvent): void => core.apply(nowMs, event);
  const decide = (): SchedulerAction[] => {
    const decided = core.decide(nowMs);
    actions.push(...decided);
    return decided;
  };
  apply({ type: 'model-added', model });
  apply({ type: 'device-added', device: DEVICE });
  const load = (): void => {
    apply({ type: 'load-requested', model: 'a' });
    decide();
    apply({ type: 'load-finished', device: 'cpu:0', model: 'a' });
  };
  load();
  const end = (begun: Run): void => apply({ type: 'run-finished', device: 'cpu:0', run: begun.run });
  const run = (waiting: number, how = end): Run => {
    while (core.view().queuedRequests < waiting) {
      apply({ type: 'submitted', request: { id: next++, model: 'a', arrivedAtMs: nowMs, bytes: 1 } });
    }
    const begun = decide().find((action) => action.type === 'run')!;
    nowMs += 10;
    how(begun);
    return begun;
  };
  return { apply, actions, run, load };
}
const isWidened = (actions: readonly SchedulerAction[]): boolean => actions.some(({ type }) => type === 'widen');

it('the run says that nobody asked for it, and one request alone is an ordinary run', () => {
  const { run, actions } = scene(modelOf(UNASKED));
  expect(run(8)).toMatchObject({ requests: { length: 8 }, unasked: true });
  const single = run(1);
  expect(single.requests).toHaveLength(1);
  expect(single).not.toHaveProperty('unasked');
  for (let i = 0; i < 40; i++) expect(run(12)).not.toHaveProperty('sideBySide');
  expect(isWidened(actions)).toBe(false);
});

it('what was asked for says nothing of the kind, and is not ended', () => {
  const { run, apply } = scene(modelOf({ ...UNASKED, unasked: false }));
  apply({ type: 'model-observed', model: 'a', batchesDiffer: true });
  const batch = run(8);
  expect(batch.requests).toHaveLength(8);
  expect(batch).not.toHaveProperty('unasked');
});

it('what a worker died of is tried again alone', () => {
  const { run, apply, load } = scene(modelOf(UNASKED));
  const batch = run(8, () => apply({ type: 'device-lost', device: 'cpu:0' }));
  apply({ type: 'device-added', device: DEVICE });
  load();
  for (const request of batch.requests) expect(run(8).requests).toEqual([request]);
  expect(run(8)).toMatchObject({ requests: { length: 8 }, unasked: true });
});

it('what was learnt of batches survives a deployment that shares the model', () => {
  const { run, apply } = scene(modelOf(UNASKED));
  apply({ type: 'model-observed', model: 'a', runMsByRows: [10, 20, 30, 40, 50, 60, 70, 80] });
  apply({ type: 'model-added', model: modelOf(UNASKED) });
  for (let i = 0; i < 5; i++) expect(run(8).requests).toHaveLength(1);
});

it('a request of no rows is one run, under every policy', () => {
  for (const policy of ['lb', 'lalb', 'lalbo3', 'locality']) {
    const core = createScheduler({ policy });
    core.apply(0, { type: 'model-added', model: modelOf(UNASKED) });
    for (const id of ['cpu:0', 'cpu:1']) core.apply(0, { type: 'device-added', device: { ...DEVICE, id } });
    for (let id = 0; id < 4; id++) {
      const rows = id < 2 ? 0 : 1;
      core.apply(0, {
        type: 'submitted',
        request: { id, model: 'a', arrivedAtMs: 0, bytes: 1, rows, deadlineAtMs: 1_000 },
      });
      const actions = core.decide(0);
      expect(actions.filter(({ type }) => type === 'reject')).toEqual([]);
      for (const action of actions) {
        if (action.type === 'load') core.apply(0, { type: 'load-finished', device: action.device, model: 'a' });
      }
      core.decide(0);
    }
    expect(core.view().devices.some(({ busy }) => busy)).toBe(true);
  }
});

it('once the answers differed there are no more of them, but runs side by side', () => {
  const { run, apply, actions } = scene(modelOf(UNASKED));
  run(8);
  apply({ type: 'model-observed', model: 'a', batchesDiffer: true });
  for (let i = 0; i < 30; i++) expect(run(8).requests).toHaveLength(1);
  expect(isWidened(actions)).toBe(true);
  // Somebody asks for batches.
  apply({ type: 'model-added', model: modelOf({ ...UNASKED, unasked: false }) });
  expect(run(8).requests).toHaveLength(8);
});
