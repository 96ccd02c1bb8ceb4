// Drives the scheduling core with real time and real devices: feeds it what happened and has carried out what it decides.
// Never waits for a device: every load, eviction and run is started and left to report back.

import type { CancelSignal } from '../cancellation.ts';
import type { Clock } from '../clock.ts';
import type { Device } from '../devices/types.ts';
import { GpufaasError } from '../errors.ts';
import type {
  DeviceSpec,
  ModelSpec,
  SchedulerAction,
  SchedulerEvent,
  SchedulerView,
  SchedulingCore,
} from '../scheduling/types.ts';
import type { DeviceMeasurement, LoadableModel, Runner } from '../workers/types.ts';
import type { DispatcherEvent } from './dispatcher-events.ts';
import { Executor } from './executor.ts';
import type { BeforeLoad } from './load-plan.ts';
import { type Lend, Loans } from './loans.ts';
import { ModelHealth } from './model-health.ts';
import type { LoadTier } from './observations.ts';
import { PendingRequests, type InferenceRequest, type InferenceResult } from './pending.ts';
import { doesNotFit, rejection } from './rejections.ts';
import { Waiters } from './waiters.ts';

interface Wish {
  readonly model: string;
  readonly device: string | null;
  /** Why it can't ever come true, once that is known. */
  refusal: GpufaasError | null;
}

export class Dispatcher {
  readonly #core: SchedulingCore;
  readonly #clock: Clock;
  readonly #emit: (event: DispatcherEvent) => void;
  readonly #pending: PendingRequests;
  readonly #health = new ModelHealth();
  readonly #executor: Executor;
  readonly #waiters: Waiters;
  readonly #loans: Loans;
  /** Loads that somebody waits for. */
  readonly #wishes = new Set<Wish>();
  /** Models whose files are in the host cache. */
  readonly #hostCached = new Set<string>();
  /** What was applied is decided on: in this turn of the event loop, or after its callbacks; null: nothing was. */
  #pumping: 'soon' | 'later' | null = null;
  #cancelWake: (() => void) | null = null;
  #wakeAtMs = Infinity;

