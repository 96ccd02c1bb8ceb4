// Instances of resident models, and runs side by side in them: made when the core asks for them, given up when it needs their
// memory. Whatever goes wrong with a run in an instance, the request runs by itself afterwards.

import { type GpufaasError, toGpufaasError } from '../errors.ts';
import type { SchedulerAction, SchedulerEvent } from '../scheduling/types.ts';
import type { Runner } from '../workers/types.ts';
import { type BatchAnswer, runAlone } from './batching.ts';
import type { DispatcherEvent } from './dispatcher-events.ts';
import type { Pending } from './pending.ts';

/** The instances of one model on one device, from the order to make them until they are given up. */
export interface Instances {
  readonly count: number;
  ready: boolean;
  /** Runs that were handed to them and have not ended. */
  readonly runs: Set<Promise<unknown>>;
}

/** A device with what is loaded on it. */
interface Holder {
  readonly device: { readonly id: string };
  readonly runner: Pick<Runner, 'widen' | 'narrow'>;
  readonly loads: ReadonlyMap<string, { instances: Instances | null }>;
  /** Ends when instances that were given up have gone: a load in their place waits for it. */
  narrowing: Promise<unknown> | null;
}

type Action<T extends SchedulerAction['type']> = Extract<SchedulerAction, { type: T }>;

/** Makes instances in the background, and tells when they are there or can't be had. */
export function widen(
  holder: Holder,
  { model, instances: count }: Action<'widen'>,
  apply: (event: SchedulerEvent) => void,
  emit: (event: DispatcherEvent) => void,
): void {
  const load = holder.loads.get(model);
  if (load === undefined) return;
  const instances: Instances = { count, ready: false, runs: new Set() };
  load.instances = instances;
  const device = holder.device.id;
  const ended = (error: GpufaasError | null): void => {
    // Given up meanwhile, or gone with the worker.
    if (holder.loads.get(model) !== load || load.instances !== instances) return;
    instances.ready = error === null;
    if (error !== null) load.instances = null;
    emit({ type: 'instances', device, model, instances: count, error });
    apply({ type: 'widened', device, model, ready: instances.ready });
  };
  holder.runner.widen(model, count).then(
    () => ended(null),
    (thrown: unknown) => {
      const error = toGpufaasError(thrown);
      // The death of the worker takes the copy along.
      if (error.code !== 'WORKER_DIED') ended(error);
    },
  );
}

/** Gives instances up, after the runs that they have; resolves when they have gone. */
export async function narrow(holder: Holder, { model }: Action<'narrow'>): Promise<void> {
  const load = holder.loads.get(model);
  const instances = load?.instances;
  if (load === undefined || instances == null) return;
  load.instances = null;
  const narrowing = Promise.allSettled([holder.narrowing, ...instances.runs])
    .then(() => holder.runner.narrow(model))
    // The worker died, and they with it.
    .catch(() => undefined)
    .then(() => {
      if (holder.narrowing === narrowing) holder.narrowing = null;
    });
  holder.narrowing = narrowing;
  await narrowing;
}

/**
 * Runs requests at once, each in an instance of its own; answers in their order. One that fails, or finds no instance, runs by
 * itself after the others. Throws WORKER_DIED alone.
 */
export async function runSideBySide(
  runner: Pick<Runner, 'run'>,
  model: string,
  members: readonly Pick<Pending, 'request'>[],
  instances: Instances | null,
): Promise<BatchAnswer[]> {
  const together = instances?.ready === true ? members.slice(0, instances.count) : [];
  const runs = together.map(({ request }, index) => inInstance(runner, model, request, index, instances!));
  const answers = await Promise.all(runs);
  const all: BatchAnswer[] = [];
  for (const [index, { request }] of members.entries()) {
    all.push(answers[index] ?? (await runAlone(runner, model, request.inputs)));
  }
  return all;
}

/** null if the run failed for a reason other than the death of the worker. */
async function inInstance(
  runner: Pick<Runner, 'run'>,
  model: string,
  { inputs }: Pending['request'],
  index: number,
  { runs }: Instances,
): Promise<BatchAnswer | null> {
  const run = runner.run(model, inputs, index);
  runs.add(run);
  try {
    return await run;
  } catch (thrown) {
    if (toGpufaasError(thrown).code === 'WORKER_DIED') throw thrown;
    return null;
  } finally {
    runs.delete(run);
  }
}
