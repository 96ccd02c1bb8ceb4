// A binary heap whose items know where they are, so that any of them can be moved or taken out in O(log n).
// One item may be in several heaps at once: each heap has its own slot in the item's `heapAt`.

/** What a heap needs of its items: one position per slot, -1 (or absent) while not in that heap. */
export interface HeapItem {
  readonly heapAt: number[];
}

/** A min-heap by `before`; ties must be broken by `before` itself where the order matters. */
export class IndexedHeap<T extends HeapItem> {
  readonly #items: T[] = [];
  readonly #slot: number;
  readonly #before: (a: T, b: T) => boolean;

  constructor(slot: number, before: (a: T, b: T) => boolean) {
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
    return (item.heapAt[this.#slot] ?? -1) >= 0;
  }

  /** Puts the item in, or to its right place if it is in already. */
  put(item: T): void {
    const at = item.heapAt[this.#slot] ?? -1;
    if (at >= 0) {
      this.#settle(at, item);
      return;
    }
    this.#items.push(item);
    this.#up(this.#items.length - 1, item);
  }

  /** Takes the item out; false if it was not in. */
  remove(item: T): boolean {
    const at = item.heapAt[this.#slot] ?? -1;
    if (at < 0) return false;
    item.heapAt[this.#slot] = -1;
    const last = this.#items.pop()!;
    if (last !== item) this.#settle(at, last);
    return true;
  }

  pop(): T | undefined {
    const top = this.#items[0];
    if (top !== undefined) this.remove(top);
    return top;
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
      parent.heapAt[this.#slot] = at;
      at = parentAt;
    }
    items[at] = item;
    item.heapAt[this.#slot] = at;
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
      child.heapAt[this.#slot] = at;
      at = childAt;
    }
    items[at] = item;
    item.heapAt[this.#slot] = at;
  }
}
