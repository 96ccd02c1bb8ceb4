// The machine as the policies see it: models, devices, the global queue, and the verbs that place requests. Every verb
// keeps the books (queue bounds, bytes, uses, who is idle) and appends to the list of actions of this decision.

import { DenseHeap } from './dense-heap.ts';
import { explain } from './explain.ts';
import { IndexedHeap } from './heap.ts';
import { IdleDevices } from './idle.ts';
import { IndexSet } from './index-set.ts';
import { Residency } from './residency.ts';
import { type Copy, type DeviceState, headArrival, headId, type Load, type ModelState } from './state.ts';
import type { RequestState } from './state.ts';
import type { PoolWatcher } from './watcher.ts';
import type { Decision, DecisionReason, DeviceId, ModelId, RequestId, SchedulerAction } from './types.ts';
import type { RejectCode, RejectDetails } from './types.ts';

/** All state of one scheduler. Policies read it freely and change it only through the verbs. */
export class Pool {
  nowMs = 0;
  /** Models by id, removed ones included until their last copy and request are gone. */
  readonly models = new Map<ModelId, ModelState>();
  /** By index; a removed model leaves its place empty. */
  readonly modelsByIndex: (ModelState | undefined)[] = [];
  /** By index; lost devices keep their place. */
  readonly devices: DeviceState[] = [];
  /** The policy lets loads go on beside runs where a device can do that; set once by the core. */
  overlaps = false;
  readonly devicesById = new Map<DeviceId, DeviceState>();
  readonly requests = new Map<RequestId, RequestState>();
  readonly idle = new IdleDevices(this.devices);
  readonly residency: Residency;
  /** Waiting anywhere: in the global queue, in local queues, for their own load. */
  queuedRequests = 0;
  queuedBytes = 0;
  /** Loads under way on the whole machine. */
  loadsUnderWay = 0;
  /** Goes up when a model that fitted nowhere may fit now, or the other way round. */
  capacityVersion = 0;
  /** Devices that were found to hold more than they have: something has to go. */
  readonly overfull: DeviceState[] = [];
  /** The policy's own books; set once by the core. */
  watcher: PoolWatcher = {};
  readonly #actions: SchedulerAction[] = [];
  readonly #explain: boolean;
  readonly #loadLanes: number;
  /** By the arrival and number of their heads. */
  readonly #waiting = new DenseHeap<ModelState>(headArrival, headId);
  readonly #aside: ModelState[] = [];
  /** Devices with requests bound to them that could start now. */
  readonly #serving = new IndexSet();
  readonly #deadlines = new IndexedHeap<RequestState>('first', (a, b) => a.deadlineAtMs! < b.deadlineAtMs!);
  #nextRun = 0;

  constructor(options: { readonly explain?: boolean; readonly loadLanes?: number }) {
    this.#explain = options.explain ?? false;
    this.#loadLanes = options.loadLanes ?? Infinity;
    this.residency = new Residency(
      this.idle,
      (action) => this.#actions.push(action),
      (copy) => this.watcher.copyRemoved?.(copy),
    );
  }

  /** The model of that name; `index` is where it probably is, and saves looking for it. */
  modelOf(id: ModelId, index: number | undefined): ModelState | undefined {
    const guess = index === undefined ? undefined : this.modelsByIndex[index];
    return guess?.id === id ? guess : this.models.get(id);
  }

  /** The device of that name; `index` as for `modelOf`. */
  deviceOf(id: DeviceId, index: number | undefined): DeviceState | undefined {
    const guess = index === undefined ? undefined : this.devices[index];
    return guess?.id === id ? guess : this.devicesById.get(id);
  }

  /** The earliest waiting request that was not set aside. */
  head(): RequestState | undefined {
    return this.#waiting.top()?.waiting.head();
  }

  /** False while the bound on loads under way on the whole machine is reached. */
  get hasLoadLane(): boolean {
    return this.loadsUnderWay < this.#loadLanes;
  }

  /** True if the device could serve the model at all now: it holds it, or a load may start and its memory be had. */
  canServe(device: DeviceState, model: ModelState): boolean {
    return device.copies.has(model) || (this.hasLoadLane && device.canHold(model.memoryBytes));
  }

  /** Models with waiting requests, in no particular order, those set aside left out. */
  get waitingModels(): readonly ModelState[] {
    return this.#waiting.items;
  }

  isSetAside(model: ModelState): boolean {
    return model.waiting.size > 0 && !this.#waiting.has(model);
  }

