// Text to numbers: how often each short run of letters occurs. Runs are hashed into a fixed number of places, so there is
// no vocabulary to ship, and no word is unknown.

/** Length of the model's input. */
export const BUCKETS = 4096;

const LONGEST_RUN = 4;
// A page of text: its language shows, and the rest would only take time.
const MOST_CHARACTERS = 10_000;

/**
 * The model's input for a text: counts of runs of 1 to 4 letters on its first pages, scaled to length 1; null if it holds no
 * Latin letters.
 */
export function countRuns(text: string): Float32Array | null {
  const counts = new Float32Array(BUCKETS);
  for (const word of wordsOf(text.slice(0, MOST_CHARACTERS))) {
    // The edges of words say much: -ção, -ung, ij-.
    const letters = Array.from(`_${word}_`);
    for (let start = 0; start < letters.length; start++) {
      for (let length = 1; length <= LONGEST_RUN && start + length <= letters.length; length++) {
        counts[bucketOf(letters.slice(start, start + length).join(''))]!++;
      }
    }
  }
  let squares = 0;
  for (let i = 0; i < BUCKETS; i++) {
    // The tenth "e" says less than the first.
    counts[i] = Math.sqrt(counts[i]!);
    squares += counts[i]! ** 2;
  }
  if (squares === 0) return null;
  return counts.map((count) => count / Math.sqrt(squares));
}

/** The words of a text: Latin letters and marks only, in lower case and composed form. */
export function wordsOf(text: string): string[] {
  return (
    text
      .normalize('NFC')
      .toLowerCase()
      .match(/[\p{Script=Latin}\p{M}]+/gu) ?? []
  );
}

/** FNV-1a over UTF-16 units. */
function bucketOf(run: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < run.length; i++) hash = Math.imul(hash ^ run.charCodeAt(i), 0x01000193) >>> 0;
  // The low bits alone are poorly mixed.
  return (hash ^ (hash >>> 15)) % BUCKETS;
}
