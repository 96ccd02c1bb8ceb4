import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { checkOutputs } from '../../../src/bench/outputs.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-outputs-'));
const at = (...names: string[]): string => join(folder, ...names);
writeFileSync(at('file'), '');
mkdirSync(at('locked'), { mode: 0o500 });
afterAll(() => {
  chmodSync(at('locked'), 0o700);
  rmSync(folder, { recursive: true });
});

describe('The outputs of a bench', () => {
  it('may be new or there already, and are not made by the look at them', () => {
    for (const out of ['new', 'new/below', '.']) checkOutputs({ out: at(out) });
    for (const timeline of ['t.csv', 'file']) checkOutputs({ timeline: at(timeline) });
    checkOutputs({});
    expect(existsSync(at('new'))).toBe(false);
    expect(existsSync(at('t.csv'))).toBe(false);
  });

  it.each([
    [{ out: at('file') }, `--out: ${at('file')} is not a folder.`],
    [{ out: at('file', 'below', 'it') }, `--out: ${at('file')} is not a folder.`],
    [
      { timeline: at('nosuch', 't.csv') },
      `--timeline: there is no folder ${at('nosuch')} for ${at('nosuch', 't.csv')}.`,
    ],
    [{ timeline: folder }, `--timeline: ${folder} is a folder.`],
    [{ timeline: at('file', 't.csv') }, `--timeline: ${at('file')} is not a folder.`],
  ])('are refused with what is wrong: %j', (outputs, message) => {
    const suggestions = [expect.stringMatching(/name a f/i)];
    expect(() => checkOutputs(outputs)).toThrow(expect.objectContaining({ code: 'USAGE', message, suggestions }));
  });

  it.skipIf(process.getuid?.() === 0)('are refused where nothing may be written', () => {
    expect(() => checkOutputs({ out: at('locked', 'new') })).toThrow("can't be written to");
    expect(() => checkOutputs({ timeline: at('locked', 't.csv') })).toThrow("can't be written to");
  });
});
