import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { COMPILE_EARLY } from '../../src/compile-early.ts';

it('V8 still has the option by which code is compiled early: one that it does not know would be ignored', () => {
  const options = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  expect(options).toContain(COMPILE_EARLY.split('=')[0]);
});
