// The three steps by which lalb, and lalbo3 at its limits, places one request: where it is resident and idle, where it
// is resident and soon free, or where there is most room. A reconstruction of the paper's policy (docs/scheduling.md).

import type { Pool } from '../pool.ts';
import type { RequestState } from '../state.ts';
import type { DecisionReason } from '../types.ts';

/** Places the request if it can be placed now; else its model is set aside for this decision. O(log n). */
export function placeByThreeSteps(pool: Pool, request: RequestState, reason?: DecisionReason): void {
  const { model } = request;
  const idle = pool.residency.freeCopy(model);
  if (idle !== undefined) return pool.dispatch(request, idle.device, reason ?? 'hit-idle');
  const busy = pool.residency.firstFreeCopy(model)?.device;
  if (busy !== undefined) {
    const finishMs = Math.max(0, busy.busyUntilMs - pool.nowMs) + busy.localRunMs;
    if (finishMs < model.loadMs) return pool.bind(request, busy, reason ?? 'hit-queued');
  }
  const roomiest = pool.hasLoadLane ? pool.idle.mostFree(model.memoryBytes) : undefined;
  if (roomiest !== undefined) return pool.dispatch(request, roomiest, reason ?? 'miss-most-free');
  pool.setAside(model);
}
