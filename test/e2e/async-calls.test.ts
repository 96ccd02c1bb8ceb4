// Asynchronous calls and a daemon that is killed: what was taken over is run, what ran is named, and nothing runs twice
// unless somebody asks for it.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AsyncCallSummary } from '../../src/api/schemas.ts';
import { Sandbox } from '../helpers/cli.ts';

const main = new Sandbox();
const LOG = 'begun';

beforeAll(async () => {
  const folder = join(main.folder, 'later');
  mkdirSync(folder);
  writeFileSync(join(folder, 'function.yaml'), 'name: later\nhandler: handler.ts\nconcurrency: 1\ntimeout: 2m\n');
  writeFileSync(
    join(folder, 'handler.ts'),
    [
      "import { defineHandler } from 'gpufaas';",
      "import { setTimeout as sleep } from 'node:timers/promises';",
      'export default defineHandler(async (request, { log }) => {',
      '  const text = request.text();',
      `  log.info('${LOG} ' + text);`,
      "  if (text.startsWith('slow')) await sleep(Number(text.split(' ')[1]));",
      "  return 'done ' + text;",
      '});',
    ].join('\n'),
  );
  await main.run(['up', '--port', '0']);
  await main.run(['deploy', 'later']);
});
afterAll(() => main.close());

const later = async (text: string): Promise<string> =>
  (await main.json<{ id: string }>('invoke', 'later', '-d', text, '--async')).id;
const list = (...flags: string[]): Promise<AsyncCallSummary[]> => main.json('calls', 'ls', ...flags);
const stateOf = async (id: string): Promise<string | undefined> => (await list()).find((call) => call.id === id)?.state;

/** How often the handler was begun with each text. */
async function begun(): Promise<Record<string, number>> {
  const lines = await main.json<{ text: string }[]>('logs', 'later');
  const counts: Record<string, number> = {};
  for (const { text } of lines) if (text.startsWith(LOG)) counts[text] = (counts[text] ?? 0) + 1;
  return counts;
}

it('a daemon that is killed loses none of them and runs none twice', { timeout: 120_000 }, async () => {
  const slow = await later('slow 60000');
  await expect.poll(() => stateOf(slow), { timeout: 20_000 }).toBe('running');
  // The log line is written in groups: a kill may cost the last ones.
  await expect.poll(begun, { timeout: 20_000 }).toEqual({ [`${LOG} slow 60000`]: 1 });
  const waiting = [await later('one'), await later('two')];
  expect(await list('--state', 'queued')).toMatchObject(waiting.toReversed().map((id) => ({ id, attempts: 0 })));
  process.kill(main.pid()!, 'SIGKILL');

  expect(await main.run(['up', '--port', '0'])).toMatchObject({ code: 0 });
  for (const [index, id] of waiting.entries()) {
    const { code, stdout } = await main.run(['calls', 'show', id, '--wait']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `done ${['one', 'two'][index]}` });
  }
  const broken = await main.run(['calls', 'show', slow]);
  expect(broken).toMatchObject({ code: 1, stdout: '' });
  expect(broken.stderr).toMatch(/daemon ended while the call ran.*\n→ `?gpufaas calls retry/);
  expect(await list('--state', 'interrupted')).toMatchObject([{ id: slow, status: 502, attempts: 1 }]);
  expect(await begun()).toEqual({ [`${LOG} slow 60000`]: 1, [`${LOG} one`]: 1, [`${LOG} two`]: 1 });
});

it('one that has ended runs again when it is asked for, and not while it runs', { timeout: 90_000 }, async () => {
  const slow = await later('slow 60000');
  await expect.poll(() => stateOf(slow), { timeout: 20_000 }).toBe('running');
  expect(await main.run(['calls', 'retry', slow])).toMatchObject({ code: 1 });
  expect(await main.run(['calls', 'cancel', slow])).toMatchObject({ code: 0 });
  await expect.poll(() => stateOf(slow), { timeout: 20_000 }).toBe('cancelled');

  const id = await later('again');
  expect((await main.run(['calls', 'show', id, '--wait'])).stdout).toBe('done again');
  expect(await main.json('calls', 'retry', id)).toMatchObject({ id, function: 'later' });
  expect((await main.run(['calls', 'show', id, '--wait'])).stdout).toBe('done again');
  expect(await list('--limit', '1')).toMatchObject([{ id, state: 'done', attempts: 2 }]);
  expect(await main.run(['calls', 'retry', 'nobody'])).toMatchObject({ code: 3 });
  const table = await main.run(['calls', 'ls']);
  expect(table.stdout).toMatch(/^ID +FUNCTION +STATE/);
  expect(table.stdout).toContain(`${id}  later     done `);
});

it('down lets what runs end, and leaves what waits to the next daemon', { timeout: 90_000 }, async () => {
  const slow = await later('slow 6000');
  await expect.poll(() => stateOf(slow), { timeout: 20_000 }).toBe('running');
  const next = await later('next');
  expect(await main.run(['down', '--drain', '30s'])).toMatchObject({ code: 0 });
  expect(readFileSync(join(main.home, 'calls', `${next}.request`), 'utf8')).toBe('next');
  expect(await main.run(['up', '--port', '0'])).toMatchObject({ code: 0 });
  expect((await main.run(['calls', 'show', slow])).stdout).toBe('done slow 6000');
  expect((await main.run(['calls', 'show', next, '--wait'])).stdout).toBe('done next');
});
