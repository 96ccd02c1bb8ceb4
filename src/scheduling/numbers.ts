// A number for each index, 0 until it is set, packed: an array of objects or of mixed numbers is several times as large.

/** Grows with the indices put in. */
export class Numbers {
  #values = new Float64Array(16);

  get(index: number): number {
    return index < this.#values.length ? this.#values[index]! : 0;
  }

  set(index: number, value: number): void {
    if (index >= this.#values.length) {
      const old = this.#values;
      this.#values = new Float64Array(2 * index);
      this.#values.set(old);
    }
    this.#values[index] = value;
  }
}
