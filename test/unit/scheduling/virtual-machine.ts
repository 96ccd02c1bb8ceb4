// A small driver in virtual time for the tests of the core: carries out its actions after the times a model really
// takes, checks every action against the rules for devices, and lets a test break things at chosen moments.

import assert from 'node:assert/strict';
import type {
  DeviceSpec,
  ModelSpec,
  RequestId,
  RequestSpec,
  SchedulerAction,
  SchedulerEvent,
  SchedulingCore,
} from '../../../src/scheduling/types.ts';

interface Loaded {
  readonly model: string;
  bytes: number;
  ready: boolean;
  /** Instances for runs side by side, and how many of them are ready. */
  instances: number;
  width: number;
}

interface Running {
  readonly id: number;
  readonly model: string;
  readonly requests: readonly RequestId[];
  readonly endsAtMs: number;
}

interface Machine {
  readonly spec: DeviceSpec;
  present: boolean;
  readonly copies: Map<string, Loaded>;
  run: Running | null;
  /** About to end; the next one may have been handed over. */
  ending: Running | null;
  loading: string | null;
  /** Bytes lent, by reservation; it stays through losses. */
  reserved: { readonly id: string; readonly bytes: number } | null;
  /** Goes up when the device is lost, so that what was under way never ends. */
  life: number;
}

/** What became of one request. */
export interface Outcome {
  readonly request: RequestId;
  readonly end: 'ran' | 'failed' | 'rejected' | 'cancelled';
  readonly device?: string;
  readonly startMs?: number;
  readonly endMs: number;
  readonly cache?: 'hit' | 'miss';
  readonly code?: string;
}

/** One line of what happened, for comparisons. */
export interface Line {
  readonly kind: 'load' | 'run' | 'evict';
  readonly device: string;
  readonly model: string;
  readonly startMs: number;
  readonly requests: readonly RequestId[];
  readonly reason: string;
}

/** How the world deviates from the plan: called when a load or a run would end. */
export interface Faults {
  load?(device: string, model: string): 'ok' | 'retry' | 'fail';
  run?(device: string, model: string): 'ok' | 'retry' | 'fail';
  /** How long before its end a run is announced as ending; 0: never. */
  readonly aheadMs?: number;
}

/** No script of these tests needs as many instants. */
const MOST_STEPS = 5000;

type Entry = { readonly atMs: number; readonly order: number; readonly act: () => void };

/** Completions come before everything else of the same instant; what the test schedules comes in its own order. */
export class VirtualMachine {
  nowMs = 0;
  readonly outcomes = new Map<RequestId, Outcome>();
  readonly lines: Line[] = [];
  mostLoadsAtOnce = 0;
  /** Requests that ran side by side with another one. */
  ranSideBySide = 0;
  narrowed = 0;
  readonly #core: SchedulingCore;
  readonly #faults: Faults;
  readonly #models = new Map<string, ModelSpec>();
  readonly #devices = new Map<string, Machine>();
  readonly #open = new Set<RequestId>();
  readonly #completions: Entry[] = [];
  readonly #script: Entry[] = [];
  readonly #reservations = new Map<string, { readonly device: string; readonly bytes: number }>();
  #order = 0;
  #started = new Map<RequestId, { device: string; startMs: number; cache: 'hit' | 'miss' }>();

