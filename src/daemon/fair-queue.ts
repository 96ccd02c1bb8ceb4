// What waits for one of a few places, in order, but for this: no group (a function, an address) may take all of them, so that one
// that is slow or dead holds up nobody else.

interface Group<T> {
  readonly waiting: { readonly turn: number; readonly item: T }[];
  taken: number;
}

export class FairQueue<T> {
  readonly #places: number;
  readonly #perGroup: number;
  readonly #groups = new Map<string, Group<T>>();
  #taken = 0;
  #turn = 0;

  /** `places` at once, of which one group has `perGroup` at most. */
  constructor(places: number, perGroup: number) {
    this.#places = places;
    this.#perGroup = perGroup;
  }

  add(group: string, item: T): void {
    let entry = this.#groups.get(group);
    if (entry === undefined) this.#groups.set(group, (entry = { waiting: [], taken: 0 }));
    entry.waiting.push({ turn: this.#turn++, item });
  }

  /** The item whose turn it is, with its place; undefined if none waits that may have one. Give the place back with `done`. */
  take(): { readonly group: string; readonly item: T } | undefined {
    if (this.#taken >= this.#places) return undefined;
    let first: string | undefined;
    let turn = Infinity;
    for (const [group, { waiting, taken }] of this.#groups) {
      const head = waiting[0];
      if (head === undefined || taken >= this.#perGroup || head.turn > turn) continue;
      first = group;
      turn = head.turn;
    }
    if (first === undefined) return undefined;
    const entry = this.#groups.get(first)!;
    entry.taken++;
    this.#taken++;
    return { group: first, item: entry.waiting.shift()!.item };
  }

  /** Gives a place back. */
  done(group: string): void {
    this.#taken--;
    const entry = this.#groups.get(group)!;
    entry.taken--;
    this.#forget(group, entry);
  }

  /** Takes an item out that waits. */
  remove(group: string, item: T): void {
    const entry = this.#groups.get(group);
    const place = entry?.waiting.findIndex((waiting) => waiting.item === item) ?? -1;
    if (entry === undefined || place < 0) return;
    entry.waiting.splice(place, 1);
    this.#forget(group, entry);
  }

  #forget(group: string, { waiting, taken }: Group<T>): void {
    if (waiting.length === 0 && taken === 0) this.#groups.delete(group);
  }
}
