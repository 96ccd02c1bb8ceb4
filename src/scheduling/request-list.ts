// Requests in order of their invocations' arrival (then of their ids): a skip list. Appending, taking out and looking at
// the ends are O(1); putting an older request back at its place is O(log n).

/** What the order goes by. */
export interface Ordered {
  readonly id: number;
  readonly arrivedAtMs: number;
}

type Link<T extends Ordered> = ListNode<T> | null;

/** A place in one list; the holder keeps it to take the item out again or to look at its neighbours. */
export interface ListNode<T extends Ordered> {
  readonly item: T;
  before: Link<T>;
  after: Link<T>;
  /** Neighbours on the levels above, if it takes part in any. */
  readonly upper: { readonly before: Link<T>[]; readonly after: Link<T>[] } | null;
}

const MAX_LEVELS = 16;
/** Most lists are short and there are thousands of them: what comes into one shorter than this stays on the lowest level. */
const LEVELS_FROM = 32;

/** True if `a` is served before `b` where nothing else speaks for either. */
export function isEarlier(a: Ordered, b: Ordered): boolean {
  return a.arrivedAtMs < b.arrivedAtMs || (a.arrivedAtMs === b.arrivedAtMs && a.id < b.id);
}

/** A sorted list that is nearly always appended to. */
export class RequestList<T extends Ordered> {
  #head: Link<T> = null;
  #tail: Link<T> = null;
  /** Heads and tails of the levels above. */
  #upper: { readonly heads: Link<T>[]; readonly tails: Link<T>[] } | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  head(): T | undefined {
    return this.#head?.item;
  }

  last(): T | undefined {
    return this.#tail?.item;
  }

  /** Puts the item at its place and returns the node to remember. */
  insert(item: T): ListNode<T> {
    const last = this.#tail;
    const appended = last === null || isEarlier(last.item, item);
    const levels = this.#size < LEVELS_FROM ? 1 : levelsOf(item.id);
    const places = appended ? null : this.#placesBefore(item);
    const before = places === null ? last : places[0]!;
    const after = before === null ? this.#head : before.after;
    const node: ListNode<T> = { item, before, after, upper: levels === 1 ? null : { before: [], after: [] } };
    if (before === null) this.#head = node;
    else before.after = node;
    if (after === null) this.#tail = node;
    else after.before = node;
    if (levels > 1) this.#linkUpper(node, levels, places);
    this.#size++;
    return node;
  }

  remove(node: ListNode<T>): void {
    const { before, after } = node;
    if (before === null) this.#head = after;
    else before.after = after;
    if (after === null) this.#tail = before;
    else after.before = before;
    if (node.upper !== null) this.#unlinkUpper(node.upper);
    this.#size--;
  }

  /** Where to begin: the next is `after`. For loops that are gone through all the time. */
  get first(): ListNode<T> | null {
    return this.#head;
  }

  /** From the earliest on; the list must not change meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    for (let node = this.#head; node !== null; node = node.after) yield node.item;
  }

  #linkUpper(node: ListNode<T>, levels: number, places: Link<T>[] | null): void {
    const { heads, tails } = (this.#upper ??= { heads: [], tails: [] });
    for (let level = 0; level < levels - 1; level++) {
      const before = (places === null ? tails[level] : places[level + 1]) ?? null;
      const after = (before === null ? heads[level] : before.upper!.after[level]) ?? null;
      node.upper!.before.push(before);
      node.upper!.after.push(after);
      if (before === null) heads[level] = node;
      else before.upper!.after[level] = node;
      if (after === null) tails[level] = node;
      else after.upper!.before[level] = node;
    }
  }

  #unlinkUpper(upper: NonNullable<ListNode<T>['upper']>): void {
    const { heads, tails } = this.#upper!;
    for (let level = 0; level < upper.after.length; level++) {
      const before = upper.before[level]!;
      const after = upper.after[level]!;
      if (before === null) heads[level] = after;
      else before.upper!.after[level] = after;
      if (after === null) tails[level] = before;
      else after.upper!.before[level] = before;
    }
  }

  /** By level, the last node that is earlier than the item. */
  #placesBefore(item: T): Link<T>[] {
    const places: Link<T>[] = [];
    const heads = this.#upper?.heads ?? [];
    let at: Link<T> = null;
    for (let level = heads.length; level >= 0; level--) {
      for (;;) {
        const next: Link<T> = level === 0 ? (at === null ? this.#head : at.after) : above(at, heads, level - 1);
        if (next === null || !isEarlier(next.item, item)) break;
        at = next;
      }
      places[level] = at;
    }
    return places;
  }
}

function above<T extends Ordered>(at: Link<T>, heads: readonly Link<T>[], level: number): Link<T> {
  return (at === null ? heads[level] : at.upper!.after[level]) ?? null;
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
