// lalb, locality-aware load balancing (a reconstruction): strictly first come, first placed, each by the three steps.

import type { Policy } from '../policy.ts';
import { placeByThreeSteps } from './steps.ts';

/** The head of the queue goes where its model is, if that is soon free. */
export const lalb: Policy = {
  name: 'lalb',
  create: (pool) => ({
    place() {
      for (let head = pool.head(); head !== undefined && pool.idle.size > 0; head = pool.head()) {
        placeByThreeSteps(pool, head);
      }
    },
  }),
};
