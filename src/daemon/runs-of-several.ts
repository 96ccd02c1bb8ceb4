// Runs of several requests: joined to a batch, or side by side in instances. What they show of the model goes to the core.

import type { SchedulerAction, SchedulerEvent } from '../scheduling/types.ts';
import type { RunResult } from '../workers/types.ts';
import { type BatchAnswer, runBatch } from './batching.ts';
import type { DispatcherEvent } from './dispatcher-events.ts';
import type { Observations } from './observations.ts';
import type { Pending } from './pending.ts';
import { giveUp, runSideBySide } from './side-by-side.ts';
import type { Load, Slot } from './slot.ts';
import { type BatchFault, runUnasked } from './unasked-batch.ts';

/** What it works with. */
export interface SeveralParts {
  readonly observations: Observations;
  readonly apply: (event: SchedulerEvent) => void;
  readonly emit: (event: DispatcherEvent) => void;
}

/** Deaths of a worker in batches of a model that are one too many, unless so many batches went well between. */
const DEATHS = 2;
const BLAMELESS = 1_000;

export class RunsOfSeveral {
  readonly #observations: Observations;
  readonly #apply: (event: SchedulerEvent) => void;
  readonly #emit: (event: DispatcherEvent) => void;
  /** Batches that nobody asked for, by model; of how many the worker died. */
  readonly #unasked = new Map<string, number>();
  readonly #deaths = new Map<string, number>();
  /** Models that have no more of them while the daemon lives, deployed anew or not. */
  readonly #differ = new Set<string>();

  constructor({ observations, apply, emit }: SeveralParts) {
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
    return unasked === true ? this.#batch(slot, model, members) : (await runBatch(slot.runner, model, members)).answers;
  }

  batchesDiffer(model: string): boolean {
    return this.#differ.has(model);
  }

  /** The worker died in the midst of a batch that nobody asked for; its requests are tried again alone. */
  died(device: string, model: string): void {
    const deaths = (this.#deaths.get(model) ?? 0) + 1;
    this.#deaths.set(model, deaths);
    if (deaths >= DEATHS) this.#giveUp(device, model, 'the worker died of it twice');
  }

  forget(model: string): void {
    this.#unasked.delete(model);
    this.#deaths.delete(model);
  }

  async #batch({ runner, device }: Slot, model: string, members: readonly Pending[]): Promise<readonly BatchAnswer[]> {
    const number = this.#unasked.get(model) ?? 0;
    this.#unasked.set(model, number + 1);
    if (number % BLAMELESS === 0) this.#deaths.delete(model);
    const { answers, fault } = await runUnasked(runner, model, members, number);
    if (fault !== null) this.#giveUp(device.id, model, fault);
    return answers;
  }

  #giveUp(device: string, model: string, fault: BatchFault): void {
    if (this.#differ.has(model)) return;
    this.#differ.add(model);
    this.#emit({ type: 'batches-differ', device, model, fault });
    this.#apply({ type: 'model-observed', model, batchesDiffer: true });
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
