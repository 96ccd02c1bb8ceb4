// The future of a simulation: a binary heap of what is under way, in typed arrays so that an event costs no garbage.
// Guarantees one order for events of one instant: by device, a load before a run.

/** A heap of (time, device, kind); holds at most one load and one run per device. */
export class Completions {
  readonly #times: Float64Array;
  readonly #codes: Int32Array;
  #size = 0;

  constructor(devices: number) {
    this.#times = new Float64Array(devices * 2 + 1);
    this.#codes = new Int32Array(devices * 2 + 1);
  }

  get size(): number {
    return this.#size;
  }

  /** When the next one ends, in milliseconds; Infinity if nothing is under way. */
  get nextMs(): number {
    return this.#size === 0 ? Infinity : this.#times[0]!;
  }

  push(timeMs: number, device: number, isRun: boolean): void {
    const times = this.#times;
    const codes = this.#codes;
    const code = device * 2 + (isRun ? 1 : 0);
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentTime = times[parent]!;
      if (parentTime < timeMs || (parentTime === timeMs && codes[parent]! < code)) break;
      times[at] = parentTime;
      codes[at] = codes[parent]!;
      at = parent;
    }
    times[at] = timeMs;
    codes[at] = code;
  }

  /** Takes the earliest off: twice its device, plus one for a run. The heap must not be empty. */
  pop(): number {
    const times = this.#times;
    const codes = this.#codes;
    const first = codes[0]!;
    const last = --this.#size;
    const timeMs = times[last]!;
    const code = codes[last]!;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= last) break;
      const right = child + 1;
      if (
        right < last &&
        (times[right]! < times[child]! || (times[right] === times[child] && codes[right]! < codes[child]!))
      )
        child = right;
      if (timeMs < times[child]! || (timeMs === times[child] && code < codes[child]!)) break;
      times[at] = times[child]!;
      codes[at] = codes[child]!;
      at = child;
    }
    times[at] = timeMs;
    codes[at] = code;
    return first;
  }
}
