// What it costs others when a device is taken for a while: the waiting of those who will ask for its models and find no other
// copy free. It goes by what the other devices do now, not by how busy they are in the mean.

import type { DeviceState, ModelState } from '../../state.ts';
import type { Outlook } from './outlook.ts';
import type { Popularity } from './popularity.ts';
import type { Tuning } from './tuning.ts';
import type { Worth } from './worth.ts';

/** At most so many copies of one device are looked at. */
const MOST_COPIES = 32;
/** With so many other copies idle one more makes no difference. */
const ENOUGH_IDLE = 2;

/** The cost of taking devices of one pool, at one instant. */
export class Blocking {
  readonly #outlook: Outlook;
  readonly #worth: Worth;
  readonly #popularity: Popularity;
  readonly #tuning: Tuning;

  constructor(parts: { outlook: Outlook; worth: Worth; popularity: Popularity; tuning: Tuning }) {
    this.#outlook = parts.outlook;
    this.#worth = parts.worth;
    this.#popularity = parts.popularity;
    this.#tuning = parts.tuning;
  }

  /** Expected waiting (milliseconds) of requests to come for other models of the device, if it is taken for so long. */
  costMs(device: DeviceState, durationMs: number, except: ModelState): number {
    let sum = 0;
    let seen = 0;
    for (let copy = device.copies.oldest; copy !== null; copy = copy.newer) {
      const { model } = copy;
      if (model !== except) sum += this.#popularity.rate(model) * this.#waitMs2(model, device, durationMs);
      if (++seen >= MOST_COPIES) break;
    }
    return sum;
  }

  /** The wait of a request for the model, integrated over the moments of arrival while the device is taken. */
  #waitMs2(model: ModelState, device: DeviceState, durationMs: number): number {
    const whole = (durationMs * durationMs) / 2;
    let idle = 0;
    let others = 0;
    let firstMs = durationMs;
    for (let copy = model.copies.first; copy !== null; copy = copy.after) {
      if (copy.device === device) continue;
      const freeInMs = this.#outlook.copyFreeAt(copy) - this.#worth.nowMs;
      if (freeInMs <= 0 && ++idle >= ENOUGH_IDLE) break;
      firstMs = Math.min(firstMs, freeInMs);
      if (++others >= this.#tuning.sample) break;
    }
    const { idleTaken } = this.#tuning;
    if (idle > 0) return whole * (idle === 1 ? idleTaken : idleTaken * idleTaken);
    const late = durationMs - firstMs;
    let busy = 1;
    for (let i = 0; i < others; i++) busy *= this.#worth.meanUtilization;
    return (firstMs * firstMs + busy * late * late) / 2;
  }
}
