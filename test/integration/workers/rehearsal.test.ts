// The checks of `npm run test:gpu` themselves, with the CPU in the place of a card: what they say on a card is then about the card.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../../scripts/test-gpu.ts', import.meta.url));

interface Report {
  readonly passed: boolean;
  readonly rehearsal: boolean;
  readonly results: readonly { readonly checks: readonly { readonly name: string; readonly passed: boolean }[] }[];
}

it('The checks of a card pass where the CPU stands in for it, and report as JSON', { timeout: 120_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, '--rehearse', '--json']);
  const report = JSON.parse(stdout) as Report;
  expect(report).toMatchObject({ passed: true, rehearsal: true });
  const names = report.results[0]!.checks.map(({ name }) => name);
  for (const part of ['side by side', 'memory comes back', 'lent memory', 'host cache', 'at once', 'nothing stays']) {
    expect(names.some((name) => name.includes(part))).toBe(true);
  }
});

it('A machine without a GPU is told apart from one that fails', { timeout: 60_000 }, async () => {
  const nothing = { ...process.env, PATH: '' };
  const run = promisify(execFile)(process.execPath, [SCRIPT, '--devices', 'cuda', '--json'], { env: nothing });
  await expect(run).rejects.toMatchObject({ code: 2, stdout: expect.stringContaining('"found": 0') });
});
