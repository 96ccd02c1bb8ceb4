// What the core knew about the devices when it decided, for `gpufaas explain`. Made only when asked for.

import type { DeviceState, ModelState } from './state.ts';
import type { Decision, DecisionReason } from './types.ts';

/** A record names at most so many devices: those of the lowest index. */
const MOST_DEVICES = 64;

/** The devices looked at for a model, each with when it could have answered one request. */
export function explain(
  devices: readonly DeviceState[],
  model: ModelState,
  reason: DecisionReason,
  nowMs: number,
): Decision {
  const present = devices.filter((device) => device.present).slice(0, MOST_DEVICES);
  return {
    reason,
    considered: present.map((device) => {
      const copy = device.copies.get(model);
      const possible = copy !== undefined || device.canHold(model.memoryBytes) || !device.idle;
      const waitMs = Math.max(0, device.freeAtMs - nowMs);
      return {
        device: device.id,
        resident: copy !== undefined,
        busy: !device.idle,
        freeBytes: device.freeBytes,
        estimateMs: possible ? waitMs + (copy === undefined ? model.loadMs : 0) + model.runMs : null,
      };
    }),
  };
}
