// Requests in order of their invocations' arrival (then of their ids): a skip list. Appending, taking out and looking at
// the ends are O(1); putting an older request back at its place is O(log n).

/** What the order goes by. */
export interface Ordered {
  readonly id: number;
  readonly arrivedAtMs: number;
}

/** A place in one list; the holder keeps it to take the item out again or to look at its neighbours. */
export interface ListNode<T extends Ordered> {
  readonly item: T;
  /** Neighbours by level; level 0 links all. */
  readonly before: (ListNode<T> | null)[];
  readonly after: (ListNode<T> | null)[];
}

const MAX_LEVELS = 16;

/** True if `a` is served before `b` where nothing else speaks for either. */
export function isEarlier(a: Ordered, b: Ordered): boolean {
  return a.arrivedAtMs < b.arrivedAtMs || (a.arrivedAtMs === b.arrivedAtMs && a.id < b.id);
}

/** A sorted list that is nearly always appended to. */
export class RequestList<T extends Ordered> {
  readonly #heads: (ListNode<T> | null)[] = Array.from({ length: MAX_LEVELS }, () => null);
  readonly #tails: (ListNode<T> | null)[] = Array.from({ length: MAX_LEVELS }, () => null);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  head(): T | undefined {
    return this.#heads[0]?.item;
  }

  last(): T | undefined {
    return this.#tails[0]?.item;
  }

  /** Puts the item at its place and returns the node to remember. */
  insert(item: T): ListNode<T> {
    const levels = levelsOf(item.id);
    const node: ListNode<T> = { item, before: [], after: [] };
    const last = this.#tails[0];
    const appended = last == null || isEarlier(last.item, item);
    const places = appended ? this.#tails : this.#placesBefore(item);
    for (let level = 0; level < levels; level++) {
      const before = places[level] ?? null;
      const after = before === null ? this.#heads[level]! : before.after[level]!;
      node.before.push(before);
      node.after.push(after);
      if (before === null) this.#heads[level] = node;
      else before.after[level] = node;
      if (after === null) this.#tails[level] = node;
      else after.before[level] = node;
    }
    this.#size++;
    return node;
  }

  remove(node: ListNode<T>): void {
    for (let level = 0; level < node.after.length; level++) {
      const before = node.before[level]!;
      const after = node.after[level]!;
      if (before === null) this.#heads[level] = after;
      else before.after[level] = after;
      if (after === null) this.#tails[level] = before;
      else after.before[level] = before;
    }
    this.#size--;
  }

  /** From the earliest on; the list must not change meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    for (let node = this.#heads[0] ?? null; node !== null; node = node.after[0] ?? null) yield node.item;
  }

  /** By level, the last node that is earlier than the item. */
  #placesBefore(item: T): (ListNode<T> | null)[] {
    const places: (ListNode<T> | null)[] = [];
    let at: ListNode<T> | null = null;
    for (let level = MAX_LEVELS - 1; level >= 0; level--) {
      for (;;) {
        const next: ListNode<T> | null = at === null ? this.#heads[level]! : at.after[level]!;
        if (next === null || !isEarlier(next.item, item)) break;
        at = next;
      }
      places[level] = at;
    }
    return places;
  }
}

/** How many levels an item takes part in: each further one with probability 1/4, by a hash of its id (no randomness). */
function levelsOf(id: number): number {
  let hash = Math.imul(id ^ 0x9e3779b9, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  let levels = 1;
  while (levels < MAX_LEVELS && (hash & 3) === 3) {
    levels++;
    hash >>>= 2;
  }
  return levels;
}
