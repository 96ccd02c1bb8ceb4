// Drives the scheduling core with real time and real devices: feeds it what happened, carries out what it decides.
// Never waits for a device: every load, eviction and run is started and left to report back.

import type { Clock } from '../clock.ts';
import type { Device } from '../devices/types.ts';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import type { ModelSpec, SchedulerAction, SchedulerView, SchedulingCore } from '../scheduling/types.ts';
import type { Tensor } from '../tensors.ts';
import type { DeviceMeasurement, LoadableModel, Runner, RunResult } from '../workers/types.ts';
import { joinInputs, splitOutputs } from './batching.ts';
import { ModelHealth } from './model-health.ts';
import { Observations } from './observations.ts';
import { PendingRequests, rejection, type InferenceRequest, type InferenceResult, type Pending } from './pending.ts';
import { Waiters } from './waiters.ts';

/** What the dispatcher tells the rest of the daemon as it happens. */
export type DispatcherEvent =
  | {
      readonly type: 'load';
      readonly device: string;
      readonly model: string;
      readonly loadMs: number;
      readonly reason: string;
      readonly falseMiss: boolean;
      readonly error: GpufaasError | null;
    }
  | {
      readonly type: 'evict';
      readonly device: string;
      readonly model: string;
      readonly reason: string;
      /** Since its last use there. */
      readonly ageMs: number;
    }
  | { readonly type: 'quarantine'; readonly model: string; readonly barred: boolean }
  | { readonly type: 'device'; readonly device: string; readonly state: 'ready' | 'lost'; readonly reason: string };

type Action<T extends SchedulerAction['type']> = Extract<SchedulerAction, { type: T }>;

interface Load {
  readonly startedAtMs: number;
  endedAtMs: number | null;
  lastUsedAtMs: number;
}

interface Slot {
  readonly device: Device;
  readonly runner: Runner;
  /** Runs under way: what is in doubt when the process dies. */
  readonly runs: Map<number, Action<'run'>>;
  /** By model: loads under way and models resident. */
  readonly loads: Map<string, Load>;
  measured: DeviceMeasurement | null;
}

/** How often a run or load is tried again after its worker died or ran out of memory. */
const RETRIES = 1;

export class Dispatcher {
  readonly #core: SchedulingCore;
  readonly #clock: Clock;
  readonly #emit: (event: DispatcherEvent) => void;
  readonly #slots = new Map<string, Slot>();
  readonly #models = new Map<string, LoadableModel>();
  readonly #pending: PendingRequests;
  readonly #health = new ModelHealth();
  readonly #observations = new Observations();
  readonly #waiters: Waiters;
  #pumpScheduled = false;
  #cancelWake: (() => void) | null = null;
  #wakeAtMs = Infinity;

  constructor(core: SchedulingCore, clock: Clock, emit: (event: DispatcherEvent) => void) {
    this.#core = core;
    this.#clock = clock;
    this.#emit = emit;
    this.#waiters = new Waiters(clock);
    this.#pending = new PendingRequests(clock, (id) => this.#apply({ type: 'cancelled', request: id }));
  }

  /** Requests submitted and not answered. */
  get underWay(): number {
    return this.#pending.size;
  }

  view(): SchedulerView {
    return this.#core.view();
  }

  isQuarantined(model: string): boolean {
    return this.#health.isBarred(model);
  }