  /** Lets the requests of a model that can't be placed now wait without holding up others, until the next decision. */
  setAside(model: ModelState): void {
    if (this.#waiting.remove(model)) this.#aside.push(model);
  }

  /** Ends the setting aside; returns the models concerned. */
  restoreAside(): readonly ModelState[] {
    if (this.#aside.length === 0) return this.#aside;
    const models = this.#aside.splice(0);
    for (const model of models) if (model.waiting.size > 0) this.#waiting.put(model);
    return models;
  }

  /** Hands the request to an idle device: a hit if it holds the model, else a miss that binds the request to the load. */
  dispatch(request: RequestState, device: DeviceState, reason: DecisionReason): void {
    const copy = device.copies.get(request.model);
    if (copy?.state === 'ready') {
      this.run([request], copy, reason);
      return;
    }
    const decision = this.#decision(request.model, reason);
    this.#leave(request);
    request.state = 'bound';
    request.device = device;
    device.dispatches++;
    this.#startLoad(request.model, device, request, [request], reason, decision);
  }

  /** Appends the request to the local queue of a busy device that holds its model. */
  bind(request: RequestState, device: DeviceState, reason: DecisionReason): void {
    request.boundDecision = this.#decision(request.model, reason);
    this.#leave(request);
    request.state = 'bound';
    request.device = device;
    request.boundReason = reason;
    request.boundRunMs = request.model.runMsOf(request.rows);
    device.local.add(request);
    device.localRunMs += request.boundRunMs;
    this.residency.retain(device.copies.get(request.model)!);
    if (device.idle) this.#serving.add(device.index);
  }

  /** Starts a load that binds nobody; the device must be able to take it (`canHold`, no other load under way). */
  load(model: ModelState, device: DeviceState, request: RequestState | null, reason: DecisionReason): Copy {
    const copy = this.#startLoad(model, device, request, [], reason, this.#decision(model, reason));
    copy.loadedFor = request;
    return copy;
  }

  /** Runs waiting requests as one batch, or side by side, on a copy that is ready; its device must not be running. */
  run(requests: readonly RequestState[], copy: Copy, reason: DecisionReason): void {
    const decision = this.#decision(copy.model, reason);
    for (const request of requests) this.#leave(request);
    copy.device.dispatches++;
    const isMiss = copy.loadedFor !== null && requests.includes(copy.loadedFor);
    this.#startRun(requests, copy, isMiss ? 'miss' : 'hit', reason, decision);
  }

  evict(copy: Copy, reason: DecisionReason): void {
    this.residency.evict(copy, reason);
  }

  /** Ends a request that was not started, with a reason for its caller. */
  reject(request: RequestState, code: RejectCode, details?: RejectDetails): void {
    this.withdraw(request);
    this.refuse(request.id, code, details);
  }

  /** Answers a request that was never let in. */
  refuse(request: RequestId, code: RejectCode, details?: RejectDetails): void {
    this.#actions.push({ type: 'reject', request, code, ...details });
  }

  /** A request comes into the global queue: a new one, or one that a failure returned to its old place. */
  enqueue(request: RequestState): void {
    request.state = 'waiting';
    request.device = null;
    const { model } = request;
    this.requests.set(request.id, request);
    this.queuedRequests++;
    this.queuedBytes += request.bytes;
    request.node = model.waiting.insert(request);
    if (model.waiting.head() === request) this.#waiting.put(model);
    if (request.deadlineAtMs !== undefined) this.#deadlines.put(request);
    this.watcher.queued?.(request);
  }

  /** After a failure: back to its old place in the global queue. The caller has undone its binding. */
  requeue(request: RequestState): void {
    if (request.state === 'bound') this.#unqueue(request);
    request.returned = true;
    if (request.model.barred) {
      this.forget(request);
      this.refuse(request.id, 'QUARANTINED');
      return;
    }
    this.enqueue(request);
  }

  /** Takes a request that has not started out of wherever it waits, for good. */
  withdraw(request: RequestState): void {
    const { device } = request;
    if (request.state === 'waiting') this.#leave(request);
    else if (request.state === 'bound') this.unbind(request);
    else return;
    this.#unqueue(request);
    this.forget(request);
    if (device !== null) this.settle(device);
  }

  /** Undoes the binding of a request to a device or its load; the caller puts it somewhere else. */
  unbind(request: RequestState): void {
    const device = request.device!;
    if (device.local.delete(request)) {
      device.localRunMs -= request.boundRunMs;
      this.residency.release(device.copies.get(request.model)!, this.nowMs);
    } else {
      const load = device.load ?? device.loaded;
      const at = load?.waiting.indexOf(request) ?? -1;
      if (at >= 0) {
        load!.waiting.splice(at, 1);
        device.busyUntilMs -= request.model.runMsOf(request.rows);
      }
    }
    this.residency.freeAtChanged(device);
    request.device = null;
  }

  /** A request has ended. */
  forget(request: RequestState): void {
    request.state = 'ended';
    this.#deadlines.remove(request);
    this.requests.delete(request.id);
  }

  /** Brings the lists of idle and of serving devices up to date after anything on the device ended. */
  settle(device: DeviceState): void {
    this.#settle(device);
    this.watcher.deviceChanged?.(device);
  }

  #settle(device: DeviceState): void {
    if (!device.present) {
      this.idle.delete(device);
      this.#serving.delete(device.index);
      return;
    }
    if (device.loaded !== null && device.loaded.waiting.length === 0) this.#dropLoaded(device);
    if (device.canRun) this.residency.deviceFree(device);
    if (!device.idle) {
      if (device.loaded !== null && device.run === null) this.#serving.add(device.index);
      return;
    }
    if (device.busyUntilMs > this.nowMs) {
      device.busyUntilMs = this.nowMs;
      this.residency.freeAtChanged(device);
    }
    if (device.local.size > 0) this.#serving.add(device.index);
    this.idle.add(device);
  }

  /** Idle devices, by index, start what is bound to them: first the request of a load that ended, then the local queue. */
  serveBound(): void {
    for (let index = this.#serving.next(0); index >= 0; index = this.#serving.next(index + 1)) {
      this.#serving.delete(index);
      const device = this.devices[index]!;
      if (device.run !== null) continue;
      const { loaded } = device;
      if (loaded !== null) {
        device.loaded = null;
        this.#startRun(loaded.waiting, loaded.copy, 'miss', loaded.reason, loaded.decision);
        this.residency.release(loaded.copy, this.nowMs);
      } else if (device.idle) {
        const request = device.local.first();
        if (request === null) continue;
        device.local.delete(request);
        device.localRunMs -= request.boundRunMs;
        device.dispatches++;
        const copy = device.copies.get(request.model)!;
        this.#startRun([request], copy, 'hit', request.boundReason, request.boundDecision);
        this.residency.release(copy, this.nowMs);
      }
    }
  }

  /** Waiting requests whose deadline has come. */
  nextOverdue(): RequestState | undefined {
    const request = this.#deadlines.top();
    return request !== undefined && request.deadlineAtMs! <= this.nowMs ? request : undefined;
  }

  nextDeadlineMs(): number {
    return this.#deadlines.top()?.deadlineAtMs ?? Infinity;
  }

  /** The actions since the last call. */
  takeActions(): SchedulerAction[] {
    return this.#actions.splice(0);
  }

  #startLoad(
    model: ModelState,
    device: DeviceState,
    request: RequestState | null,
    waiting: RequestState[],
    reason: DecisionReason,
    decision: Decision | undefined,
  ): Copy {
    this.residency.makeRoom(device, model.memoryBytes);
    let expectedEndMs = this.nowMs + model.loadMs;
    const copy = this.residency.add(model, device, this.nowMs);
    device.load = { copy, waiting, request, expectedEndMs, reason, decision };
    device.loadEndMs = expectedEndMs;
    this.loadsUnderWay++;
    if (model.pinned) this.capacityVersion++;
    for (const each of waiting) expectedEndMs += model.runMsOf(each.rows);
    if (device.run === null) device.busyUntilMs = expectedEndMs;
    this.residency.freeAtChanged(device);
    this.idle.delete(device);
    this.watcher.copyAdded?.(copy);
    this.watcher.deviceStarted?.(device);
    this.#actions.push({
      type: 'load',
      device: device.id,
      model: model.id,
      request: request?.id ?? null,
      reason,
      ...(decision === undefined ? {} : { decision }),
    });
    return copy;
  }

  #startRun(
    requests: readonly RequestState[],
    copy: Copy,
    cache: 'hit' | 'miss',
    reason: DecisionReason,
    decision: Decision | undefined,
  ): void {
    const { device, model } = copy;
    let rows = 0;
    for (const request of requests) {
      this.#unqueue(request);
      this.#deadlines.remove(request);
      request.state = 'running';
      request.device = device;
      rows += request.rows;
    }
    const sharing = model.sharing(requests.length);
    const runMs = (sharing.sideBySide && model.sideBySideMs) ?? model.runMsOf(rows);
    // Behind a run that is about to end it begins when that has ended.
    const expectedEndMs = Math.max(this.nowMs, device.ending?.expectedEndMs ?? 0) + runMs;
    device.run = { id: this.#nextRun++, copy, requests, expectedEndMs };
    device.runEndMs = expectedEndMs;
    device.busyUntilMs = expectedEndMs;
    this.idle.delete(device);
    this.watcher.deviceStarted?.(device);
    this.residency.retain(copy);
    this.residency.touch(copy);
    this.residency.freeAtChanged(device);
    if (cache === 'hit') copy.hits += requests.length;
    copy.lastUsedAtMs = this.nowMs;
    this.#actions.push({
      type: 'run',
      run: device.run.id,
      device: device.id,
      model: model.id,
      requests: requests.map((request) => request.id),
      ...sharing,
      cache,
      reason,
      ...(decision === undefined ? {} : { decision }),
    });
  }

  #leave(request: RequestState): void {
    const { model } = request;
    const wasHead = model.waiting.head() === request;
    model.waiting.remove(request.node!);
    request.node = null;
    if (wasHead && this.#waiting.has(model)) {
      if (model.waiting.size > 0) this.#waiting.put(model);
      else this.#waiting.remove(model);
    }
    this.watcher.left?.(request);
  }

  #unqueue(request: RequestState): void {
    this.queuedRequests--;
    this.queuedBytes -= request.bytes;
  }

  /** A load whose requests were all withdrawn has nothing more to do. */
  #dropLoaded(device: DeviceState): void {
    this.residency.release((device.loaded as Load).copy, this.nowMs);
    device.loaded = null;
  }

  #decision(model: ModelState, reason: DecisionReason): Decision | undefined {
    return this.#explain ? explain(this.devices, model, reason, this.nowMs) : undefined;
  }
}
