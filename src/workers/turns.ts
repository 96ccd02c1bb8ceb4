// Which of a process's threads ran its model last: whether others use the cores in between.

/** One thread's view of what all threads of a process share. */
export class Turns {
  readonly #last: Int32Array;
  readonly #number: number;

  /** What all of them share. */
  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  }

  /** `number` is this thread's own, from 0. */
  constructor(shared: SharedArrayBuffer, number: number) {
    this.#last = new Int32Array(shared);
    this.#number = number + 1;
  }

  /** A run begins here; true if the last one did too. */
  take(): boolean {
    return Atomics.exchange(this.#last, 0, this.#number) === this.#number;
  }
}
