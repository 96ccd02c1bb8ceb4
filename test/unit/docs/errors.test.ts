import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERROR_TABLE } from '../../../src/errors.ts';

describe('docs/errors.md', () => {
  const rows = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8').split('\n');

  it.each(Object.entries(ERROR_TABLE))(
    'explains %s with its status and exit code',
    (code, { status, exit, retryable }) => {
      const row = rows.find((line) => line.startsWith('|') && line.includes(`\`${code}\``));
      expect(row).toBeDefined();
      const cells = row!.split('|').map((cell) => cell.trim());
      expect(cells.slice(2, 5)).toEqual([String(status), String(exit), retryable ? 'yes' : 'no']);
    },
  );
});
