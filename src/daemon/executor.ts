// Carries out what the scheduling core decided: starts loads, evictions and runs on the workers, tells the core what became
// of them, and answers the requests. Knows what is under way on each device.

import type { Clock } from '../clock.ts';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import type { RequestId, SchedulerAction, SchedulerEvent } from '../scheduling/types.ts';
import type { LoadableModel, LoadResult, RunResult } from '../workers/types.ts';
import type { BatchAnswer } from './batching.ts';
import type { DispatcherEvent } from './dispatcher-events.ts';
import { EndsAhead } from './hand-over.ts';
import type { BeforeLoad } from './load-plan.ts';
import type { ModelHealth } from './model-health.ts';
import { type LoadTier, Observations, type Refined } from './observations.ts';
import type { Pending, PendingRequests } from './pending.ts';
import { rejection } from './rejections.ts';
import { resultOf } from './result.ts';
import { RunsOfSeveral } from './runs-of-several.ts';
import { narrow, widen } from './side-by-side.ts';
import type { Load, Slot } from './slot.ts';

type Action<T extends SchedulerAction['type']> = Extract<SchedulerAction, { type: T }>;
type Ran = Exclude<BatchAnswer, GpufaasError>;

/** What the executor works with. */
export interface ExecutorParts {
  readonly clock: Clock;
  readonly pending: PendingRequests;
  readonly health: ModelHealth;
  readonly apply: (event: SchedulerEvent) => void;
  readonly emit: (event: DispatcherEvent) => void;
  readonly beforeLoad?: BeforeLoad | undefined;
}

/** How often a run or load is tried again after its worker died or ran out of memory. */
const RETRIES = 1;

export class Executor {
  readonly slots = new Map<string, Slot>();
  readonly models = new Map<string, LoadableModel>();
  /** Why the last load of a model failed, for whoever asked for it. */
  readonly loadFailures = new Map<string, GpufaasError>();
  /** Under way, each with its device. */
  readonly #evictions = new Map<Promise<unknown>, string>();
  /** When a load or run last ended, well or not. */
  lastNewsAtMs = 0;
  readonly #clock: Clock;
  readonly #pending: PendingRequests;
  readonly #health: ModelHealth;
  readonly #observations = new Observations();
  readonly #several: RunsOfSeveral;
  readonly #ends: EndsAhead;
  readonly #apply: (event: SchedulerEvent) => void;
  readonly #emit: (event: DispatcherEvent) => void;
  readonly #beforeLoad: BeforeLoad | undefined;

  constructor({ clock, pending, health, apply, emit, beforeLoad }: ExecutorParts) {
    this.#clock = clock;
    this.#pending = pending;
    this.#health = health;
    this.#apply = apply;
    this.#emit = emit;
    this.#beforeLoad = beforeLoad;
    this.#several = new RunsOfSeveral({ observations: this.#observations, apply, emit });
    this.#ends = new EndsAhead(clock, () => this.#pending.size > this.#requestsRunning());
  }

