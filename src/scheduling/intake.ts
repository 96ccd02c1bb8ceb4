// What may come in and what has to go: admission within the bounds, deadlines, quarantine, models that fit nowhere,
// machines without devices.

import { RequestState } from './state.ts';
import type { DeviceState, ModelState } from './state.ts';
import type { Pool } from './pool.ts';
import type { Misfit, RejectDetails, RequestSpec, SchedulerOptions } from './types.ts';

/** The door of one pool. */
export class Intake {
  readonly #pool: Pool;
  readonly #maxRequests: number;
  readonly #maxBytes: number;
  /** A lost device may come back for so long before requests are told that there is none. */
  readonly #graceMs: number;
  readonly #lost = new Set<DeviceState>();
  #present = 0;
  #largestMemoryBytes = 0;
  #emptySinceMs = Infinity;

  constructor(pool: Pool, options: SchedulerOptions) {
    this.#pool = pool;
    this.#maxRequests = options.maxQueuedRequests ?? Infinity;
    this.#maxBytes = options.maxQueuedBytes ?? Infinity;
    this.#graceMs = options.deviceGraceMs ?? 30_000;
  }

  /** How many devices are there. */
  get present(): number {
    return this.#present;
  }

  submit(spec: RequestSpec): void {
    const pool = this.#pool;
    const model = pool.modelOf(spec.model, spec.modelIndex);
    if (pool.requests.has(spec.id)) return;
    if (model === undefined || model.removed) return pool.refuse(spec.id, 'MODEL_NOT_FOUND');
    if (model.barred) return pool.refuse(spec.id, 'QUARANTINED');
    if (this.#largestMemoryBytes > 0 && model.memoryBytes > this.#largestMemoryBytes) {
      return pool.refuse(spec.id, 'DOES_NOT_FIT', { misfit: this.#misfit(model) });
    }
    const isFull =
      pool.queuedRequests >= this.#maxRequests ||
      (pool.queuedBytes + spec.bytes > this.#maxBytes && pool.queuedRequests > 0);
    if (isFull && spec.admitted !== true) {
      return pool.refuse(spec.id, 'QUEUE_FULL', { retryAfterMs: this.#retryAfterMs(model) });
    }
    if (this.#present === 0) this.#emptySinceMs = Math.min(this.#emptySinceMs, pool.nowMs);
    pool.enqueue(new RequestState(spec.id, model, pool.nowMs, spec));
  }

  deviceCame(device: DeviceState): void {
    this.#present++;
    this.#lost.delete(device);
    this.#emptySinceMs = Infinity;
    this.#measure();
  }

  deviceWent(device: DeviceState): void {
    this.#present--;
    this.#lost.add(device);
    if (this.#present === 0) this.#emptySinceMs = this.#pool.nowMs;
  }

  /** Ends every request of a quarantined model that has not started. */
  bar(model: ModelState): void {
    this.#rejectWaiting(model, 'QUARANTINED');
    for (const copy of model.copies.values()) {
      // A set may be changed while it is gone through.
      for (const request of copy.device.local) {
        if (request.model === model) this.#pool.reject(request, 'QUARANTINED');
      }
    }
  }

  /** Ends what time has ended: deadlines, and the hope for devices that do not come back. */
  expire(): void {
    const pool = this.#pool;
    for (let late = pool.nextOverdue(); late !== undefined; late = pool.nextOverdue()) pool.reject(late, 'DEADLINE');
    for (const device of this.#lost) {
      if (device.lostAtMs + this.#graceMs > pool.nowMs) continue;
      this.#lost.delete(device);
      pool.capacityVersion++;
      this.#measure();
    }
    if (this.#emptySinceMs + this.#graceMs > pool.nowMs) return;
    for (let head = pool.head(); head !== undefined; head = pool.head()) {
      pool.reject(head, 'NO_DEVICE', { retryAfterMs: this.#graceMs });
    }
  }

  /** Ends the requests of models that no device could ever hold beside what is pinned; true if there were any. */
  rejectMisfits(models: readonly ModelState[]): boolean {
    if (models.length === 0) return false;
    const misfits = models.filter((model) => model.waiting.size > 0 && !this.#canEverFit(model));
    for (const model of misfits) this.#rejectWaiting(model, 'DOES_NOT_FIT', { misfit: this.#misfit(model) });
    return misfits.length > 0;
  }

  /** Why no device, or not this one, could ever hold the model beside what is pinned; null if one could, or none is known. */
  misfitOf(model: ModelState, device: DeviceState | null): Misfit | null {
    const known = device === null ? this.#known() : this.#known().filter((each) => each === device);
    if (known.length === 0 || known.some((each) => fitsBesidePinned(model, each))) return null;
    return this.#misfit(model, known);
  }

  /** When `expire` wants to be called next. */
  nextWakeMs(): number {
    let wakeMs = this.#pool.nextDeadlineMs();
    for (const device of this.#lost) wakeMs = Math.min(wakeMs, device.lostAtMs + this.#graceMs);
    return this.#pool.queuedRequests > 0 ? Math.min(wakeMs, this.#emptySinceMs + this.#graceMs) : wakeMs;
  }

  #rejectWaiting(model: ModelState, code: 'QUARANTINED' | 'DOES_NOT_FIT', details?: RejectDetails): void {
    for (let head = model.waiting.head(); head !== undefined; head = model.waiting.head())
      this.#pool.reject(head, code, details);
  }

  #canEverFit(model: ModelState): boolean {
    const { capacityVersion } = this.#pool;
    if (model.fitsVersion === capacityVersion || model.copies.size > 0) return true;
    if (!this.#known().some((device) => fitsBesidePinned(model, device))) return false;
    model.fitsVersion = capacityVersion;
    return true;
  }

  #measure(): void {
    this.#largestMemoryBytes = largestOf(this.#known());
  }

  /** Devices that are there, or may come back. */
  #known(): DeviceState[] {
    return this.#pool.devices.filter((device) => device.present || this.#lost.has(device));
  }

  #misfit({ memoryBytes }: ModelState, devices = this.#known()): Misfit {
    return { needsBytes: memoryBytes, largestBytes: largestOf(devices) };
  }

  /** Roughly when the queue of now will have been served. */
  #retryAfterMs(model: ModelState): number {
    return Math.max(1, Math.ceil((this.#pool.queuedRequests * model.runMs) / Math.max(1, this.#present)));
  }
}

function fitsBesidePinned(model: ModelState, device: DeviceState): boolean {
  return device.memoryBytes - device.pinnedBytes >= model.memoryBytes;
}

function largestOf(devices: readonly DeviceState[]): number {
  return devices.reduce((largest, device) => Math.max(largest, device.memoryBytes), 0);
}
