// Drives the scheduling core in virtual time. Deterministic: at one instant completions come first (by device), then
// arrivals in their order, then one decision. Guarantees the device rules: an action that breaks one ends the simulation.

import { GpufaasError } from '../errors.ts';
import type { ModelSpec, SchedulerAction, SchedulingCore } from '../scheduling/types.ts';
import { Completions } from './completions.ts';
import type { ArrivalChunk, Observer, SimulatedDevice, Workload } from './types.ts';

/** One simulation: a fresh core, the devices it will be given, and the requests. */
export interface Simulation {
  readonly core: SchedulingCore;
  readonly devices: readonly SimulatedDevice[];
  readonly workload: Workload;
  readonly observer?: Observer;
  /** Called now and then with the number of requests done. */
  readonly onProgress?: (done: number) => void;
  /** After the last request is done, go on for this long with what needs no request (default 0; a timeline wants it). */
  readonly drainMs?: number;
}

/** What became of the requests. Arrays are by request; times in milliseconds. */
export interface Outcome {
  readonly latencyMs: Float64Array;
  readonly requests: number;
  readonly rejected: number;
  readonly misses: number;
  readonly falseMisses: number;
  readonly coldStarts: number;
  readonly loads: number;
  readonly evictions: number;
  /** Sum of all run times. */
  readonly runMs: number;
  /** Sum of the run times the requests would take one by one. */
  readonly requestedRunMs: number;
  /** End of the last run, from time 0. */
  readonly makespanMs: number;
  readonly devices: number;
  /** Calls of `decide`. */
  readonly decisions: number;
}

const PROGRESS_EVERY = 4096;

/** Runs one simulation to its end. Throws GpufaasError INTERNAL if the core breaks a device rule or stops short. */
export function simulate(simulation: Simulation): Outcome {
  return new Kernel(simulation).run();
}

/** Duration of one run of `rows` rows, in milliseconds. Beyond the known rows the last step repeats. */
export function batchRunMs(model: ModelSpec, rows: number): number {
  const table = model.batching?.runMsByRows;
  if (table === undefined || table.length === 0) return model.runMs * rows;
  if (rows <= table.length) return table[rows - 1]!;
  const last = table.at(-1)!;
  const step = table.length > 1 ? last - table.at(-2)! : last;
  return last + step * (rows - table.length);
}

class Kernel {
  readonly #core: SchedulingCore;
  readonly #devices: readonly SimulatedDevice[];
  readonly #workload: Workload;
  readonly #observer: Observer | undefined;
  readonly #onProgress: ((done: number) => void) | undefined;
  readonly #drainMs: number;
  readonly #deviceIndex = new Map<string, number>();
  readonly #modelIndex = new Map<string, number>();
  readonly #completions: Completions;
  readonly #arrivedMs: Float64Array;
  readonly #latencyMs: Float64Array;
  /** The model that each request asks for. */
  readonly #modelOf: Int32Array;
  /** For each request: one more than the device a load was started on for it; negative if the miss was false. */
  readonly #loadedOn: Int32Array;
  /** device * models + model → when its load ends or ended. */
  readonly #held = new Map<number, number>();
  /** How many devices have the model resident (its load finished). */
  readonly #residentCopies: Int32Array;
  readonly #usedBytes: Float64Array;
  /** Model being loaded, or -1. */
  readonly #loading: Int32Array;
  /** Number of the run under way, or -1. */
  readonly #running: Int32Array;
  readonly #runRequests: (readonly number[])[];
  readonly #runningModel: Int32Array;
  #nowMs = 0;
  #arrived = 0;
  #done = 0;
  #rejected = 0;
  #misses = 0;
  #falseMisses = 0;
  #coldStarts = 0;
  #loads = 0;
  #evictions = 0;
  #runMs = 0;
  #requestedRunMs = 0;
  #makespanMs = 0;
  #decisions = 0;
  #wakeMs = Infinity;

  constructor(simulation: Simulation) {
    this.#core = simulation.core;
    this.#devices = simulation.devices;
    this.#workload = simulation.workload;
    this.#observer = simulation.observer;
    this.#onProgress = simulation.onProgress;
    this.#drainMs = simulation.drainMs ?? 0;
    const devices = simulation.devices.length;
    const requests = simulation.workload.requests;
    this.#completions = new Completions(devices);
    this.#arrivedMs = new Float64Array(requests);
    this.#latencyMs = new Float64Array(requests).fill(-1);
    this.#modelOf = new Int32Array(requests);
    this.#loadedOn = new Int32Array(requests);
    this.#residentCopies = new Int32Array(simulation.workload.models.length);
    this.#usedBytes = new Float64Array(devices);
    this.#loading = new Int32Array(devices).fill(-1);
    this.#running = new Int32Array(devices).fill(-1);
    this.#runningModel = new Int32Array(devices).fill(-1);
    this.#runRequests = Array.from({ length: devices }, () => []);
  }

