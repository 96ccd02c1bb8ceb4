// The reserve: spent on what fits only with it, once, and made again.

import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { createDiskReserve } from '../../../src/store/reserve.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-reserve-'));
  path = join(folder, 'reserve');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const full = new GpufaasError('DISK_FULL', 'No room.');

test('a write that fits leaves it alone', () => {
  const reserve = createDiskReserve(path, 1000);
  reserve.keep();
  expect(reserve.spend(() => 5)).toBe(5);
  expect(statSync(path).size).toBe(1000);
});

test('a write that does not fit is done with its room, which is taken back afterwards', () => {
  const reserve = createDiskReserve(path, 1000);
  reserve.keep();
  const seen: boolean[] = [];
  const write = (): string => {
    seen.push(existsSync(path));
    if (seen.length === 1) throw full;
    return 'done';
  };
  expect(reserve.spend(write)).toBe('done');
  expect(seen).toEqual([true, false]);
  expect(existsSync(path)).toBe(true);
});

test('a write that does not fit even so, and one that fails otherwise, fail as they do', () => {
  const reserve = createDiskReserve(path, 1000);
  reserve.keep();
  let tries = 0;
  const failing = (error: Error) => () => {
    tries++;
    throw error;
  };
  expect(() => reserve.spend(failing(full))).toThrow('No room');
  expect(tries).toBe(2);
  expect(() => reserve.spend(failing(new Error('odd')))).toThrow('odd');
  expect(tries).toBe(3);
});

test('without a reserve a full disk is a full disk', () => {
  const reserve = createDiskReserve(join(folder, 'nowhere', 'reserve'), 1000);
  reserve.keep();
  expect(() =>
    reserve.spend(() => {
      throw full;
    }),
  ).toThrow('No room');
});
