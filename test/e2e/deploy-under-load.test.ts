import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deployUnderLoad } from '../../bench/soak/deploys.ts';
import { TestDaemon } from '../helpers/daemon.ts';

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await new TestDaemon('cpu:1@500MB').start();
});
afterAll(() => daemon.close());

it('new versions take over with no failed and no wrong answer', { timeout: 120_000 }, async () => {
  const folder = join(daemon.folder, 'work');
  mkdirSync(folder);
  const report = await deployUnderLoad({
    url: daemon.url,
    home: daemon.home,
    folder,
    callers: 8,
    seconds: 4,
    deploys: 4,
  });
  expect(report.problems).toEqual([]);
  expect(report.deployMs).toHaveLength(8);
  expect(report.answers).toBeGreaterThan(100);

  // Then back to an earlier version, and the versions as they are shown.
  await daemon.client.rollback('handled', 3);
  const detail = await daemon.client.function('handled');
  expect(detail.versions.map(({ version, serving }) => [version, serving])).toEqual([
    [1, false],
    [2, false],
    [3, true],
    [4, false],
    [5, false],
  ]);
  const row = Array.from({ length: 256 }, () => 0.5);
  const answer = await daemon.send('POST', '/function/handled', JSON.stringify({ row }));
  expect(answer.json).toMatchObject({ version: 3 });
  expect((await daemon.send('POST', '/function/handled', '{}')).status).toBe(500);
  const errors = (await daemon.client.function('handled')).lastErrors;
  expect(errors[0]).toMatchObject({ code: 'HANDLER_ERROR' });
});