  constructor(
    core: SchedulingCore,
    clock: Clock,
    emit: (event: DispatcherEvent) => void,
    /** Looks at a model's files before each load. */
    beforeLoad?: BeforeLoad,
  ) {
    this.#core = core;
    this.#clock = clock;
    this.#emit = emit;
    this.#waiters = new Waiters(clock);
    this.#loans = new Loans(
      clock,
      (event) => this.#apply(event),
      (device) => this.#executor.evictionsOf(device),
    );
    this.#pending = new PendingRequests(clock, (id) => this.#apply({ type: 'cancelled', request: id }));
    this.#executor = new Executor({
      clock,
      pending: this.#pending,
      health: this.#health,
      apply: (event) => this.#apply(event),
      emit,
      beforeLoad,
    });
  }

  /** Requests submitted and not answered. */
  get underWay(): number {
    return this.#pending.size;
  }

  /** How long requests have waited with nothing at all coming back from any device; 0 if none waits. */
  get stalledMs(): number {
    return this.#pending.size === 0 ? 0 : this.#clock.now() - this.#executor.lastNewsAtMs;
  }

  view(): SchedulerView {
    return this.#core.view();
  }

  /** True if batches of the model that nobody asked for were given up. */
  batchesDiffer(model: string): boolean {
    return this.#executor.batchesDiffer(model);
  }

  isQuarantined(model: string): boolean {
    return this.#health.isBarred(model);
  }

  devices(): { device: Device; runner: Runner; measured: DeviceMeasurement | null }[] {
    return Array.from(this.#executor.slots.values(), ({ device, runner, measured }) => ({ device, runner, measured }));
  }

  /** Makes a device known; it takes part once `deviceReady` was called. */
  addDevice(device: Device, runner: Runner): void {
    this.#executor.slots.set(device.id, {
      device,
      runner,
      runs: new Map(),
      loads: new Map(),
      onRunEnd: null,
      narrowing: null,
      lastRunEndedAtMs: 0,
      measured: null,
    });
    // Known to the core from now on, in this order: ties are broken by it, whichever worker happens to be up first.
    const { id } = device;
    this.#apply({ type: 'device-added', device: specOf(device) });
    this.#apply({ type: 'device-lost', device: id });
  }

  /** The worker of the device is up and empty. */
  deviceReady(id: string): void {
    this.#emit({ type: 'device', device: id, state: 'ready', reason: '' });
    this.#apply({ type: 'device-added', device: specOf(this.#executor.slot(id).device) });
    this.#askAgain();
    void this.#executor.measure(this.#executor.slot(id));
  }

  /** The worker died: what it held is gone, what it did is tried once more elsewhere. `culprit` is the model at fault, if known; null: none. */
  deviceLost(id: string, reason: string, culprit?: string | null): void {
    const { suspects, lost, ended } = this.#executor.clear(this.#executor.slot(id));
    this.#emit({ type: 'device', device: id, state: 'lost', reason });
    this.#apply({ type: 'device-lost', device: id });
    for (const request of ended) this.#apply({ type: 'cancelled', request });
    this.#executor.giveUp(
      lost,
      new GpufaasError(
        'WORKER_DIED',
        `The worker of ${id} died during the run, for the second time for this request.`,
        {
          suggestions: ['The daemon log says why; `gpufaas describe` shows whether the model is quarantined.'],
        },
      ),
    );
    const known = culprit != null && suspects.has(culprit);
    // With a culprit that is not among them none of them is to blame.
    for (const [model, stage] of suspects) {
      if (culprit !== undefined && model !== culprit) continue;
      if (this.#health.died(model, stage, known || suspects.size === 1)) this.#bar(model, true);
    }
    this.#askAgain();
  }

  addModel(model: LoadableModel, spec: ModelSpec): void {
    this.#executor.models.set(model.id, model);
    this.#apply({ type: 'model-added', model: spec });
    if (this.#hostCached.has(model.id)) this.#apply({ type: 'host-cached', model: model.id, cached: true });
    this.pardon(model.id);
  }

  /** The files of the model are in the host cache from now on, or not any more. */
  hostCached(model: string, cached: boolean): void {
    if (cached) this.#hostCached.add(model);
    else this.#hostCached.delete(model);
    this.#apply({ type: 'host-cached', model, cached });
  }

  /** What loads of the model were seen to take; null: none was seen from there. */
  loadMs(model: string, tier: LoadTier): number | null {
    return this.#executor.loadMs(model, tier);
  }

  removeModel(id: string): void {
    this.#executor.forget(id);
    this.#apply({ type: 'model-removed', model: id });
  }

  pin(model: string, pinned: boolean): void {
    this.#apply({ type: 'pinned', model, pinned });
  }

  /** An invocation that will probably run the model has arrived; costs next to nothing where a device holds it. */
  hint(model: string): void {
    for (const slot of this.#executor.slots.values()) if (slot.loads.has(model)) return;
    this.#apply({ type: 'hinted', model });
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
    this.#executor.loadFailures.delete(model);
    this.#apply({ type: 'load-requested', model, ...(device === null ? {} : { device }) });
    const wish: Wish = { model, device, refusal: null };
    const resident = (): boolean => {
      if (wish.refusal !== null) throw wish.refusal;
      if (this.isQuarantined(model)) throw rejection('QUARANTINED');
      if (this.#isOutOfService(device)) throw rejection('NO_DEVICE');
      const failure = this.#executor.loadFailures.get(model);
      if (failure !== undefined) throw failure;
      return Array.from(this.#executor.slots).some(
        ([id, slot]) => (device === null || id === device) && slot.loads.get(model)?.endedAtMs != null,
      );
    };
    const failure = `The model was not resident after ${Math.round(timeoutMs / 1000)} s.`;
    this.#wishes.add(wish);
    await this.#waiters.until(resident, timeoutMs, failure, signal).finally(() => this.#wishes.delete(wish));
  }

  /** True if the device, or all of them, will not be there unless somebody does something, or after a long pause. */
  #isOutOfService(device: string | null): boolean {
    const slots = Array.from(this.#executor.slots).filter(([id]) => device === null || id === device);
    return slots.every(([, { runner }]) => ['unplugged', 'failed', 'stopped'].includes(runner.state));
  }

  /** Loads that somebody waits for went with a worker, or waited for one: they are asked for anew. */
  #askAgain(): void {
    for (const { model, device } of this.#wishes) {
      this.#apply({ type: 'load-requested', model, ...(device === null ? {} : { device }) });
    }
  }

  /** Evicts a model (from `device`, or everywhere) once nothing uses it, and resolves when it is gone. */
  async unload(model: string, device: string | null, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    this.#apply({ type: 'unload-requested', model, ...(device === null ? {} : { device }) });
    const gone = (): boolean =>
      !Array.from(this.#executor.slots).some(
        ([id, slot]) => (device === null || id === device) && slot.loads.has(model),
      );
    const failure = `The model was still in use after ${Math.round(timeoutMs / 1000)} s.`;
    await this.#waiters.until(gone, timeoutMs, failure, signal);
    await this.#executor.evictionsOf(device);
  }

  /** Queues one inference; the promise ends exactly once, with the answer or a GpufaasError. */
  infer(request: InferenceRequest, signal: CancelSignal): Promise<InferenceResult> {
    if (!this.#executor.models.has(request.model)) return Promise.reject(rejection('MODEL_NOT_FOUND'));
    if (this.#pending.size === 0) this.#executor.lastNewsAtMs = this.#clock.now();
    this.#executor.requestComes();
    return this.#pending.add(request, signal, (id) => {
      const { inputs: _inputs, ...spec } = request;
      this.#apply({ type: 'submitted', request: { id, ...spec } });
    });
  }

  /** Lends memory of a device to a throwaway worker. */
  get lend(): Lend {
    return this.#loans.lend;
  }

  /** Asks every worker for its memory. */
  async measure(): Promise<void> {
    await Promise.all(Array.from(this.#executor.slots.values(), (slot) => this.#executor.measure(slot)));
  }

  /** Refuses everything that waits and stops all workers. */
  async close(force: boolean): Promise<void> {
    this.#cancelWake?.();
    const down = new GpufaasError('DRAINING', 'The daemon is going down.', { retryAfterMs: 5000 });
    for (const pending of this.#pending.all()) this.#pending.fail(pending, down);
    await Promise.all(Array.from(this.#executor.slots.values(), (slot) => slot.runner.stop(force)));
  }

  #apply(event: SchedulerEvent): void {
    this.#core.apply(this.#clock.now(), event);
    if (this.#pumping === 'soon') return;
    // Where nothing else waits there is nothing to hand out: the answer goes first.
    if (event.type === 'run-finished' && this.#pending.size <= 1) {
      if (this.#pumping === null) setImmediate(() => this.#pumping === 'later' && this.#pump());
      this.#pumping = 'later';
      return;
    }
    this.#pumping = 'soon';
    // All that happens in one turn of the event loop is one instant to the core.
    queueMicrotask(() => this.#pump());
  }

  #pump(): void {
    this.#pumping = null;
    const now = this.#clock.now();
    for (const action of this.#core.decide(now)) {
      if (action.type === 'reservation') this.#loans.answered(action);
      else if (action.type === 'load-refused') this.#loadRefused(action);
      else this.#executor.carryOut(action, now);
    }
    this.#scheduleWake();
    this.#waiters.notify();
  }

  #loadRefused({ model, device, misfit }: Extract<SchedulerAction, { type: 'load-refused' }>): void {
    for (const wish of this.#wishes) {
      if (wish.model === model && wish.device === device) wish.refusal = doesNotFit(misfit, device);
    }
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

  #bar(model: string, barred: boolean): void {
    this.#emit({ type: 'quarantine', model, barred });
    this.#apply({ type: 'barred', model, barred });
  }
}

/** The device as the core sees it. Only a CPU has cores to share: among instances of one model, and between loads and runs. */
function specOf({ id, memoryBytes, overlap, kind, threads }: Device): DeviceSpec {
  const isCpu = kind === 'cpu';
  return { id, memoryBytes, overlap, loadsSlowRuns: isCpu, instances: isCpu ? threads : 1 };
}
