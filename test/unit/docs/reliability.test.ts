// docs/reliability.md promises a test for each row: here it is checked that they exist.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../../../', import.meta.url);
const rows = readFileSync(new URL('docs/reliability.md', root), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !/^\| (what happens|---)/.test(line));

describe('the table of what dies', () => {
  it('has rows', () => expect(rows.length).toBeGreaterThan(20));

  it.each(rows.map((row) => [row.split('|')[1]!.trim(), row] as const))('names a test that exists: %s', (_, row) => {
    const named = /`(test\/[\w/.-]+)` › (.+?) \|$/.exec(row);
    expect(named, row).not.toBeNull();
    const source = readFileSync(new URL(named![1]!, root), 'utf8');
    expect(source.includes(`'${named![2]!}`), row).toBe(true);
  });
});
