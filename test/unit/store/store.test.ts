import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { InvocationRecord } from '../../../src/api/schemas.ts';
import { ManualClock } from '../../../src/clock.ts';
import type { Manifest } from '../../../src/functions/types.ts';
import { openDatabase } from '../../../src/store/database.ts';
import { createFunctionStore, type VersionRow } from '../../../src/store/functions.ts';
import { createHistory } from '../../../src/store/history.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-store-'));
  path = join(folder, 'state.db');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const version = (name: string, number: number): VersionRow => ({
  name,
  version: number,
  manifest: { name } as Manifest,
  models: { classifier: 'abc' },
  createdAtMs: 5,
});

function record(id: string, name = 'f'): InvocationRecord {
  const timing = { queueMs: 0, loadMs: 0, runMs: 1, handlerMs: 0, totalMs: 1 };
  const arrivedAt = new Date(1_700_000_000_000).toISOString();
  return {
    id,
    function: name,
    version: 1,
    surface: 'infer',
    status: 200,
    errorCode: null,
    errorMessage: null,
    arrivedAt,
    cache: 'hit',
    device: 'cpu:0',
    runs: [],
    timing,
    decisions: [],
  };
}

describe('the function store', () => {
  it('keeps the note of a version, and gives none to those from before there were notes', () => {
    const database = openDatabase(path);
    database.exec('ALTER TABLE versions DROP COLUMN note; PRAGMA user_version = 2');
    database.exec(`INSERT INTO versions VALUES ('f', 1, '{"name":"f"}', '{"classifier":"abc"}', 5)`);
    database.close();
    const store = createFunctionStore(openDatabase(path));
    store.publish({ ...version('f', 2), note: 'new weights' });
    expect(store.versions('f')).toEqual([version('f', 1), { ...version('f', 2), note: 'new weights' }]);
  });

  it('keeps what was published when it is opened again', () => {
    const first = openDatabase(path);
    createFunctionStore(first).publish(version('f', 1));
    first.close();
    const store = createFunctionStore(openDatabase(path));
    expect(store.functions()).toEqual([{ name: 'f', servingVersion: 1, pinned: false }]);
    expect(store.versions('f')).toEqual([version('f', 1)]);
    expect(store.nextVersion('f')).toBe(2);
  });

  it('never gives a version number twice while the function exists', () => {
    const store = createFunctionStore(openDatabase(path));
    store.publish(version('f', 1));
    store.publish(version('f', 2));
    store.serve('f', 1);
    store.dropVersion('f', 2);
    expect(store.nextVersion('f')).toBe(3);
    store.remove('f');
    expect(store.nextVersion('f')).toBe(1);
    expect(store.functions()).toEqual([]);
  });

  it('leaves nothing of a publication that fails', () => {
    const store = createFunctionStore(openDatabase(path));
    store.publish(version('f', 1));
    expect(() => store.publish(version('f', 1))).toThrow('UNIQUE');
    expect(store.versions('f')).toHaveLength(1);
  });

  it('gives the residents most valuable first', () => {
    const store = createFunctionStore(openDatabase(path));
    store.saveResidents([
      { key: 'low', value: 1 },
      { key: 'high', value: 9 },
    ]);
    expect(store.residents()).toEqual(['high', 'low']);
  });

  it('refuses the state of a newer version', () => {
    const database = new DatabaseSync(path);
    database.exec('PRAGMA user_version = 9999');
    database.close();
    expect(() => openDatabase(path)).toThrow('newer gpufaas');
  });
});

describe('the history', () => {
  const options = {
    maxInvocations: 3,
    maxLogLines: 2,
    flushAfterMs: 100,
    flushAtRecords: 1000,
    onWriteError: () => undefined,
  };

  it('finds an invocation before and after it is written', () => {
    const clock = new ManualClock();
    const history = createHistory(openDatabase(path), clock, options);
    history.record(record('one'));
    expect(history.invocation('one')?.id).toBe('one');
    clock.advance(100);
    expect(history.invocation('one')?.id).toBe('one');
    expect(history.invocation('two')).toBeNull();
  });

  it('gives a smoke test by its id alone, and counts it nowhere', () => {
    const history = createHistory(openDatabase(path), new ManualClock(), options);
    history.record({ ...record('smoke', 'f'), surface: 'smoke' });
    for (let twice = 0; twice < 2; twice++) {
      expect(history.counts()).toEqual(new Map());
      expect(history.invocations({ limit: 10 })).toEqual([]);
      expect(history.invocations({ limit: 10, function: 'f' })).toEqual([]);
      expect(history.invocation('smoke')?.id).toBe('smoke');
    }
  });

  it('keeps the newest only, and counts all', () => {
    const history = createHistory(openDatabase(path), new ManualClock(), options);
    for (let index = 0; index < 5; index++) history.record(record(`call-${index}`, index === 0 ? 'g' : 'f'));
    expect(history.invocations({ limit: 10 }).map(({ id }) => id)).toEqual(['call-4', 'call-3', 'call-2']);
    expect(history.invocations({ limit: 1, function: 'f' }).map(({ id }) => id)).toEqual(['call-4']);
    expect(history.counts()).toEqual(
      new Map([
        ['f', 4],
        ['g', 1],
      ]),
    );
  });

  it('gives the failures of a function by the time they came, without the calls that were given up', () => {
    const history = createHistory(openDatabase(path), new ManualClock(), { ...options, maxInvocations: 1000 });
    const at = (second: number) => new Date(1_700_000_000_000 + second * 1000).toISOString();
    const add = (id: string, second: number, errorCode: string | null, name = 'f', surface = 'infer'): void =>
      history.record({ ...record(id, name), arrivedAt: at(second), errorCode, surface });
    add('early', 1, 'HANDLER_ERROR');
    add('slow', 3, 'TIMEOUT');
    // It came before the last one and ended after it.
    add('long', 2, 'TIMEOUT');
    add('fine', 4, null);
    add('other', 5, 'TIMEOUT', 'g');
    add('smoke', 6, 'TIMEOUT', 'f', 'smoke');
    for (let index = 0; index < 300; index++) add(`gone-${index}`, 10 + index, 'CANCELLED');
    expect(history.failures('f', 5).map(({ id }) => id)).toEqual(['slow', 'long', 'early']);
    expect(history.failures('f', 2).map(({ id }) => id)).toEqual(['slow', 'long']);
  });

  it('goes on after a write that failed, and says how much was lost', () => {
    const database = openDatabase(path);
    const lost: number[] = [];
    const history = createHistory(database, new ManualClock(), {
      ...options,
      onWriteError: (_error, dropped) => lost.push(dropped),
    });
    database.exec('ALTER TABLE invocations RENAME TO elsewhere');
    history.record(record('one'));
    history.flush();
    expect(lost).toEqual([1]);
    database.exec('ALTER TABLE elsewhere RENAME TO invocations');
    history.record(record('two'));
    history.flush();
    expect(history.invocation('two')?.id).toBe('two');
  });

  it('keeps the last lines of a log, oldest first', () => {
    const history = createHistory(openDatabase(path), new ManualClock(), options);
    const line = (text: string) => ({
      at: new Date(0).toISOString(),
      function: 'f',
      version: 1,
      callId: null,
      stream: 'log',
      level: 'info',
      text,
    });
    for (const text of ['a', 'b', 'c']) history.log(line(text));
    expect(history.logs('f', 10).map(({ text }) => text)).toEqual(['b', 'c']);
  });
});
