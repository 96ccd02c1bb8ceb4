// What becomes of devices, loads and runs: they come, end, fail, get lost. Each function takes one event over into the
// pool; events about something that is no more are ignored, because drivers and devices race.

import { DeviceState } from './state.ts';
import type { Pool } from './pool.ts';
import type { Run, RequestState } from './state.ts';
import type { DeviceId, DeviceSpec, ModelId } from './types.ts';

/** A new device, or one that is back; false if it is there already. */
export function deviceAdded(pool: Pool, spec: DeviceSpec): boolean {
  const known = pool.devicesById.get(spec.id);
  if (known?.present === true) return false;
  const device = known ?? new DeviceState(pool.devices.length, spec.id, spec.memoryBytes, false, pool.residency.table);
  if (known === undefined) {
    pool.devices.push(device);
    pool.devicesById.set(spec.id, device);
  }
  device.memoryBytes = spec.memoryBytes;
  device.overlap = spec.overlap && pool.overlaps;
  device.loadsSlowRuns = spec.loadsSlowRuns ?? false;
  device.instances = spec.instances ?? 1;
  device.present = true;
  pool.capacityVersion++;
  pool.settle(device);
  return true;
}

/** Everything resident is gone; what ran or was bound returns to the global queue. */
export function deviceLost(pool: Pool, id: DeviceId): DeviceState | undefined {
  const device = pool.devicesById.get(id);
  if (device === undefined || !device.present) return undefined;
  const bound = [...device.local, ...(device.load?.waiting ?? []), ...(device.loaded?.waiting ?? [])];
  for (const request of bound) pool.unbind(request);
  const running = [...(device.ending?.requests ?? []), ...(device.run?.requests ?? [])];
  if (device.load !== null) pool.loadsUnderWay--;
  device.run = null;
  device.ending = null;
  device.load = null;
  device.loaded = null;
  pool.residency.instances.lost(device);
  for (const copy of device.copies.values()) pool.residency.remove(copy);
  device.aside.length = 0;
  device.busyUntilMs = pool.nowMs;
  device.present = false;
  device.lostAtMs = pool.nowMs;
  pool.capacityVersion++;
  pool.settle(device);
  for (const request of bound) pool.requeue(request);
  for (const request of running) pool.requeue(request);
  return device;
}

/** The copy is ready; the requests bound to the load run at the next decision. */
export function loadFinished(
  pool: Pool,
  id: DeviceId,
  model: ModelId,
  memoryBytes: number | undefined,
  index: number | undefined,
): void {
  const device = pool.deviceOf(id, index);
  const load = device?.load;
  if (device === undefined || load == null || load.copy.model.id !== model) return;
  const { copy } = load;
  device.load = null;
  pool.loadsUnderWay--;
  copy.state = 'ready';
  copy.loadedAtMs = pool.nowMs;
  if (memoryBytes !== undefined && memoryBytes !== copy.bytes) pool.residency.resize(copy, memoryBytes);
  if (device.freeBytes < 0) pool.overfull.push(device);
  if (load.waiting.length > 0) device.loaded = load;
  else pool.residency.release(copy, pool.nowMs);
  pool.settle(device);
}

/**
 * The copy never came to be. Without `retry` the request that the load was started for is the driver's to answer; all
 * others that waited for it return to the global queue.
 */
export function loadFailed(pool: Pool, id: DeviceId, model: ModelId, retry: boolean): void {
  const device = pool.devicesById.get(id);
  const load = device?.load;
  if (device === undefined || load == null || load.copy.model.id !== model) return;
  const bound = [...load.waiting, ...[...device.local].filter((request) => request.model === load.copy.model)];
  for (const request of bound) pool.unbind(request);
  device.load = null;
  pool.loadsUnderWay--;
  pool.residency.remove(load.copy);
  pool.settle(device);
  for (const request of bound) pool.requeue(request);
  if (!retry && load.request?.state === 'waiting') pool.withdraw(load.request);
}

/** Instances of the copy can be used, or could not be made. */
export function copyWidened(pool: Pool, id: DeviceId, modelId: ModelId, ready: boolean): void {
  const device = pool.devicesById.get(id);
  const model = pool.models.get(modelId);
  const copy = device === undefined || model === undefined ? undefined : device.copies.get(model);
  if (copy !== undefined) pool.residency.instances.widened(copy, ready);
}

/** The device is as good as free: what runs next there may be handed over. */
export function runEnding(pool: Pool, id: DeviceId, runId: number): void {
  const device = pool.devicesById.get(id);
  if (device === undefined || device.run?.id !== runId || device.ending !== null) return;
  device.ending = device.run;
  device.run = null;
  pool.settle(device);
}

/** The requests of the run have ended well. */
export function runFinished(pool: Pool, id: DeviceId, runId: number, index: number | undefined): void {
  for (const request of endRun(pool, pool.deviceOf(id, index), runId)) pool.forget(request);
}

/** With `retry` the requests return to the global queue, else they are the driver's to answer. */
export function runFailed(pool: Pool, id: DeviceId, runId: number, retry: boolean): void {
  for (const request of endRun(pool, pool.devicesById.get(id), runId)) {
    if (retry) pool.requeue(request);
    else pool.forget(request);
  }
}

function endRun(pool: Pool, device: DeviceState | undefined, runId: number): readonly RequestState[] {
  if (device === undefined) return [];
  const run: Run | null = device.ending?.id === runId ? device.ending : device.run;
  if (run?.id !== runId) return [];
  if (run === device.ending) device.ending = null;
  else device.run = null;
  pool.residency.release(run.copy, pool.nowMs);
  pool.settle(device);
  return run.requests;
}
