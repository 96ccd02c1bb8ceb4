// A small policy of one's own: each waiting request runs where its model is, or waits if that will soon be free; else the
// idle device that did the least so far loads it. For `gpufaas bench --policy lalbo3,./docs/examples/fewest-dispatches.ts`.

import type { Policy } from '../../src/scheduling/policy.ts';

const fewestDispatches: Policy = {
  name: 'fewest-dispatches',
  create: (pool) => ({
    place() {
      for (let head = pool.head(); head !== undefined && pool.idle.size > 0; head = pool.head()) {
        const { model } = head;
        const copy = pool.residency.freeCopy(model);
        if (copy !== undefined) {
          pool.dispatch(head, copy.device, 'hit-idle');
          continue;
        }
        // A copy that is soon free is worth waiting for; the requests behind need not wait as well.
        const soonest = pool.residency.firstFreeCopy(model);
        if (soonest !== undefined && soonest.device.freeAtMs - pool.nowMs < model.loadMs) {
          pool.setAside(model);
          continue;
        }
        const able = pool.devices.filter((device) => device.present && device.idle && pool.canServe(device, model));
        able.sort((a, b) => a.dispatches - b.dispatches || a.index - b.index);
        const device = able[0];
        if (device === undefined) pool.setAside(model);
        else pool.dispatch(head, device, 'miss-most-free');
      }
    },
  }),
};

export default fewestDispatches;