  devices(): { device: Device; runner: Runner; measured: DeviceMeasurement | null }[] {
    return Array.from(this.#slots.values(), ({ device, runner, measured }) => ({ device, runner, measured }));
  }

  /** Makes a device known; it takes part once `deviceReady` was called. */
  addDevice(device: Device, runner: Runner): void {
    this.#slots.set(device.id, { device, runner, runs: new Map(), loads: new Map(), measured: null });
  }

  /** The worker of the device is up and empty. */
  deviceReady(id: string): void {
    const { memoryBytes, overlap } = this.#slot(id).device;
    this.#emit({ type: 'device', device: id, state: 'ready', reason: '' });
    this.#apply({ type: 'device-added', device: { id, memoryBytes, overlap } });
  }

  /** The worker died: what it held is gone, what it did is tried once more elsewhere. */
  deviceLost(id: string, reason: string): void {
    const slot = this.#slot(id);
    const suspects = new Set<string>();
    const lost: Pending[] = [];
    for (const run of slot.runs.values()) {
      suspects.add(run.model);
      for (const pending of this.#pending.among(run.requests)) if (++pending.retries > RETRIES) lost.push(pending);
    }
    for (const [model, load] of slot.loads) if (load.endedAtMs === null) suspects.add(model);
    slot.runs.clear();
    slot.loads.clear();
    slot.measured = null;
    this.#emit({ type: 'device', device: id, state: 'lost', reason });
    this.#apply({ type: 'device-lost', device: id });
    this.#giveUp(
      lost,
      new GpufaasError(
        'WORKER_DIED',
        `The worker of ${id} died during the run, for the second time for this request.`,
        {
          suggestions: ['The daemon log says why; `gpufaas describe` shows whether the model is quarantined.'],
        },
      ),
    );
    // Only a death with a single suspect counts against a model: beside another one it may be a victim.
    const [suspect] = suspects;
    if (suspects.size === 1 && this.#health.died(suspect!)) this.#bar(suspect!, true);
  }

  addModel(model: LoadableModel, spec: ModelSpec): void {
    this.#models.set(model.id, model);
    this.#apply({ type: 'model-added', model: spec });
    this.pardon(model.id);
  }

  removeModel(id: string): void {
    this.#models.delete(id);
    this.#observations.forget(id);
    this.#apply({ type: 'model-removed', model: id });
  }

  pin(model: string, pinned: boolean): void {
    this.#apply({ type: 'pinned', model, pinned });
  }

  /** An invocation that will probably run these models has arrived. */
  hint(models: Iterable<string>): void {
    for (const model of models) this.#apply({ type: 'hinted', model });
  }

  /** Lifts a quarantine: the model is tried again. */
  pardon(model: string): void {
    if (this.#health.clear(model)) this.#bar(model, false);
  }

  /** Starts a load without waiting for it. */
  warm(model: string): void {
    this.#apply({ type: 'load-requested', model });
  }

  /** Makes a model resident (on `device`, or where it fits best) and resolves when it is. */
  async load(model: string, device: string | null, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    this.pardon(model);
    this.#loadFailures.delete(model);
    this.#apply({ type: 'load-requested', model, ...(device === null ? {} : { device }) });
    const resident = (): boolean => {
      const failure = this.#loadFailures.get(model);
      if (failure !== undefined) throw failure;
      return Array.from(this.#slots).some(
        ([id, slot]) => (device === null || id === device) && slot.loads.get(model)?.endedAtMs != null,
      );
    };
    const failure = `The model was not resident after ${Math.round(timeoutMs / 1000)} s.`;
    await this.#waiters.until(resident, timeoutMs, failure, signal);
  }

  /** Evicts a model (from `device`, or everywhere) once nothing uses it, and resolves when it is gone. */
  async unload(model: string, device: string | null, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    this.#apply({ type: 'unload-requested', model, ...(device === null ? {} : { device }) });
    const gone = (): boolean =>
      !Array.from(this.#slots).some(([id, slot]) => (device === null || id === device) && slot.loads.has(model));
    const failure = `The model was still in use after ${Math.round(timeoutMs / 1000)} s.`;
    await this.#waiters.until(gone, timeoutMs, failure, signal);
    await Promise.all(Array.from(this.#evictions));
  }

  readonly #loadFailures = new Map<string, GpufaasError>();
  readonly #evictions = new Set<Promise<unknown>>();

  /** Queues one inference; the promise ends exactly once, with the answer or a GpufaasError. */
  infer(request: InferenceRequest, signal: AbortSignal): Promise<InferenceResult> {
    if (!this.#models.has(request.model)) return Promise.reject(rejection('MODEL_NOT_FOUND', undefined));
    return this.#pending.add(request, signal, (id) => {
      const { inputs: _inputs, ...spec } = request;
      this.#apply({ type: 'submitted', request: { id, ...spec } });
    });
  }

  /** Asks every worker for its memory: what `ps` shows beside what is accounted. */
  async measure(): Promise<void> {
    await Promise.all(
      Array.from(this.#slots.values(), async (slot) => {
        if (slot.runner.state === 'ready') slot.measured = await slot.runner.measure().catch(() => null);
      }),
    );
  }

  /** Refuses everything that waits and stops all workers. */
  async close(force: boolean): Promise<void> {
    this.#cancelWake?.();
    const down = new GpufaasError('DRAINING', 'The daemon is going down.', { retryAfterMs: 5000 });
    for (const pending of this.#pending.all()) this.#pending.fail(pending, down);
    await Promise.all(Array.from(this.#slots.values(), (slot) => slot.runner.stop(force)));
  }

  #slot(id: string): Slot {
    const slot = this.#slots.get(id);
    if (slot === undefined) throw new GpufaasError('DEVICE_NOT_FOUND', `There is no device ${id}.`);
    return slot;
  }

  #apply(event: Parameters<SchedulingCore['apply']>[1]): void {
    this.#core.apply(this.#clock.now(), event);
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    // All that happens in one turn of the event loop is one instant to the core.
    queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    this.#pumpScheduled = false;
    const now = this.#clock.now();
    for (const action of this.#core.decide(now)) this.#carryOut(action, now);
    this.#scheduleWake();
    this.#waiters.notify();
  }

  #scheduleWake(): void {
    const next = this.#core.nextWakeMs() ?? Infinity;
    if (next === this.#wakeAtMs) return;
    this.#cancelWake?.();
    this.#cancelWake = null;
    this.#wakeAtMs = next;
    if (next === Infinity) return;
    this.#cancelWake = this.#clock.after(next - this.#clock.now(), () => {
      this.#wakeAtMs = Infinity;
      this.#cancelWake = null;
      this.#pump();
    });
  }

  #carryOut(action: SchedulerAction, now: number): void {
    switch (action.type) {
      case 'evict':
        this.#evict(action, now);
        return;
      case 'load':
        this.#load(action, now);
        return;
      case 'run':
        this.#run(action, now);
        return;
      case 'reject': {
        const pending = this.#pending.get(action.request);
        if (pending !== undefined) this.#pending.fail(pending, rejection(action.code, action.retryAfterMs));
      }
    }
  }

  #evict({ device, model, reason }: Action<'evict'>, now: number): void {
    const slot = this.#slot(device);
    const lastUsedAtMs = slot.loads.get(model)?.lastUsedAtMs ?? now;
    slot.loads.delete(model);
    this.#emit({ type: 'evict', device, model, reason, ageMs: now - lastUsedAtMs });
    // A failed eviction means a dead worker: onLost says so, and the memory went with it.
    const eviction = slot.runner.evict(model).catch(() => undefined);
    this.#evictions.add(eviction);
    void eviction.then(() => this.#evictions.delete(eviction));
  }

  #load(action: Action<'load'>, now: number): void {
    const { device, model, reason } = action;
    const slot = this.#slot(device);
    const loadable = this.#models.get(model);
    if (loadable === undefined) {
      this.#apply({ type: 'load-failed', device, model, retry: false });
      return;
    }
    const load: Load = { startedAtMs: now, endedAtMs: null, lastUsedAtMs: now };
    const falseMiss = this.#residentElsewhere(model, device);
    slot.loads.set(model, load);
    slot.runner.load(loadable).then(
      ({ loadMs }) => {
        if (slot.loads.get(model) !== load) return;
        load.endedAtMs = this.#clock.now();
        this.#health.lived(model);
        this.#emit({ type: 'load', device, model, loadMs, reason, falseMiss, error: null });
        this.#observe(model, { loadMs });
        this.#apply({ type: 'load-finished', device, model });
      },
      (thrown: unknown) => {
        const error = toGpufaasError(thrown);
        // The death of the worker arrives as onLost, which tells the core.
        if (error.code === 'WORKER_DIED' || slot.loads.get(model) !== load) return;
        slot.loads.delete(model);
        this.#emit({ type: 'load', device, model, loadMs: this.#clock.now() - now, reason, falseMiss, error });
        this.#loadFailed(device, model, error);
      },
    );
  }

  #loadFailed(device: string, model: string, error: GpufaasError): void {
    this.#loadFailures.set(model, error);
    const retry = error.code === 'OUT_OF_MEMORY';
    const lost = this.#pending.ofModel(model).filter((pending) => !retry || ++pending.retries > RETRIES);
    this.#apply({ type: 'load-failed', device, model, retry });
    this.#giveUp(lost, error);
  }

  #residentElsewhere(model: string, device: string): boolean {
    for (const [id, slot] of this.#slots) if (id !== device && slot.loads.has(model)) return true;
    return false;
  }

  #run(action: Action<'run'>, now: number): void {
    const slot = this.#slot(action.device);
    const members = this.#pending.among(action.requests);
    if (members.length === 0) {
      // Everyone gave up between the decision and now.
      this.#apply({ type: 'run-finished', device: action.device, run: action.run });
      return;
    }
    slot.runs.set(action.run, action);
    const load = slot.loads.get(action.model);
    if (load !== undefined) load.lastUsedAtMs = now;
    const finish = (): boolean => {
      if (!slot.runs.delete(action.run)) return false;
      this.#apply({ type: 'run-finished', device: action.device, run: action.run });
      return true;
    };
    const only = members.length === 1 ? members[0]! : null;
    const answers =
      only === null
        ? this.#runBatch(slot.runner, action.model, members)
        : slot.runner.run(action.model, only.request.inputs).then((result) => [result]);
    answers.then(
      (results) => {
        if (!finish()) return;
        this.#health.lived(action.model);
        if (
          only !== null &&
          only.request.rows === 1 &&
          results[0] !== undefined &&
          !(results[0] instanceof GpufaasError)
        ) {
          this.#observe(action.model, { runMs: results[0].runMs });
        }
        for (const [index, pending] of members.entries()) {
          const result = results[index]!;
          if (result instanceof GpufaasError) this.#pending.fail(pending, result);
          else this.#answer(pending, result.outputs, action, load, now);
        }
      },
      (thrown: unknown) => {
        const error = toGpufaasError(thrown);
        if (error.code === 'WORKER_DIED' || !slot.runs.delete(action.run)) return;
        const retry = error.code === 'OUT_OF_MEMORY';
        const lost = members.filter((pending) => !retry || ++pending.retries > RETRIES);
        this.#apply({ type: 'run-failed', device: action.device, run: action.run, retry });
        this.#giveUp(lost, error);
      },
    );
  }

