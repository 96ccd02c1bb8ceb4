// Keeps the values of secrets out of what a handler prints and of what its errors say: a key in the address of a failed
// request, say, is nothing for the log, nor for whoever called.

/** Shorter ones are in too many words for their absence to hide anything. */
const LEAST_LENGTH = 8;
const SHOWN = '***';

/** Replaces the values in a text, as they are and as JSON spells them. */
export function secretMask(values: Iterable<string>): (text: string) => string {
  // The longest first: one that begins like another is replaced whole.
  const hidden = Array.from(values)
    .filter((value) => value.length >= LEAST_LENGTH)
    .flatMap((value) => [value, JSON.stringify(value).slice(1, -1)])
    .toSorted((a, b) => b.length - a.length);
  return (text) => hidden.reduce((masked, value) => masked.replaceAll(value, SHOWN), text);
}
