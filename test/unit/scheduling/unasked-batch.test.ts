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
  apply({ type: 'device-added', device: { id: 'cpu:0', memoryBytes: 100, overlap: true, instances: 2 } });
  apply({ type: 'load-requested', model: 'a' });
  decide();
  apply({ type: 'load-finished', device: 'cpu:0', model: 'a' });
  const run = (waiting: number): Extract<SchedulerAction, { type: 'run' }> => {
    while (core.view().queuedRequests < waiting) {
      apply({ type: 'submitted', request: { id: next++, model: 'a', arrivedAtMs: nowMs, bytes: 1 } });
    }
    const begun = decide().find((action) => action.type === 'run')!;
    nowMs += 10;
    apply({ type: 'run-finished', device: 'cpu:0', run: begun.run });
    return begun;
  };
  return { apply, actions, run };
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

it('once the answers differed there are no more of them, but runs side by side', () => {
  const { run, apply, actions } = scene(modelOf(UNASKED));
  run(8);
  apply({ type: 'model-observed', model: 'a', batchesDiffer: true });
  for (let i = 0; i < 30; i++) expect(run(8).requests).toHaveLength(1);
  expect(isWidened(actions)).toBe(true);
  // Told again of the same model, as with each deployment: what was seen of it holds.
  apply({ type: 'model-added', model: modelOf(UNASKED) });
  expect(run(8).requests).toHaveLength(1);
  // Unless somebody asks for batches.
  apply({ type: 'model-added', model: modelOf({ ...UNASKED, unasked: false }) });
  expect(run(8).requests).toHaveLength(8);
});