  run(): Outcome {
    this.#introduce();
    const chunks = this.#workload.arrivals()[Symbol.iterator]();
    let chunk: ArrivalChunk | undefined;
    let position = 0;
    const advance = (): number => {
      while (chunk === undefined || position >= chunk.count) {
        const step = chunks.next();
        if (step.done === true) return Infinity;
        chunk = step.value;
        position = 0;
      }
      return chunk.atMs[position]!;
    };
    let arrivalMs = advance();
    let reportAt = PROGRESS_EVERY;
    for (let first = true; ; first = false) {
      const next = first ? 0 : Math.min(this.#completions.nextMs, arrivalMs, this.#wakeMs);
      if (this.#finished(next, arrivalMs)) break;
      this.#nowMs = next;
      while (this.#completions.nextMs <= next) this.#complete(this.#completions.pop());
      for (; arrivalMs <= next; arrivalMs = advance()) this.#arrive(chunk!.model[position++]!);
      this.#decide();
      if (this.#onProgress !== undefined && this.#done >= reportAt) {
        this.#onProgress(this.#done);
        reportAt = this.#done + PROGRESS_EVERY;
      }
    }
    return this.#outcome();
  }

  #introduce(): void {
    for (const [index, device] of this.#devices.entries()) {
      this.#deviceIndex.set(device.id, index);
      this.#core.apply(0, { type: 'device-added', device });
    }
    for (const [index, model] of this.#workload.models.entries()) {
      this.#modelIndex.set(model.id, index);
      this.#core.apply(0, { type: 'model-added', model });
    }
  }

  /** True when every request has ended and the drain is over; throws if the core leaves requests waiting for ever. */
  #finished(nextMs: number, arrivalMs: number): boolean {
    const waiting = this.#arrived - this.#done - this.#rejected;
    if (arrivalMs === Infinity && waiting === 0)
      return nextMs === Infinity || nextMs > this.#makespanMs + this.#drainMs;
    if (nextMs !== Infinity) return false;
    throw broken(`nothing is under way at ${this.#nowMs} ms, yet ${waiting} requests wait`);
  }

  #arrive(model: number): void {
    const request = this.#arrived++;
    const spec = this.#workload.models[model]!;
    this.#arrivedMs[request] = this.#nowMs;
    this.#modelOf[request] = model;
    this.#requestedRunMs += spec.runMs;
    this.#core.apply(this.#nowMs, {
      type: 'submitted',
      request: { id: request, model: spec.id, modelIndex: model, arrivedAtMs: this.#nowMs, bytes: 0 },
    });
  }

  #complete(code: number): void {
    const device = code >> 1;
    const id = this.#devices[device]!.id;
    if ((code & 1) === 0) {
      const model = this.#loading[device]!;
      this.#loading[device] = -1;
      this.#residentCopies[model]!++;
      const name = this.#workload.models[model]!.id;
      this.#core.apply(this.#nowMs, { type: 'load-finished', device: id, deviceIndex: device, model: name });
      return;
    }
    const run = this.#running[device]!;
    this.#running[device] = -1;
    this.#runningModel[device] = -1;
    this.#makespanMs = this.#nowMs;
    for (const request of this.#runRequests[device]!) {
      this.#latencyMs[request] = this.#nowMs - this.#arrivedMs[request]!;
      this.#done++;
    }
    this.#core.apply(this.#nowMs, { type: 'run-finished', device: id, deviceIndex: device, run });
  }

  #decide(): void {
    this.#decisions++;
    for (const action of this.#core.decide(this.#nowMs)) this.#carryOut(action);
    const wakeMs = this.#core.nextWakeMs();
    // Whole milliseconds, and always forward: a policy that wants to be woken at once must not stop the clock.
    this.#wakeMs = wakeMs === null ? Infinity : Math.max(Math.ceil(wakeMs), this.#nowMs + 1);
  }

  #carryOut(action: SchedulerAction): void {
    if (action.type === 'reject') {
      this.#rejected++;
      return;
    }
    // Nothing in a simulation asks for one, and its devices run one thing at a time.
    if (action.type === 'reservation' || action.type === 'load-refused') return;
    if (action.type === 'widen' || action.type === 'narrow') return;
    const device = this.#deviceIndex.get(action.device);
    const model = this.#modelIn(action);
    if (device === undefined || model === undefined) throw broken(`it named ${action.device} and ${action.model}`);
    if (action.type === 'evict') this.#evict(device, model);
    else if (action.type === 'load') this.#load(device, model, action.request);
    else this.#run(device, model, action.run, action.requests);
  }

  /** The model an action names; what a run is of is known from its first request, without looking for the name. */
  #modelIn(action: Extract<SchedulerAction, { readonly model: string }>): number | undefined {
    const first = action.type === 'run' ? action.requests[0] : undefined;
    const guess = first === undefined ? undefined : this.#modelOf[first];
    const isRight = guess !== undefined && this.#workload.models[guess]?.id === action.model;
    return isRight ? guess : this.#modelIndex.get(action.model);
  }

  #evict(device: number, model: number): void {
    const key = device * this.#workload.models.length + model;
    if (!this.#held.has(key)) throw this.#violation(device, model, 'evicts a model it does not hold');
    if (this.#loading[device] === model) throw this.#violation(device, model, 'evicts a model that is being loaded');
    if (this.#runningModel[device] === model) throw this.#violation(device, model, 'evicts a model that runs');
    this.#held.delete(key);
    this.#residentCopies[model]!--;
    this.#usedBytes[device]! -= this.#workload.models[model]!.memoryBytes;
    this.#evictions++;
    this.#observer?.evict(device, model, this.#nowMs);
  }

  #load(device: number, model: number, request: number | null): void {
    const spec = this.#workload.models[model]!;
    const key = device * this.#workload.models.length + model;
    if (this.#held.has(key)) throw this.#violation(device, model, 'loads a model it holds');
    if (this.#loading[device] !== -1) throw this.#violation(device, model, 'loads two models at once');
    if (this.#running[device] !== -1 && !this.#devices[device]!.overlap)
      throw this.#violation(device, model, 'loads beside a run, without overlap');
    this.#usedBytes[device]! += spec.memoryBytes;
    if (this.#usedBytes[device]! > this.#devices[device]!.memoryBytes)
      throw this.#violation(device, model, 'holds more than its memory');
    if (request !== null) this.#loadedOn[request] = this.#residentCopies[model]! > 0 ? -(device + 1) : device + 1;
    const endMs = this.#nowMs + spec.loadMs;
    this.#held.set(key, endMs);
    this.#loading[device] = model;
    this.#completions.push(endMs, device, false);
    if (this.#arrived < this.#workload.requests || this.#done + this.#rejected < this.#arrived) this.#loads++;
    this.#observer?.load(device, model, request, this.#nowMs, endMs);
  }

  #run(device: number, model: number, run: number, requests: readonly number[]): void {
    const readyMs = this.#held.get(device * this.#workload.models.length + model);
    if (readyMs === undefined || this.#loading[device] === model)
      throw this.#violation(device, model, 'runs a model that is not resident');
    if (this.#running[device] !== -1) throw this.#violation(device, model, 'runs two things at once');
    if (this.#loading[device] !== -1 && !this.#devices[device]!.overlap)
      throw this.#violation(device, model, 'runs beside a load, without overlap');
    for (const request of requests) {
      const loadedOn = this.#loadedOn[request]!;
      const isMiss = Math.abs(loadedOn) === device + 1;
      if (isMiss) this.#misses++;
      if (isMiss && loadedOn < 0) this.#falseMisses++;
      if (readyMs > this.#arrivedMs[request]!) this.#coldStarts++;
    }
    const spec = this.#workload.models[model]!;
    const runMs = requests.length === 1 ? spec.runMs : batchRunMs(spec, requests.length);
    this.#running[device] = run;
    this.#runningModel[device] = model;
    this.#runRequests[device] = requests;
    this.#runMs += runMs;
    this.#completions.push(this.#nowMs + runMs, device, true);
    this.#observer?.run(device, model, requests, this.#nowMs, this.#nowMs + runMs);
  }

  #violation(device: number, model: number, what: string): GpufaasError {
    return broken(`at ${this.#nowMs} ms ${this.#devices[device]!.id} ${what} (${this.#workload.models[model]!.id})`);
  }

  #outcome(): Outcome {
    return {
      latencyMs: this.#latencyMs,
      requests: this.#arrived,
      rejected: this.#rejected,
      misses: this.#misses,
      falseMisses: this.#falseMisses,
      coldStarts: this.#coldStarts,
      loads: this.#loads,
      evictions: this.#evictions,
      runMs: this.#runMs,
      requestedRunMs: this.#requestedRunMs,
      makespanMs: this.#makespanMs,
      devices: this.#devices.length,
      decisions: this.#decisions,
    };
  }
}

function broken(what: string): GpufaasError {
  return new GpufaasError('INTERNAL', `The policy broke a rule of the devices: ${what}.`, {
    suggestions: ['If this is a policy of your own, see docs/policies.md; else please report it with the command.'],
  });
}
