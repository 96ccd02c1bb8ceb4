// When what a model waits for ought to be over. The bound on overtaking rests on loads and runs that end about when they are
// expected to; behind one that does not end, everybody else would wait for nothing.

import type { Pool } from '../../pool.ts';
import type { Copy, ModelState } from '../../state.ts';

/**
 * When the load or run is due (milliseconds) that keeps the head of the model's queue from starting: on its copies, or if
 * it has none on the devices that could load it. Infinity if nothing in particular does. Looks at `sample` places at most.
 */
export function dueMs(model: ModelState, pool: Pool, sample: number): number {
  return model.copies.size > 0 ? dueOnCopies(model.copies.values(), sample) : dueOnDevices(pool, sample);
}

function dueOnCopies(copies: Iterable<Copy>, sample: number): number {
  let latest = -Infinity;
  let seen = 0;
  for (const { state, device } of copies) {
    const due = state === 'loading' ? device.load?.expectedEndMs : device.run?.expectedEndMs;
    latest = Math.max(latest, due ?? Infinity);
    if (++seen >= sample) break;
  }
  return latest;
}

function dueOnDevices(pool: Pool, sample: number): number {
  let first = Infinity;
  let seen = 0;
  for (const device of pool.devices) {
    if (!device.present) continue;
    if (device.canLoad) return Infinity;
    // Its memory is lent for a while that nobody can foresee.
    if (device.reservedBytes > 0) first = Math.min(first, pool.nowMs - 1);
    first = Math.min(first, device.load?.expectedEndMs ?? Infinity, device.run?.expectedEndMs ?? Infinity);
    if (++seen >= sample) break;
  }
  return first;
}