  #requestsRunning(): number {
    let requests = 0;
    for (const { runs } of this.slots.values())
      for (const run of runs.values()) requests += this.#pending.count(run.requests);
    return requests;
  }

  /** A request is about to be queued, for the first time or again. */
  requestComes(): void {
    this.#ends.ask();
  }

  slot(id: string): Slot {
    const slot = this.slots.get(id);
    if (slot === undefined) throw new GpufaasError('DEVICE_NOT_FOUND', `There is no device ${id}.`);
    return slot;
  }

  /** Asks a worker for its memory: what `ps` shows beside what is accounted. */
  async measure(slot: Slot): Promise<void> {
    if (slot.runner.state === 'ready') slot.measured = await slot.runner.measure().catch(() => null);
  }

  /** What loads of the model were seen to take; null: none was seen from there. */
  loadMs(model: string, tier: LoadTier): number | null {
    return this.#observations.loadMs(model, tier);
  }

  /** True if batches of the model that nobody asked for were given up. */
  batchesDiffer(model: string): boolean {
    return this.#several.batchesDiffer(model);
  }

  /** The model is used by nobody any more. */
  forget(model: string): void {
    this.models.delete(model);
    this.loadFailures.delete(model);
    this.#observations.forget(model);
    this.#several.forget(model);
  }

  /** Resolves when the evictions under way on the device (null: on any) have ended, well or not. */
  async evictionsOf(device: string | null): Promise<void> {
    const evictions = Array.from(this.#evictions).filter(([, on]) => device === null || on === device);
    await Promise.all(evictions.map(([eviction]) => eviction));
  }

  carryOut(action: Exclude<SchedulerAction, { type: 'reservation' | 'load-refused' }>, now: number): void {
    switch (action.type) {
      case 'evict':
        return this.#evict(action, now);
      case 'load':
        return this.#load(action, now);
      case 'run':
        return this.#run(action, now);
      case 'widen':
        return this.#widen(action);
      case 'narrow':
        this.#goes(narrow(this.slot(action.device), action.model), action.device);
        return;
      case 'reject': {
        const pending = this.#pending.get(action.request);
        if (pending !== undefined) this.#pending.fail(pending, rejection(action.code, action));
      }
    }
  }

  /**
   * Everything on the device is gone; returns the models that may have been the cause, the requests not tried again, and those of
   * its runs that nobody waits for any more.
   */
  clear(slot: Slot): { suspects: Map<string, 'load' | 'run'>; lost: Pending[]; ended: RequestId[] } {
    this.lastNewsAtMs = this.#clock.now();
    const suspects = new Map<string, 'load' | 'run'>();
    const lost: Pending[] = [];
    const ended: RequestId[] = [];
    for (const run of slot.runs.values()) {
      suspects.set(run.model, 'run');
      if (run.unasked === true) this.#several.died(slot.device.id, run.model);
      for (const id of run.requests) {
        const pending = this.#pending.get(id);
        if (pending === undefined) ended.push(id);
        else if (++pending.retries > RETRIES) lost.push(pending);
      }
    }
    for (const [model, { endedAtMs, instances }] of slot.loads) {
      if (endedAtMs === null || instances?.ready === false) suspects.set(model, 'load');
    }
    slot.runs.clear();
    slot.onRunEnd = null;
    slot.narrowing = null;
    slot.loads.clear();
    slot.measured = null;
    this.requestComes();
    return { suspects, lost, ended };
  }

  #widen(action: Action<'widen'>): void {
    const model = this.models.get(action.model);
    this.#observations.forgetSideBySide(action.model);
    const owner = { apply: this.#apply, emit: this.#emit, beforeLoad: this.#beforeLoad };
    if (model !== undefined) widen(this.slot(action.device), model, action, owner);
    else this.#apply({ type: 'widened', device: action.device, model: action.model, ready: false });
  }

  #evict({ device, model, reason }: Action<'evict'>, now: number): void {
    const slot = this.slot(device);
    const lastUsedAtMs = slot.loads.get(model)?.lastUsedAtMs ?? now;
    slot.loads.delete(model);
    this.#emit({ type: 'evict', device, model, reason, ageMs: now - lastUsedAtMs });
    // A failed eviction means a dead worker: onLost says so, and the memory went with it.
    const eviction = slot.runner.evict(model).then(
      () => this.measure(slot),
      () => undefined,
    );
    this.#goes(eviction, device);
  }

  /** Something on the device is going; the promise ends when its memory is free, and never rejects. */
  #goes(ending: Promise<unknown>, device: string): void {
    this.#evictions.set(ending, device);
    void ending.then(() => this.#evictions.delete(ending));
  }

  #load(action: Action<'load'>, now: number): void {
    const { device, model, reason } = action;
    const slot = this.slot(device);
    const loadable = this.models.get(model);
    if (loadable === undefined) {
      this.#apply({ type: 'load-failed', device, model, retry: false });
      return;
    }
    const load: Load = {
      startedAtMs: now,
      endedAtMs: null,
      lastUsedAtMs: now,
      unpaidMs: null,
      tier: 'disk',
      instances: null,
      decision: action.decision ?? null,
    };
    const falseMiss = this.#residentElsewhere(model, device);
    slot.loads.set(model, load);
    const loaded =
      this.#beforeLoad === undefined && slot.narrowing === null
        ? slot.runner.load(loadable)
        : this.#loadAsPlanned(slot, loadable, load, this.#beforeLoad?.(loadable, slot.device));
    loaded.then(
      ({ loadMs, measuredBytes }) => {
        if (slot.loads.get(model) !== load) return;
        load.endedAtMs = this.#clock.now();
        this.lastNewsAtMs = load.endedAtMs;
        this.#health.loaded(model);
        this.#emit({ type: 'load', device, model, loadMs, reason, falseMiss, error: null });
        // Emulated time is exact; elsewhere the whole wait counts, with the eviction before it and the thread's start.
        load.unpaidMs = slot.device.kind === 'emulated' ? loadMs : Math.max(loadMs, load.endedAtMs - now);
        // What the driver shows of a card is believed where it is more than was thought. It holds for this copy alone: another
        // process may have taken the difference.
        const grown = slot.device.uuid !== undefined && (measuredBytes ?? 0) > (loadable.emulation?.memoryBytes ?? 0);
        const seen = grown && measuredBytes !== null ? { memoryBytes: measuredBytes } : {};
        this.#apply({ type: 'load-finished', device, model, ...seen });
        void this.measure(slot);
      },
      (thrown: unknown) => {
        const error = toGpufaasError(thrown);
        // The death of the worker arrives as onLost, which tells the core.
        if (error.code === 'WORKER_DIED' || slot.loads.get(model) !== load) return;
        slot.loads.delete(model);
        this.#emit({ type: 'load', device, model, loadMs: this.#clock.now() - now, reason, falseMiss, error });
        this.#loadFailed(action, error);
      },
    );
  }

  async #loadAsPlanned(
    slot: Slot,
    loadable: LoadableModel,
    load: Load,
    planning: ReturnType<BeforeLoad> | undefined,
  ): Promise<LoadResult> {
    const plan = await planning;
    if (slot.narrowing !== null) await slot.narrowing;
    load.tier = plan?.tier ?? 'disk';
    let loadMs: number | null = null;
    try {
      // The worker may have died meanwhile: the new one knows nothing of this load.
      if (slot.loads.get(loadable.id) !== load) throw new GpufaasError('WORKER_DIED', 'The worker died.');
      const result = await slot.runner.load(plan?.model ?? loadable);
      ({ loadMs } = result);
      return result;
    } finally {
      plan?.ended(loadMs);
    }
  }

  #loadFailed({ device, model, request }: Action<'load'>, error: GpufaasError): void {
    this.lastNewsAtMs = this.#clock.now();
    this.loadFailures.set(model, error);
    const retry = error.code === 'OUT_OF_MEMORY';
    // Where another copy serves, only the request that asked for this one is lost; runs under way never are.
    const running = new Set(
      Array.from(this.slots.values()).flatMap(({ runs }) => Array.from(runs.values()).flatMap((run) => run.requests)),
    );
    const concerned =
      !retry && this.#residentElsewhere(model, device)
        ? this.#pending.among(request === null ? [] : [request])
        : this.#pending.ofModel(model);
    const lost = concerned.filter(({ id }) => !running.has(id)).filter((one) => !retry || ++one.retries > RETRIES);
    this.#apply({ type: 'load-failed', device, model, retry });
    this.giveUp(lost, error);
  }

  #residentElsewhere(model: string, device: string): boolean {
    for (const [id, slot] of this.slots) if (id !== device && slot.loads.has(model)) return true;
    return false;
  }

  #run(action: Action<'run'>, now: number): void {
    const slot = this.slot(action.device);
    const members = this.#pending.among(action.requests);
    if (members.length === 0) {
      // Everyone gave up between the decision and now.
      this.#apply({ type: 'run-finished', device: action.device, run: action.run });
      return;
    }
    slot.runs.set(action.run, action);
    const load = slot.loads.get(action.model);
    if (load !== undefined) load.lastUsedAtMs = now;
    const rows = members.reduce((sum, { request }) => sum + request.rows, 0);
    // Emulated devices stay exact.
    const expectedMs = slot.device.kind === 'emulated' ? null : this.#expectedMs(action, rows);
    const give = (pending: Pending, { outputs, runMs, shared }: Ran, lastEndedAtMs: number): void => {
      const endedAtMs = this.#clock.now();
      // One that was handed over ahead begins when the last one has ended; beside runs side by side it began before that.
      const beganAtMs = Math.max(now, Math.min(lastEndedAtMs, endedAtMs - runMs));
      this.#pending.answer(
        pending,
        resultOf(
          pending,
          { outputs, together: shared?.requests ?? 1, wentAlong: shared?.isFirst === false },
          action,
          load,
          beganAtMs,
          endedAtMs,
        ),
      );
    };
    const announce = (): void => {
      if (slot.runs.has(action.run)) this.#apply({ type: 'run-ending', device: action.device, run: action.run });
    };
    const cancelAhead = this.#ends.expect(slot, expectedMs, announce);
    // Of several side by side each is answered when it is done, and with the first of them there is room for the next.
    const answerEarly = (index: number, answer: RunResult): void => {
      if (!slot.runs.has(action.run)) return;
      announce();
      give(members[index]!, answer, slot.lastRunEndedAtMs);
    };
    const finish = (): boolean => {
      cancelAhead();
      if (!slot.runs.delete(action.run)) return false;
      slot.onRunEnd?.();
      this.lastNewsAtMs = this.#clock.now();
      this.#apply({ type: 'run-finished', device: action.device, run: action.run });
      return true;
    };
    const only = members.length === 1 ? members[0]! : null;
    const succeeded = (results: readonly BatchAnswer[]): void => {
      const lastEndedAtMs = slot.lastRunEndedAtMs;
      if (!finish()) return;
      slot.lastRunEndedAtMs = this.lastNewsAtMs;
      this.#health.ran(action.model);
      const [result] = results;
      // A batch that was run in pieces says nothing about its size.
      const whole =
        result !== undefined && !(result instanceof GpufaasError) && (only !== null || result.shared?.rows === rows);
      // A mapped model takes its memory in its first run, not in its load.
      if (load !== undefined && load.unpaidMs !== null) void this.measure(slot);
      this.#observe(action.model, load, rows, whole ? result.runMs : null);
      for (const [index, pending] of members.entries()) {
        const answer = results[index]!;
        if (answer instanceof GpufaasError) this.#pending.fail(pending, answer);
        else give(pending, answer, lastEndedAtMs);
      }
    };
    const failed = (thrown: unknown): void => {
      cancelAhead();
      const error = toGpufaasError(thrown);
      if (error.code === 'WORKER_DIED' || !slot.runs.delete(action.run)) return;
      slot.onRunEnd?.();
      const retry = error.code === 'OUT_OF_MEMORY';
      const lost = members.filter((pending) => !retry || ++pending.retries > RETRIES);
      this.#apply({ type: 'run-failed', device: action.device, run: action.run, retry });
      if (retry) this.requestComes();
      this.giveUp(lost, error);
    };
    if (only === null) this.#several.run(slot, action, members, load, answerEarly).then(succeeded, failed);
    else slot.runner.run(action.model, only.request.inputs).then((result) => succeeded([result]), failed);
  }

  #expectedMs({ model, sideBySide }: Action<'run'>, rows: number): number | null {
    return sideBySide === true ? this.#observations.sideBySideMs(model) : this.#observations.expectedRunMs(model, rows);
  }

  /** Ends requests that are not tried again. */
  giveUp(lost: readonly Pending[], error: GpufaasError): void {
    for (const pending of lost) {
      this.#apply({ type: 'cancelled', request: pending.id });
      this.#pending.fail(pending, error);
    }
  }

  /** Learns from a run of so many rows; `runMs` is null if it did not go as it should. */
  #observe(model: string, load: Load | undefined, rows: number, runMs: number | null): void {
    let refined: Refined = null;
    const profile = this.models.get(model)?.emulation;
    if (load !== undefined && load.unpaidMs !== null) {
      const single = rows === 1 ? runMs : null;
      const expectedMs = profile?.runMs ?? Infinity;
      refined = this.#observations.loadedAndRan(model, load.unpaidMs, single, expectedMs, load.tier);
      load.unpaidMs = null;
    } else if (runMs !== null && rows === 1) {
      refined = this.#observations.ran(model, runMs);
    } else if (runMs !== null && rows > 1) {
      refined = this.#observations.ranRows(model, rows, runMs, profile?.runMsByRows ?? []);
    }
    if (refined !== null) this.#apply({ type: 'model-observed', model, ...refined });
  }
}
