// lb, load balancing only (a reconstruction): the queue's head goes to the next idle device, round and round, wherever
// its model is. The baseline that all speed-ups refer to.

import type { Policy } from '../policy.ts';
import type { Pool } from '../pool.ts';
import type { DeviceState, ModelState } from '../state.ts';

/** Round robin over the idle devices. */
export const lb: Policy = {
  name: 'lb',
  create(pool) {
    let nextIndex = 0;
    return {
      place() {
        for (let head = pool.head(); head !== undefined && pool.idle.size > 0; head = pool.head()) {
          const device = nextAble(pool, nextIndex, head.model);
          if (device === undefined) {
            pool.setAside(head.model);
            continue;
          }
          nextIndex = device.index + 1;
          pool.dispatch(head, device, device.copies.has(head.model) ? 'hit-idle' : 'miss-next-idle');
        }
      },
    };
  },
};

/** The first idle device at or after the index, wrapping round, that can serve the model; normally the very first. */
function nextAble(pool: Pool, from: number, model: ModelState): DeviceState | undefined {
  const first = pool.idle.atOrAfter(from) ?? pool.idle.atOrAfter(0);
  let device = first;
  while (device !== undefined && !pool.canServe(device, model)) {
    device = pool.idle.atOrAfter(device.index + 1) ?? pool.idle.atOrAfter(0);
    if (device === first) return undefined;
  }
  return device;
}
