import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { preparePackage } from '../../../src/client/pack.ts';
import { watchPackage } from '../../../src/client/watch.ts';

let folder: string;
const stop = { controller: new AbortController() };

beforeEach(() => {
  stop.controller = new AbortController();
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-watch-'));
  writeFileSync(join(folder, 'function.yaml'), 'name: words\nhandler: handler.ts\n');
  writeFileSync(join(folder, 'handler.ts'), 'export default () => 0;\n');
});
afterEach(() => {
  stop.controller.abort();
  rmSync(folder, { recursive: true });
});

/** Begins to watch; each call of the function it gives waits for one change, for at most the given time. */
async function watching(): Promise<(timeoutMs?: number) => Promise<boolean>> {
  const changes = watchPackage(await preparePackage(folder), stop.controller.signal);
  await changes.next();
  let next: Promise<boolean> | null = null;
  return async (timeoutMs = 10_000) => {
    next ??= changes.next().then(({ done }) => done !== true);
    const seen = await Promise.race([next, sleep(timeoutMs).then(() => false)]);
    if (seen) next = null;
    return seen;
  };
}

/** Saves as careful editors do: a new file takes the place of the old one. */
function saveOver(text: string): void {
  writeFileSync(join(folder, 'handler.ts~'), text);
  renameSync(join(folder, 'handler.ts~'), join(folder, 'handler.ts'));
}

it('sees a file that takes the place of another, again and again', async () => {
  const change = await watching();
  for (const digit of [1, 2, 3]) {
    saveOver(`export default () => ${digit};\n`);
    expect(await change()).toBe(true);
  }
});

it('tells of a change once', async () => {
  const change = await watching();
  saveOver('export default () => 1;\n');
  expect(await change()).toBe(true);
  expect(await change(1_000)).toBe(false);
});

it('sees new files and new ignore rules, not what stays at home', async () => {
  const change = await watching();
  mkdirSync(join(folder, 'node_modules'));
  writeFileSync(join(folder, 'node_modules', 'x.js'), '');
  expect(await change(1_200)).toBe(false);
  mkdirSync(join(folder, 'data'));
  writeFileSync(join(folder, 'data', 'words.txt'), 'a');
  expect(await change()).toBe(true);
  writeFileSync(join(folder, '.gpufaasignore'), 'data/\n');
  expect(await change()).toBe(true);
  writeFileSync(join(folder, 'data', 'words.txt'), 'bb');
  expect(await change(1_200)).toBe(false);
});

it('ends with its signal', async () => {
  const changes = watchPackage(await preparePackage(folder), stop.controller.signal);
  await changes.next();
  const next = changes.next();
  stop.controller.abort();
  expect(await next).toMatchObject({ done: true });
});
