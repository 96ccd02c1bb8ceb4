import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resultOf } from '../../../src/cli/answer.ts';
import { readInput, sniffType } from '../../../src/cli/input.ts';

let folder: string;
const rest = { signal: new AbortController().signal, onWaiting: () => {} };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-input-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the input of a call', () => {
  it.each([
    ['{"a": 1}', 'application/json'],
    [' [1, 2]', 'application/json'],
    ['-3.5e2', 'application/json'],
    ['{oops', 'text/plain; charset=utf-8'],
    ['Guten Morgen', 'text/plain; charset=utf-8'],
    ['', 'text/plain; charset=utf-8'],
  ])('takes the content type of %j from what it looks like', (text, type) => {
    expect(sniffType(Buffer.from(text))).toBe(type);
  });

  it('calls bytes that are no text bytes', () => {
    expect(sniffType(Buffer.from([0x89, 0x50, 0xff]))).toBe('application/octet-stream');
    expect(sniffType(Buffer.from('a\0b'))).toBe('application/octet-stream');
  });

  it('goes by the name of a file first', async () => {
    writeFileSync(join(folder, 'seven.PNG'), 'not really');
    await expect(readInput({ file: join(folder, 'seven.PNG'), ...rest })).resolves.toMatchObject({
      contentType: 'image/png',
    });
    writeFileSync(join(folder, 'noname'), '{"a":1}');
    await expect(readInput({ file: join(folder, 'noname'), ...rest })).resolves.toMatchObject({
      contentType: 'application/json',
    });
  });

  it('says which file is missing, and that a folder is none', async () => {
    await expect(readInput({ file: join(folder, 'gone'), ...rest })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(readInput({ file: folder, ...rest })).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('the result of a call as data', () => {
  it('is parsed if it is JSON', () => {
    expect(resultOf(Buffer.from('{"label":7}'), 'application/json; charset=utf-8')).toEqual({ label: 7 });
    expect(resultOf(Buffer.from('7'), undefined)).toBe(7);
  });

  it('is text if it is text, JSON-like or not', () => {
    expect(resultOf(Buffer.from('7'), 'text/plain')).toBe('7');
    expect(resultOf(Buffer.from('{cut'), 'application/json')).toBe('{cut');
  });

  it('is base64 if it is neither', () => {
    expect(resultOf(Buffer.from([0xff, 0x00]), 'image/png')).toEqual({ base64: '/wA=' });
  });
});
