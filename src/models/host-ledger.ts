// Which models' bytes are worth keeping in host memory, within a budget: what is asked for often, saves much time and is
// small stays ("greedy dual size frequency"; Cherkasova 1998). Pure: bytes move elsewhere. Guarantees that the sum of the
// entries never exceeds the budget and that what is held is never given up.

interface Entry {
  readonly bytes: number;
  /** What a use saves, in milliseconds. */
  savedMs: number;
  uses: number;
  /** Those who read it now. */
  holds: number;
  worth: number;
}

/** The books of one cache. */
export class HostLedger {
  readonly budgetBytes: number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  /** The worth of what was given up last: what is not used any more falls behind everything that comes later. */
  #age = 0;

  constructor(budgetBytes: number) {
    this.budgetBytes = budgetBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** Counts a use, and keeps the entry from being given up until `release`; false if there is none. */
  hold(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    entry.uses++;
    entry.holds++;
    this.#value(entry);
    return true;
  }

  /** True while somebody uses it. */
  isHeld(key: string): boolean {
    return (this.#entries.get(key)?.holds ?? 0) > 0;
  }

  /** Ends a hold. `savedMs`, where it was measured, replaces what was thought. */
  release(key: string, savedMs?: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.holds = Math.max(0, entry.holds - 1);
    if (savedMs === undefined) return;
    entry.savedMs = savedMs;
    this.#value(entry);
  }

  /** Makes an entry; gives the keys that were given up for it, or null if its room can't be had. */
  admit(key: string, bytes: number, savedMs: number): string[] | null {
    if (this.#entries.has(key)) return [];
    const victims = this.#victims(bytes - (this.budgetBytes - this.#bytes));
    if (victims === null) return null;
    for (const [victim, { worth }] of victims) {
      this.#age = Math.max(this.#age, worth);
      this.remove(victim);
    }
    const entry: Entry = { bytes, savedMs, uses: 1, holds: 0, worth: 0 };
    this.#value(entry);
    this.#entries.set(key, entry);
    this.#bytes += bytes;
    return victims.map(([victim]) => victim);
  }

  /** Forgets an entry, held or not; false if there is none. */
  remove(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    return true;
  }

  /** The least worth that make so many bytes free; null if those that may go are not enough. */
  #victims(missing: number): [string, Entry][] | null {
    if (missing <= 0) return [];
    const offers = Array.from(this.#entries).filter(([, entry]) => entry.holds === 0);
    offers.sort(([, a], [, b]) => a.worth - b.worth);
    const victims: [string, Entry][] = [];
    for (const offer of offers) {
      if (missing <= 0) break;
      victims.push(offer);
      missing -= offer[1].bytes;
    }
    return missing <= 0 ? victims : null;
  }

  #value(entry: Entry): void {
    entry.worth = this.#age + (entry.uses * Math.max(entry.savedMs, 0)) / Math.max(1, entry.bytes);
  }
}
