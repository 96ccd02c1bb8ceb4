// The picture of the pool that `ps`, `status` and the metrics show; made on request.

import type { Pool } from './pool.ts';
import type { Copy, DeviceState } from './state.ts';
import type { DeviceView, ResidentView, SchedulerView } from './types.ts';

/** Everything at this instant; lost devices are left out. */
export function viewOf(pool: Pool, policy: string): SchedulerView {
  return {
    policy,
    queuedRequests: pool.queuedRequests,
    queuedBytes: pool.queuedBytes,
    devices: pool.devices.filter((device) => device.present).map(viewOfDevice),
  };
}

function viewOfDevice(device: DeviceState): DeviceView {
  const bound = (device.load?.waiting.length ?? 0) + (device.loaded?.waiting.length ?? 0);
  return {
    id: device.id,
    memoryBytes: device.memoryBytes,
    usedBytes: device.heldBytes + device.extraBytes,
    reservedBytes: device.reservedBytes,
    instanceBytes: device.extraBytes,
    resident: [...device.copies.values()].map(viewOfCopy),
    queued: device.local.size + bound,
    busy: !device.idle || device.ending !== null,
  };
}

function viewOfCopy(copy: Copy): ResidentView {
  const { run, ending } = copy.device;
  const isRunning = run?.copy === copy || ending?.copy === copy;
  return {
    model: copy.model.id,
    bytes: copy.bytes + copy.extraBytes,
    instances: copy.instances,
    state: copy.state === 'loading' ? 'loading' : isRunning ? 'running' : 'resident',
    hits: copy.hits,
    lastUsedAtMs: copy.lastUsedAtMs,
    inUse: copy.uses > 0,
    pinned: copy.model.pinned,
  };
}
