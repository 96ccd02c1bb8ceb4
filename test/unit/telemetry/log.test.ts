// The daemon's log on disk: JSON lines, private, bounded.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, afterEach, expect, test } from 'vitest';
import { createLog, LOG_FILE } from '../../../src/telemetry/log.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-log-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lines = (file = LOG_FILE): Record<string, unknown>[] =>
  readFileSync(join(folder, file), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a line is JSON, on the disk at once, and nobody else may read it', () => {
  const log = createLog({ folder }, {});
  log.warn({ device: 'cpu:0' }, 'worker lost');
  log.debug('not this one');
  expect(lines()).toEqual([
    { level: 'warn', time: expect.stringMatching(/^20.+Z$/), device: 'cpu:0', msg: 'worker lost' },
  ]);
  expect(statSync(join(folder, LOG_FILE)).mode & 0o777).toBe(0o600);
});

test('debug lines come on request', () => {
  createLog({ folder }, { GPUFAAS_DEBUG: '1' }).debug('this one');
  expect(lines()[0]).toMatchObject({ level: 'debug', msg: 'this one' });
});

test('errors keep their cause', () => {
  createLog({ folder }, {}).error({ err: new Error('why') }, 'it failed');
  expect(lines()[0]!['err']).toMatchObject({ message: 'why', stack: expect.stringContaining('log.test') });
});

test('full files are set aside, and only so many are kept', () => {
  const log = createLog({ folder, maxBytes: 1000, keep: 2 }, {});
  for (let index = 0; index < 100; index++) log.info({ index }, 'a line of some length to fill the file');
  expect(readdirSync(folder).sort()).toEqual([LOG_FILE, `${LOG_FILE}.1`, `${LOG_FILE}.2`]);
  for (const file of readdirSync(folder)) expect(statSync(join(folder, file)).size).toBeLessThanOrEqual(1000);
  expect(lines().at(-1)!['index']).toBe(99);
});

test('a daemon that starts again goes on in the same file, or a new one if it is full', () => {
  createLog({ folder, maxBytes: 1000 }, {}).info('first');
  createLog({ folder, maxBytes: 1000 }, {}).info('second');
  expect(lines().map((line) => line['msg'])).toEqual(['first', 'second']);
  createLog({ folder, maxBytes: 10 }, {}).info('third');
  expect(lines().map((line) => line['msg'])).toEqual(['third']);
  expect(lines(`${LOG_FILE}.1`)).toHaveLength(2);
});

test('a folder that is gone costs lines and nothing else', () => {
  const log = createLog({ folder: join(folder, 'none') }, {});
  expect(() => log.info('lost')).not.toThrow();
});
