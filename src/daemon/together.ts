// Runs of several requests: joined to a batch, or side by side in instances. What they show of the model goes to the core.

import type { SchedulerAction, SchedulerEvent } from '../scheduling/types.ts';
import type { RunResult } from '../workers/types.ts';
import { type BatchAnswer, runBatch } from './batching.ts';
import type { DispatcherEvent } from './dispatcher-events.ts';
import type { Observations } from './observations.ts';
import type { Pending } from './pending.ts';
import { giveUp, runSideBySide } from './side-by-side.ts';
import type { Load, Slot } from './slot.ts';
import { runUnasked } from './unasked-batch.ts';

/** What it works with. */
export interface TogetherParts {
  readonly observations: Observations;
  readonly apply: (event: SchedulerEvent) => void;
  readonly emit: (event: DispatcherEvent) => void;
}

export class Together {
  readonly #observations: Observations;
  readonly #apply: (event: SchedulerEvent) => void;
  readonly #emit: (event: DispatcherEvent) => void;
  /** Batches that nobody asked for, by model, and models that have no more of them. */
  readonly #unasked = new Map<string, number>();
  readonly #differ = new Set<string>();

  constructor({ observations, apply, emit }: TogetherParts) {
    this.#observations = observations;
    this.#apply = apply;
    this.#emit = emit;
  }

  /** The answers in the order of the members; `onAnswer` is told of those that are there before the others. Throws WORKER_DIED alone. */
  async run(
    slot: Slot,
    action: Extract<SchedulerAction, { type: 'run' }>,
    members: readonly Pending[],
    load: Load | undefined,
    onAnswer: (index: number, answer: RunResult) => void,
  ): Promise<readonly BatchAnswer[]> {
    const { model, sideBySide, unasked } = action;
    if (sideBySide === true) return this.#sideBySide(slot, model, members, load, onAnswer);
    return unasked === true ? this.#batch(slot, model, members) : runBatch(slot.runner, model, members);
  }

  batchesDiffer(model: string): boolean {
    return this.#differ.has(model);
  }

  forget(model: string): void {
    this.#unasked.delete(model);
    this.#differ.delete(model);
  }

  async #batch({ runner, device }: Slot, model: string, members: readonly Pending[]): Promise<readonly BatchAnswer[]> {
    const number = this.#unasked.get(model) ?? 0;
    this.#unasked.set(model, number + 1);
    const { answers, fault } = await runUnasked(runner, model, members, number);
    if (fault !== null) {
      this.#differ.add(model);
      this.#emit({ type: 'batches-differ', device: device.id, model, fault });
      this.#apply({ type: 'model-observed', model, batchesDiffer: true });
    }
    return answers;
  }

  async #sideBySide(
    slot: Slot,
    model: string,
    members: readonly Pending[],
    load: Load | undefined,
    onAnswer: (index: number, answer: RunResult) => void,
  ): Promise<readonly BatchAnswer[]> {
    const instances = load?.instances ?? null;
    const { answers, runMs, unfit } = await runSideBySide(slot.runner, model, members, instances, onAnswer);
    if (instances === null || slot.loads.get(model)?.instances !== instances) return answers;
    if (unfit) giveUp(slot, model, this.#apply);
    // The first time is that of sessions which never ran.
    else if (runMs !== null && members.length === instances.count && ++instances.groups > 1) {
      const refined = this.#observations.ranSideBySide(model, runMs);
      if (refined !== null) this.#apply({ type: 'model-observed', model, ...refined });
    }
    return answers;
  }
}
