// A binary heap whose items know where they are, so that any of them can be moved or taken out in O(log n).
// One item may be in three heaps at once: each heap has its own slot in the item.

/** What a heap needs of its items: one place per slot in use, -1 while not in that heap. */
export interface HeapItem {
  firstPlace: number;
  secondPlace?: number;
  thirdPlace?: number;
}

/** The slot of a heap. */
export type Slot = 'first' | 'second' | 'third';

/** A min-heap by `before`; ties must be broken by `before` itself where the order matters. */
export class IndexedHeap<T extends HeapItem> {
  #items: T[] = [];
  readonly #slot: Slot;
  readonly #before: (a: T, b: T) => boolean;

  constructor(slot: Slot, before: (a: T, b: T) => boolean) {
    this.#slot = slot;
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The items in no particular order; not to be changed. */
  get items(): readonly T[] {
    return this.#items;
  }

  top(): T | undefined {
    return this.#items[0];
  }

  has(item: T): boolean {
    return this.#placeOf(item) >= 0;
  }

  /** Puts the item in, or to its right place if it is in already. */
  put(item: T): void {
    const at = this.#placeOf(item);
    if (at >= 0) {
      this.#settle(at, item);
      return;
    }
    if (this.#items.length === 0) {
      // Most heaps have one item at most, and there are thousands of them: a list made by push has room for 17.
      this.#items = [item];
      this.#setPlace(item, 0);
      return;
    }
    this.#items.push(item);
    this.#up(this.#items.length - 1, item);
  }

  /** Takes the item out; false if it was not in. */
  remove(item: T): boolean {
    const at = this.#placeOf(item);
    if (at < 0) return false;
    this.#setPlace(item, -1);
    const last = this.#items.pop()!;
    if (last !== item) this.#settle(at, last);
    return true;
  }

  #placeOf(item: T): number {
    if (this.#slot === 'first') return item.firstPlace;
    return this.#slot === 'second' ? item.secondPlace! : item.thirdPlace!;
  }

  #setPlace(item: T, at: number): void {
    if (this.#slot === 'first') item.firstPlace = at;
    else if (this.#slot === 'second') item.secondPlace = at;
    else item.thirdPlace = at;
  }

  #settle(at: number, item: T): void {
    if (this.#up(at, item) === at) this.#down(at, item);
  }

  #up(from: number, item: T): number {
    const items = this.#items;
    let at = from;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = items[parentAt]!;
      if (!this.#before(item, parent)) break;
      items[at] = parent;
      this.#setPlace(parent, at);
      at = parentAt;
    }
    items[at] = item;
    this.#setPlace(item, at);
    return at;
  }

  #down(from: number, item: T): void {
    const items = this.#items;
    const size = items.length;
    let at = from;
    for (;;) {
      let childAt = 2 * at + 1;
      if (childAt >= size) break;
      if (childAt + 1 < size && this.#before(items[childAt + 1]!, items[childAt]!)) childAt++;
      const child = items[childAt]!;
      if (!this.#before(child, item)) break;
      items[at] = child;
      this.#setPlace(child, at);
      at = childAt;
    }
    items[at] = item;
    this.#setPlace(item, at);
  }
}