  constructor(core: SchedulingCore, devices: readonly DeviceSpec[], models: readonly ModelSpec[], faults: Faults = {}) {
    this.#core = core;
    this.#faults = faults;
    for (const model of models) {
      this.#models.set(model.id, model);
      core.apply(0, { type: 'model-added', model });
    }
    for (const spec of devices) {
      this.#devices.set(spec.id, {
        spec,
        present: true,
        copies: new Map(),
        run: null,
        ending: null,
        loading: null,
        reserved: null,
        life: 0,
      });
      core.apply(0, { type: 'device-added', device: spec });
    }
  }

  /** Does something at that time, after the completions of that instant. */
  at(atMs: number, act: () => void): void {
    this.#script.push({ atMs, order: this.#order++, act });
  }

  submit(request: RequestSpec): void {
    this.#open.add(request.id);
    this.#core.apply(this.nowMs, { type: 'submitted', request });
  }

  submitAt(atMs: number, request: Omit<RequestSpec, 'arrivedAtMs'>): void {
    this.at(atMs, () => this.submit({ ...request, arrivedAtMs: atMs }));
  }

  /** The caller goes away: what waits is withdrawn, what runs is left to finish. */
  cancel(request: RequestId): void {
    if (!this.#open.has(request)) return;
    this.#core.apply(this.nowMs, { type: 'cancelled', request });
    if (!this.#started.has(request)) this.#end({ request, end: 'cancelled', endMs: this.nowMs });
  }

  lose(device: string): void {
    const machine = this.#devices.get(device)!;
    if (!machine.present) return;
    for (const { requests } of [machine.ending, machine.run].filter((run) => run !== null)) {
      for (const request of requests) this.#started.delete(request);
    }
    Object.assign(machine, { present: false, run: null, ending: null, loading: null, life: machine.life + 1 });
    machine.copies.clear();
    this.#core.apply(this.nowMs, { type: 'device-lost', device });
  }

  bringBack(device: string): void {
    const machine = this.#devices.get(device)!;
    if (machine.present) return;
    machine.present = true;
    this.#core.apply(this.nowMs, { type: 'device-added', device: machine.spec });
  }

  /** Asks for memory of a device; whatever becomes of that, it is over after so long. */
  reserve(device: string, bytes: number, forMs: number): void {
    const id = `r${this.#order++}`;
    this.#reservations.set(id, { device, bytes });
    this.#core.apply(this.nowMs, { type: 'reserve', reservation: id, device, bytes });
    const at = this.#completions.findIndex((entry) => entry.atMs > this.nowMs + forMs);
    const act = (): void => {
      const machine = this.#devices.get(device)!;
      if (machine.reserved?.id === id) machine.reserved = null;
      this.apply({ type: 'unreserve', reservation: id });
    };
    const entry = { atMs: this.nowMs + forMs, order: this.#order++, act };
    this.#completions.splice(at < 0 ? this.#completions.length : at, 0, entry);
  }

  apply(event: SchedulerEvent): void {
    this.#core.apply(this.nowMs, event);
  }

  /** Until nothing is left to happen; `open` requests that remain are the test's to judge. */
  run(untilMs = Infinity): void {
    this.#script.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
    for (let steps = 0; ; steps++) {
      assert.ok(steps < MOST_STEPS, 'it goes on and on');
      this.#carryOut();
      const nextMs = Math.min(
        this.#completions[0]?.atMs ?? Infinity,
        this.#script[0]?.atMs ?? Infinity,
        Math.max(this.nowMs, this.#core.nextWakeMs() ?? Infinity),
      );
      if (nextMs === Infinity || nextMs > untilMs) return;
      this.nowMs = nextMs;
      while (this.#completions[0]?.atMs === nextMs) this.#completions.shift()!.act();
      while (this.#script[0]?.atMs === nextMs) this.#script.shift()!.act();
    }
  }

  get openRequests(): readonly RequestId[] {
    return [...this.#open];
  }

  heldBytes(device: string): number {
    const { copies, reserved } = this.#devices.get(device)!;
    return [...copies.values()].reduce((sum, copy) => sum + copy.bytes * (1 + copy.instances), reserved?.bytes ?? 0);
  }

  #carryOut(): void {
    for (const action of this.#core.decide(this.nowMs)) {
      if (action.type === 'reject') {
        assert.ok(!this.#started.has(action.request), `request ${action.request} rejected while it runs`);
        // Cancelled at the very instant at which it was refused: the caller is gone already.
        if (this.outcomes.get(action.request)?.end === 'cancelled') continue;
        this.#end({ request: action.request, end: 'rejected', endMs: this.nowMs, code: action.code });
        continue;
      }
      if (action.type === 'load-refused') {
        assert.ok(!this.#couldHold(action.misfit.needsBytes), `a load of ${action.model} refused that fits`);
        continue;
      }
      const machine = this.#devices.get(action.device)!;
      if (action.type === 'reservation') {
        this.#answer(machine, action);
        continue;
      }
      assert.ok(machine.present, `${action.type} on lost ${action.device}`);
      if (action.type === 'widen' || action.type === 'narrow') {
        this.#resizeInstances(machine, action);
        continue;
      }
      const requests = action.type === 'run' ? action.requests : [];
      this.lines.push({
        kind: action.type,
        device: action.device,
        model: action.model,
        startMs: this.nowMs,
        requests: action.type === 'load' && action.request !== null ? [action.request] : requests,
        reason: action.reason,
      });
      if (action.type === 'evict') this.#evict(machine, action.model);
      else if (action.type === 'load') this.#load(machine, action.model, action.request);
      else this.#run(machine, action);
    }
    for (const view of this.#core.view().devices) {
      assert.equal(view.usedBytes, this.heldBytes(view.id), `books of ${view.id}`);
      assert.ok(view.usedBytes <= view.memoryBytes, `memory of ${view.id}`);
    }
  }

  /** True if a device that is there has so much beside what is pinned. */
  #couldHold(bytes: number): boolean {
    return this.#core.view().devices.some(({ id, memoryBytes, resident }) => {
      const pinned = resident.filter((copy) => copy.pinned).reduce((sum, copy) => sum + copy.bytes, 0);
      return this.#devices.get(id)!.present && memoryBytes - pinned >= bytes;
    });
  }

  #answer(machine: Machine, { reservation, granted }: { reservation: string; granted: boolean }): void {
    const asked = this.#reservations.get(reservation)!;
    assert.ok(this.#reservations.delete(reservation), `reservation ${reservation} is answered twice`);
    assert.equal(machine.spec.id, asked.device);
    if (!granted) return;
    assert.equal(machine.reserved, null, 'two reservations at once on a device');
    assert.equal(machine.loading, null, 'a reservation beside a load');
    machine.reserved = { id: reservation, bytes: asked.bytes };
  }

  #resizeInstances(machine: Machine, action: Extract<SchedulerAction, { readonly type: 'widen' | 'narrow' }>): void {
    const copy = machine.copies.get(action.model)!;
    if (action.type === 'narrow') {
      assert.ok(copy.instances > 0, `narrows ${action.model}, which has no instances`);
      copy.instances = 0;
      copy.width = 1;
      this.narrowed++;
      return;
    }
    assert.ok(copy.ready, `widens ${action.model}, which is not ready`);
    assert.equal(copy.instances, 0, `widens ${action.model} twice`);
    assert.ok(action.instances <= (machine.spec.instances ?? 1), 'more instances than the device can run');
    copy.instances = action.instances;
    const { instances } = action;
    this.#complete(machine, this.#models.get(action.model)!.loadMs, () => {
      // Gone, or given up and asked for again.
      if (machine.copies.get(action.model) !== copy || copy.instances !== instances || copy.width > 1) return;
      const ready = (this.#faults.load?.(machine.spec.id, action.model) ?? 'ok') === 'ok';
      copy.width = ready ? instances : 1;
      if (!ready) copy.instances = 0;
      this.apply({ type: 'widened', device: machine.spec.id, model: action.model, ready });
    });
  }

  #evict(machine: Machine, model: string): void {
    assert.equal(machine.reserved, null, 'an eviction beside a reservation');
    assert.ok(machine.copies.get(model)?.ready, `evicts ${model}, which is not resident`);
    assert.notEqual(machine.run?.model, model, 'evicts what runs');
    assert.notEqual(machine.ending?.model, model, 'evicts what is about to end');
    machine.copies.delete(model);
  }

  #load(machine: Machine, model: string, request: RequestId | null): void {
    assert.equal(machine.loading, null, 'two loads at once on a device');
    assert.equal(machine.reserved, null, 'a load beside a reservation');
    assert.ok(!machine.copies.has(model), `loads ${model} twice on ${machine.spec.id}`);
    const { overlap, loadsSlowRuns = false } = machine.spec;
    if (!overlap || loadsSlowRuns) assert.equal(machine.run, null, 'a load beside a run');
    const spec = this.#models.get(model)!;
    machine.loading = model;
    machine.copies.set(model, { model, bytes: spec.memoryBytes, ready: false, instances: 0, width: 1 });
    const loading = [...this.#devices.values()].filter((each) => each.loading !== null);
    this.mostLoadsAtOnce = Math.max(this.mostLoadsAtOnce, loading.length);
    this.#complete(machine, spec.loadMs, () => {
      machine.loading = null;
      const fate = this.#faults.load?.(machine.spec.id, model) ?? 'ok';
      if (fate === 'ok') {
        machine.copies.get(model)!.ready = true;
        this.apply({ type: 'load-finished', device: machine.spec.id, model });
        return;
      }
      machine.copies.delete(model);
      const isOpen = request !== null && this.#open.has(request) && !this.#started.has(request);
      this.apply({ type: 'load-failed', device: machine.spec.id, model, retry: fate === 'retry' });
      if (fate === 'fail' && isOpen) this.#end({ request, end: 'failed', endMs: this.nowMs });
    });
  }

  #run(machine: Machine, action: Extract<SchedulerAction, { readonly type: 'run' }>): void {
    const { run, model, requests, cache, sideBySide } = action;
    const device = machine.spec.id;
    assert.equal(machine.run, null, 'two runs at once on a device');
    assert.ok(machine.copies.get(model)?.ready, `runs ${model}, which is not ready on ${device}`);
    if (!machine.spec.overlap) assert.equal(machine.loading, null, 'a run beside a load');
    if (sideBySide === true) {
      assert.ok(requests.length > 1, 'one request side by side');
      assert.ok(requests.length <= machine.copies.get(model)!.width, 'more side by side than instances');
      this.ranSideBySide += requests.length;
    }
    for (const request of requests) {
      assert.ok(this.#open.has(request), `request ${request} runs though it has ended`);
      assert.ok(!this.#started.has(request), `request ${request} runs twice at once`);
      this.#started.set(request, { device, startMs: this.nowMs, cache });
    }
    const endsAtMs = Math.max(this.nowMs, machine.ending?.endsAtMs ?? 0) + this.#models.get(model)!.runMs;
    machine.run = { id: run, model, requests, endsAtMs };
    this.#announceEnd(machine, machine.run);
    this.#complete(machine, endsAtMs - this.nowMs, () => {
      if (machine.ending?.id === run) machine.ending = null;
      else machine.run = null;
      const fate = this.#faults.run?.(device, model) ?? 'ok';
      if (fate === 'ok') this.apply({ type: 'run-finished', device, run });
      else this.apply({ type: 'run-failed', device, run, retry: fate === 'retry' });
      for (const request of requests) {
        const started = this.#started.get(request)!;
        this.#started.delete(request);
        if (fate === 'retry') continue;
        this.#end({ request, end: fate === 'ok' ? 'ran' : 'failed', endMs: this.nowMs, ...started });
      }
    });
  }

  #announceEnd(machine: Machine, run: Running): void {
    const { aheadMs = 0 } = this.#faults;
    if (aheadMs === 0 || run.endsAtMs - aheadMs <= this.nowMs) return;
    this.#complete(machine, run.endsAtMs - aheadMs - this.nowMs, () => {
      this.apply({ type: 'run-ending', device: machine.spec.id, run: run.id });
      if (machine.run !== run || machine.ending !== null) return;
      machine.ending = run;
      machine.run = null;
    });
  }

  #complete(machine: Machine, afterMs: number, act: () => void): void {
    const { life } = machine;
    const entry = {
      atMs: this.nowMs + afterMs,
      order: this.#order++,
      act: () => {
        if (machine.life === life) act();
      },
    };
    let at = this.#completions.length;
    while (at > 0 && this.#completions[at - 1]!.atMs > entry.atMs) at--;
    this.#completions.splice(at, 0, entry);
  }

  #end(outcome: Outcome): void {
    assert.ok(this.#open.delete(outcome.request), `request ${outcome.request} ends twice`);
    this.outcomes.set(outcome.request, outcome);
  }
}
