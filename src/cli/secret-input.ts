// Reads the value of a secret without showing it.

import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { askHidden, canAsk } from './prompt.ts';

/** The value from a file, the standard input, or typed unseen; one newline at its end is not part of it. */
export async function readSecret(name: string, file: string | undefined): Promise<string> {
  if (file !== undefined && file !== '-') return withoutNewline(readFileSync(file, 'utf8'));
  if (canAsk()) return await askHidden(`Value of ${name}?`);
  return withoutNewline(await text(process.stdin));
}

function withoutNewline(value: string): string {
  return value.replace(/\r?\n$/, '');
}
