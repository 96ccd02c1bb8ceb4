// Instances of resident models, and runs side by side in them: made when the core asks for them, given up when it needs their
// memory. Whatever goes wrong with a run in an instance, the request runs by itself afterwards.

import type { Device } from '../devices/types.ts';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import type { SchedulerAction, SchedulerEvent } from '../scheduling/types.ts';
import type { LoadableModel, Runner, RunResult } from '../workers/types.ts';
import { type BatchAnswer, runAlone } from './batching.ts';
import type { DispatcherEvent } from './dispatcher-events.ts';
import type { BeforeLoad } from './load-plan.ts';
import type { Pending } from './pending.ts';

/** The instances of one model on one device, from the order to make them until they are given up. */
export interface Instances {
  readonly count: number;
  ready: boolean;
  /** Groups of runs that kept all of them busy. */
  groups: number;
  /** Runs that were handed to them and have not ended. */
  readonly runs: Set<Promise<unknown>>;
}

/** A device with what is loaded on it. */
interface Holder {
  readonly device: Device;
  readonly runner: Pick<Runner, 'widen' | 'narrow'>;
  readonly loads: ReadonlyMap<string, { instances: Instances | null }>;
  /** Ends when instances that were given up have gone: a load in their place waits for it. */
  narrowing: Promise<unknown> | null;
}

type Action<T extends SchedulerAction['type']> = Extract<SchedulerAction, { type: T }>;

/** How its owner is told, and how a model's files are looked at before they are read. */
interface Owner {
  readonly apply: (event: SchedulerEvent) => void;
  readonly emit: (event: DispatcherEvent) => void;
  readonly beforeLoad: BeforeLoad | undefined;
}

/** Makes instances one after the other in the background, and tells when they are all there or can't be had. */
export function widen(
  holder: Holder,
  model: LoadableModel,
  { instances: count }: Action<'widen'>,
  { apply, emit, beforeLoad }: Owner,
): void {
  const load = holder.loads.get(model.id);
  if (load === undefined) return;
  const instances: Instances = { count, ready: false, groups: 0, runs: new Set() };
  load.instances = instances;
  const device = holder.device.id;
  // Not given up meanwhile, nor gone with its model or with the worker.
  const isWanted = (): boolean => holder.loads.get(model.id) === load && load.instances === instances;
  const make = async (): Promise<void> => {
    const plan = await beforeLoad?.(model, holder.device);
    try {
      await holder.narrowing;
      for (let made = 0; made < count && isWanted(); made++) await holder.runner.widen(plan?.model ?? model);
    } finally {
      plan?.ended(null);
    }
  };
  const ended = (error: GpufaasError | null): void => {
    if (!isWanted()) return;
    emit({ type: 'instances', device, model: model.id, instances: count, error });
    if (error === null) {
      instances.ready = true;
      apply({ type: 'widened', device, model: model.id, ready: true });
    } else giveUp(holder, model.id, apply);
  };
  make().then(
    () => ended(null),
    (thrown: unknown) => {
      const error = toGpufaasError(thrown);
      // The death of the worker takes the copy along.
      if (error.code !== 'WORKER_DIED') ended(error);
    },
  );
}

/** Instances that are of no use: they go, and the core is told. */
export function giveUp(holder: Holder, model: string, apply: (event: SchedulerEvent) => void): void {
  void narrow(holder, model);
  apply({ type: 'widened', device: holder.device.id, model, ready: false });
}

/** Gives instances up, after the runs that they have; resolves when they have gone. */
export async function narrow(holder: Holder, model: string): Promise<void> {
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

/** What runs side by side gave. */
export interface Together {
  /** In the order of the requests. */
  readonly answers: BatchAnswer[];
  /** Their mean: who is done first begins the next; null: not all ran in an instance. */
  readonly runMs: number | null;
  /** Some instance failed where the request itself did not. */
  readonly unfit: boolean;
}

/**
 * Runs requests at once, each in an instance of its own. One that fails, or finds no instance, runs by itself after the others.
 * `onAnswer` is told of each that an instance has answered, before the others are there. Throws WORKER_DIED alone.
 */
export async function runSideBySide(
  runner: Pick<Runner, 'run'>,
  model: string,
  members: readonly Pick<Pending, 'request'>[],
  instances: Instances | null,
  onAnswer: (index: number, answer: RunResult) => void,
): Promise<Together> {
  const together = instances?.ready === true ? members.slice(0, instances.count) : [];
  const runs = together.map(async ({ request }, index) => {
    const answer = await inInstance(runner, model, request, index, instances!);
    if (answer !== null) onAnswer(index, answer);
    return answer;
  });
  const inInstances = await Promise.all(runs);
  const answers: BatchAnswer[] = [];
  const times: number[] = [];
  let unfit = false;
  for (const [index, { request }] of members.entries()) {
    const answer = inInstances[index] ?? (await runAlone(runner, model, request.inputs));
    const failed = answer instanceof GpufaasError;
    if (!failed && inInstances[index] != null) times.push(answer.runMs);
    if (!failed && inInstances[index] === null) unfit = true;
    answers.push(answer);
  }
  return {
    answers,
    runMs: times.length === members.length ? times.reduce((a, b) => a + b) / times.length : null,
    unfit,
  };
}

/** null if the run failed for a reason other than the death of the worker. */
async function inInstance(
  runner: Pick<Runner, 'run'>,
  model: string,
  { inputs }: Pending['request'],
  index: number,
  { runs }: Instances,
): Promise<RunResult | null> {
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
