import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, normalize, sep } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fileInside, pathProblem } from '../../../src/functions/paths.ts';

describe('a path inside a function folder', () => {
  it.each(['a', 'a/b.onnx', 'a b/c', 'ünï/模型.onnx', '...a', 'a..b', '.env'])('may be %j', (path) =>
    expect(pathProblem(path)).toBeNull(),
  );

  it.each([
    '',
    '.',
    '..',
    '../a',
    'a/../b',
    'a/..',
    '/a',
    'a//b',
    'a/',
    './a',
    'C:/a',
    'c:a',
    'a\\b',
    'a\0',
    'a\nb',
    'a\u202eb',
    'a\u200b',
    '\uff0e\uff0e/a',
    '\u2025/a',
    'a\uff0fb',
    'x'.repeat(256),
    'y/'.repeat(600) + 'z',
    'nul',
    'com1.txt',
    'a.',
    'a ',
    'a:b',
    'a\ud800',
  ])('may not be %j', (path) => expect(pathProblem(path)).not.toBeNull());

  it('never leads outside, whatever it is', () => {
    const pieces = fc.constantFrom('..', '.', 'a', '', '/', '\\', '…', '．．', '\0', 'b.txt', '~', '%2e%2e');
    const result = fc.check(
      fc.property(fc.array(pieces, { maxLength: 8 }), fc.constantFrom('/', '', '\\'), (parts, joint) => {
        const path = parts.join(joint);
        return pathProblem(path) !== null || normalize(join('/jail', path)).startsWith(`/jail${sep}`);
      }),
      { numRuns: 2000 },
    );
    expect(result.counterexample).toBeNull();
  });

  it('is found only if it is an ordinary file that no link leads to', () => {
    const folder = mkdtempSync(join(tmpdir(), 'gpufaas-paths-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    mkdirSync(join(folder, 'real'));
    writeFileSync(join(folder, 'real', 'f'), '');
    symlinkSync('/etc', join(folder, 'etc'));
    symlinkSync('real/f', join(folder, 'link'));
    expect(fileInside(folder, 'real/f')).toBe(join(folder, 'real', 'f'));
    for (const path of ['link', 'etc/passwd', 'real', 'none', '../x']) expect(fileInside(folder, path)).toBeNull();
  });
});
