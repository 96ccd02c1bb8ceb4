// A binary heap of things that have small whole numbers (models, devices) with the keys beside each other in typed arrays: a
// comparison touches no object, which matters as soon as they are too many for the processor's caches.

/** What the heap needs of its items: a number of their own, dense from 0. */
export interface Indexed {
  readonly index: number;
}

/** A min-heap by a first and a second key. Keys are read when an item is put in: put it again after they changed. */
export class DenseHeap<T extends Indexed> {
  readonly #first: (item: T) => number;
  readonly #second: (item: T) => number;
  readonly #items: T[] = [];
  #keys = new Float64Array(32);
  #indices = new Int32Array(16);
  /** By the item's index: one more than its place, 0 while it is not in. */
  #places = new Int32Array(16);

  constructor(first: (item: T) => number, second: (item: T) => number = () => 0) {
    this.#first = first;
    this.#second = second;
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

  has({ index }: T): boolean {
    return index < this.#places.length && this.#places[index]! > 0;
  }

  /** Puts the item in, or to its right place if it is in already. */
  put(item: T): void {
    const { index } = item;
    if (index >= this.#places.length) this.#places = grown(this.#places, new Int32Array(2 * index));
    const first = this.#first(item);
    const second = this.#second(item);
    const at = this.#places[index]! - 1;
    if (at >= 0) return this.#settle(at, item, index, first, second);
    const last = this.#items.push(item) - 1;
    if (last >= this.#indices.length) {
      this.#indices = grown(this.#indices, new Int32Array(2 * last));
      this.#keys = grown(this.#keys, new Float64Array(4 * last));
    }
    this.#up(last, item, index, first, second);
  }

  /** Takes the item out; false if it was not in. */
  remove(item: T): boolean {
    if (!this.has(item)) return false;
    const at = this.#places[item.index]! - 1;
    this.#places[item.index] = 0;
    const last = this.#items.pop()!;
    const size = this.#items.length;
    if (at < size) this.#settle(at, last, this.#indices[size]!, this.#keys[2 * size]!, this.#keys[2 * size + 1]!);
    return true;
  }

  pop(): T | undefined {
    const top = this.#items[0];
    if (top !== undefined) this.remove(top);
    return top;
  }

  #settle(at: number, item: T, index: number, first: number, second: number): void {
    if (this.#up(at, item, index, first, second) === at) this.#down(at, item, index, first, second);
  }

  #up(from: number, item: T, index: number, first: number, second: number): number {
    const keys = this.#keys;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const key = keys[2 * parent]!;
      if (!(first < key || (first === key && second < keys[2 * parent + 1]!))) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#set(at, item, index, first, second);
    return at;
  }

  #down(from: number, item: T, index: number, first: number, second: number): void {
    const keys = this.#keys;
    const size = this.#items.length;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      const [left, right] = [2 * child, 2 * child + 2];
      const isRight =
        child + 1 < size &&
        (keys[right]! < keys[left]! || (keys[right] === keys[left] && keys[right + 1]! < keys[left + 1]!));
      if (isRight) child++;
      const key = keys[2 * child]!;
      if (!(key < first || (key === first && keys[2 * child + 1]! < second))) break;
      this.#move(child, at);
      at = child;
    }
    this.#set(at, item, index, first, second);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#items[from]!, this.#indices[from]!, this.#keys[2 * from]!, this.#keys[2 * from + 1]!);
  }

  #set(at: number, item: T, index: number, first: number, second: number): void {
    this.#items[at] = item;
    this.#indices[at] = index;
    this.#keys[2 * at] = first;
    this.#keys[2 * at + 1] = second;
    this.#places[index] = at + 1;
  }
}

function grown<A extends Int32Array | Float64Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
