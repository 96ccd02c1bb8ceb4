import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HostCache, type HostItem } from '../../../src/models/host-cache.ts';
import { HostLedger } from '../../../src/models/host-ledger.ts';
import { makeMemoryFolder, memoryFolderRoom } from '../../../src/models/memory-folder.ts';

describe('the books of the host cache', () => {
  it('never exceed the budget, never give up what is held, and add up', () => {
    const keys = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    const steps = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant('admit' as const), key: keys, savedMs: fc.integer({ min: -5, max: 500 }) }),
        fc.record({ kind: fc.constantFrom('hold' as const, 'release' as const, 'remove' as const), key: keys }),
      ),
      { maxLength: 200 },
    );
    const sizes = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(steps, sizes, fc.integer({ min: 0, max: 20 }), (script, bytesOf, budget) => {
        const ledger = new HostLedger(budget);
        const held = new Map<string, number>();
        const there = new Map<string, number>();
        for (const step of script) {
          const { key } = step;
          const bytes = bytesOf['abcdef'.indexOf(key)]!;
          if (step.kind === 'admit') {
            const victims = ledger.admit(key, bytes, step.savedMs);
            for (const victim of victims ?? []) {
              assert.equal(held.get(victim) ?? 0, 0);
              there.delete(victim);
            }
            if (victims !== null) there.set(key, bytes);
          } else if (step.kind === 'hold') {
            assert.equal(ledger.hold(key), there.has(key));
            if (there.has(key)) held.set(key, (held.get(key) ?? 0) + 1);
          } else if (step.kind === 'release' && (held.get(key) ?? 0) > 0) {
            ledger.release(key);
            held.set(key, held.get(key)! - 1);
          } else if (step.kind === 'remove') {
            assert.equal(ledger.remove(key), there.delete(key));
            held.delete(key);
          }
          expect(ledger.bytes).toBe([...there.values()].reduce((total, each) => total + each, 0));
          expect(ledger.bytes).toBeLessThanOrEqual(budget);
        }
      }),
    );
  });

  it('give up what saves least time per byte and use, and in the end what is not used any more', () => {
    const ledger = new HostLedger(10);
    ledger.admit('slow', 4, 400);
    ledger.admit('fast', 4, 40);
    expect(ledger.admit('new', 4, 100)).toEqual(['fast']);
    for (let uses = 0; uses < 5; uses++) {
      ledger.hold('new');
      ledger.release('new');
    }
    // "slow" saves most in one use, but has not been used for long.
    const gone: string[] = [];
    for (let at = 0; at < 8; at++) gone.push(...(ledger.admit(`later ${at}`, 4, 150) ?? []));
    expect(gone).toContain('slow');
    expect(ledger.admit('too large', 11, 1e9)).toBeNull();
  });
});

describe('the host cache', () => {
  let root: string;
  const changes: string[] = [];
  const notices: string[] = [];
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'gpufaas-host-cache-'));
    changes.length = 0;
    notices.length = 0;
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  function cacheOf(budgetBytes: number): { readonly cache: HostCache; readonly folder: string } {
    const folder = join(root, 'memory');
    mkdirSync(folder, { recursive: true });
    const cache = new HostCache({
      budgetBytes,
      folder,
      onChange: (key, cached) => changes.push(`${cached ? '+' : '-'}${key}`),
      onNotice: (message) => notices.push(message),
    });
    return { cache, folder };
  }

  function item(key: string, bytes: number): HostItem {
    const folder = join(root, 'store', key);
    mkdirSync(join(folder, 'weights'), { recursive: true });
    writeFileSync(join(folder, 'model.onnx'), key);
    writeFileSync(join(folder, 'weights', 'w.bin'), Buffer.alloc(bytes - key.length, 7), { mode: 0o400 });
    return { key, source: { folder } };
  }

  it('finds nothing, then the files that were brought in, and counts both', async () => {
    const { cache, folder } = cacheOf(1000);
    expect(await cache.take('a')).toEqual({ hit: false, folder: null });
    await cache.fill(item('a', 300), 50);
    expect(cache.has('a')).toBe(true);
    expect(await cache.take('a')).toEqual({ hit: true, folder: join(folder, 'a') });
    expect(readFileSync(join(folder, 'a', 'model.onnx'), 'utf8')).toBe('a');
    expect(statSync(join(folder, 'a', 'weights', 'w.bin')).size).toBe(299);
    expect(cache.view()).toEqual({ bytes: 300, budgetBytes: 1000, models: 1, hits: 1, misses: 1 });
    await cache.close();
    expect(existsSync(folder)).toBe(false);
  });

  it('keeps within its budget on disk too, and never removes what is being read', async () => {
    const { cache, folder } = cacheOf(700);
    await cache.fill(item('a', 300), 10);
    await cache.take('a');
    await Promise.all([
      cache.fill(item('b', 300), 20),
      cache.fill(item('c', 400), 30),
      cache.fill(item('d', 450), 1e6),
    ]);
    expect(changes).toEqual(['+a', '+b', '-b', '+c']);
    expect([existsSync(join(folder, 'a')), existsSync(join(folder, 'b'))]).toEqual([true, false]);
    cache.give('a');
    await cache.fill(item('d', 650), 1e6);
    expect(cache.view()).toMatchObject({ bytes: 650, models: 1 });
    expect(existsSync(join(folder, 'a'))).toBe(false);
    await cache.fill(item('too-large', 701), 1e9);
    expect(cache.view()).toMatchObject({ bytes: 650, models: 1 });
  });

  it('goes back to the disk when its files were removed by others or can not be written', async () => {
    const { cache, folder } = cacheOf(1000);
    await cache.fill(item('a', 300), 50);
    rmSync(join(folder, 'a', 'model.onnx'));
    expect(await cache.take('a')).toEqual({ hit: false, folder: null });
    expect(cache.view()).toMatchObject({ bytes: 0, models: 0 });
    await cache.fill({ key: 'gone', source: { folder: join(root, 'nowhere') } }, 50);
    expect(notices).toEqual(['files of the host cache are gone', 'a model could not be kept in host memory']);
    expect(cache.view()).toMatchObject({ bytes: 0, models: 0 });
    await cache.fill(item('a', 300), 50);
    expect(await cache.take('a')).toMatchObject({ hit: true });
  });

  it.runIf(memoryFolderRoom() !== null)('lives in memory, in a folder that a killed daemon’s successor empties', () => {
    const left = makeMemoryFolder(root);
    writeFileSync(join(left, 'x'), 'x');
    const other = makeMemoryFolder(join(root, 'other'));
    const next = makeMemoryFolder(root);
    expect([existsSync(left), existsSync(other), existsSync(next)]).toEqual([false, true, true]);
    expect(statSync(next).mode & 0o777).toBe(0o700);
    for (const path of [other, next]) rmSync(path, { recursive: true });
  });
});
