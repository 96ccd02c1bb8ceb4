// A list in which nothing stands twice, filled and emptied at every decision: emptying a Set makes a new table each time.

import type { Indexed } from './dense-heap.ts';

/** Things that have small whole numbers (models, devices), in the order in which they came. */
export class UniqueList<T extends Indexed> {
  readonly #items: T[] = [];
  /** By the item's index: 1 while it is in the list. */
  #marks = new Uint8Array(16);

  get items(): readonly T[] {
    return this.#items;
  }

  add(item: T): void {
    const { index } = item;
    if (index >= this.#marks.length) {
      const old = this.#marks;
      this.#marks = new Uint8Array(2 * index);
      this.#marks.set(old);
    }
    if (this.#marks[index] === 1) return;
    this.#marks[index] = 1;
    this.#items.push(item);
  }

  clear(): void {
    for (const { index } of this.#items) this.#marks[index] = 0;
    this.#items.length = 0;
  }
}
