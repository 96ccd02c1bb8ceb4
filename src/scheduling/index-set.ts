// A set of small whole numbers that answers "the first one at or after i" in O(log32 n): device indices.

/** Grows with the numbers put in; three levels of 32-bit words reach 32,768 numbers, more levels come as needed. */
export class IndexSet {
  /** Level 0 has one bit a number; a bit of level k + 1 says that the word of level k below it is not empty. */
  readonly #levels: number[][] = [[]];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(index: number): boolean {
    return (((this.#levels[0]![index >>> 5] ?? 0) >>> (index & 31)) & 1) === 1;
  }

  add(index: number): void {
    if (this.has(index)) return;
    this.#size++;
    let bit = index;
    for (let level = 0; ; level++) {
      const words = (this.#levels[level] ??= this.#levelAbove(level - 1));
      const word = bit >>> 5;
      while (words.length <= word) words.push(0);
      const wasEmpty = words[word] === 0;
      words[word]! |= 1 << (bit & 31);
      // The topmost level is always a single word, so that a search ends there.
      const isTop = level === this.#levels.length - 1;
      if (isTop ? words.length === 1 : !wasEmpty) return;
      bit = word;
    }
  }

  delete(index: number): void {
    if (!this.has(index)) return;
    this.#size--;
    let bit = index;
    for (const words of this.#levels) {
      const word = bit >>> 5;
      words[word]! &= ~(1 << (bit & 31));
      if (words[word] !== 0) return;
      bit = word;
    }
  }

  /** The least number in the set that is not below `from`, or -1. */
  next(from: number): number {
    let at = from;
    for (let level = 0; level < this.#levels.length; level++) {
      const words = this.#levels[level]!;
      const word = at >>> 5;
      if (word >= words.length) return -1;
      const rest = words[word]! & (-1 << (at & 31));
      if (rest !== 0) return this.#descend(level, (word << 5) + trailingZeros(rest));
      at = word + 1;
    }
    return -1;
  }

  #descend(fromLevel: number, bit: number): number {
    let at = bit;
    for (let level = fromLevel - 1; level >= 0; level--) at = (at << 5) + trailingZeros(this.#levels[level]![at]!);
    return at;
  }

  #levelAbove(level: number): number[] {
    const words: number[] = [];
    (this.#levels[level] ?? []).forEach((word, at) => {
      while (words.length <= at >>> 5) words.push(0);
      if (word !== 0) words[at >>> 5]! |= 1 << (at & 31);
    });
    return words;
  }
}

const trailingZeros = (word: number): number => 31 - Math.clz32(word & -word);