  /** Runs several requests as one; if that fails, each by itself, so that one bad request spoils nobody else's answer. */
  async #runBatch(
    runner: Runner,
    model: string,
    members: readonly Pending[],
  ): Promise<(Pick<RunResult, 'outputs' | 'runMs'> | GpufaasError)[]> {
    try {
      const joined = joinInputs(members.map((pending) => pending.request.inputs));
      const { outputs, runMs } = await runner.run(model, joined);
      const rows = members.map((pending) => pending.request.rows);
      return splitOutputs(outputs, rows).map((set) => ({ outputs: set, runMs }));
    } catch (thrown) {
      if (toGpufaasError(thrown).code === 'WORKER_DIED') throw thrown;
    }
    const results: (RunResult | GpufaasError)[] = [];
    for (const pending of members) {
      try {
        results.push(await runner.run(model, pending.request.inputs));
      } catch (thrown) {
        const error = toGpufaasError(thrown);
        if (error.code === 'WORKER_DIED') throw error;
        results.push(error);
      }
    }
    return results;
  }

  #answer(
    pending: Pending,
    outputs: readonly Tensor[],
    action: Action<'run'>,
    load: Load | undefined,
    startedAtMs: number,
  ): void {
    const { submittedAtMs } = pending;
    const loadMs =
      load === undefined
        ? 0
        : Math.max(0, Math.min(load.endedAtMs ?? startedAtMs, startedAtMs) - Math.max(load.startedAtMs, submittedAtMs));
    const result: InferenceResult = {
      outputs,
      device: action.device,
      cache: action.cache === 'miss' || loadMs > 0 ? 'miss' : 'hit',
      queueMs: Math.max(0, startedAtMs - submittedAtMs - loadMs),
      loadMs,
      runMs: this.#clock.now() - startedAtMs,
      decision: action.decision ?? null,
    };
    this.#pending.answer(pending, result);
  }

  #giveUp(lost: readonly Pending[], error: GpufaasError): void {
    for (const pending of lost) {
      this.#apply({ type: 'cancelled', request: pending.id });
      this.#pending.fail(pending, error);
    }
  }

  #observe(model: string, sample: { loadMs?: number; runMs?: number }): void {
    const refined = this.#observations.add(model, sample);
    if (refined !== null) this.#apply({ type: 'model-observed', model, ...refined });
  }

  #bar(model: string, barred: boolean): void {
    this.#emit({ type: 'quarantine', model, barred });
    this.#apply({ type: 'barred', model, barred });
  }
}
