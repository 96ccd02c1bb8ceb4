import { describe, expect, it } from 'vitest';
import { asTyped } from '../../../src/cli/as-typed.ts';
import { describeFailure } from '../../../src/cli/failure.ts';
import { ERROR_TABLE, GpufaasError, type ErrorCode } from '../../../src/errors.ts';

describe('what a failure is told as', () => {
  it('has something to do for every code there is', () => {
    for (const code of Object.keys(ERROR_TABLE) as ErrorCode[]) {
      const failure = describeFailure(new GpufaasError(code, 'Wrong.'));
      expect(failure?.suggestions[0]).toMatch(/\w{3}/);
      expect(failure?.exitCode).toBe(ERROR_TABLE[code].exit);
    }
  });

  it('is one line without control characters, whatever the message holds', () => {
    const failure = describeFailure(new GpufaasError('BAD_MODEL', 'one\r\n two \u001b[2J\u0007three'));
    expect(failure?.message).toBe('one two [2Jthree');
  });

  it.each([
    ['ENOENT', 'FILE_NOT_FOUND', 3],
    ['EISDIR', 'USAGE', 2],
    ['EACCES', 'CONFLICT', 1],
    ['ENOSPC', 'DISK_FULL', 1],
  ])('translates %s of the operating system', (code, expected, exitCode) => {
    const error = Object.assign(new Error(`${code}: x`), { code, syscall: 'open', path: '/a/b' });
    const failure = describeFailure(error);
    expect(failure).toMatchObject({ code: expected, exitCode });
    expect(failure?.message).toContain('/a/b');
  });

  it('names the file that stands where a folder is needed, not what would lie in it', () => {
    const file = import.meta.filename;
    const error = Object.assign(new Error('x'), { code: 'ENOTDIR', syscall: 'open', path: `${file}/logs/config.json` });
    expect(describeFailure(error)?.message).toBe(`${file} is not a folder.`);
  });

  it('says of a folder that it can not be made, where the system says that it is not there', () => {
    const error = Object.assign(new Error('x'), { code: 'ENOENT', syscall: 'mkdir', path: '/proc/nope' });
    expect(describeFailure(error)).toMatchObject({ exitCode: 1, message: '/proc/nope can not be made.' });
  });

  it('calls anything unknown a bug, with exit code 1', () => {
    expect(describeFailure(new TypeError('x is not a function'))).toMatchObject({ code: 'INTERNAL', exitCode: 1 });
    expect(describeFailure('just text')).toMatchObject({ code: 'INTERNAL', message: 'just text' });
  });

  it('is nothing for a process that only wants to end', () => {
    expect(describeFailure(Object.assign(new Error('EEXIT: 0'), { code: 'EEXIT', oclif: { exit: 0 } }))).toBeNull();
  });
});

describe('commands in messages', () => {
  it('are shown as they have to be typed', () => {
    const text = 'Start it with `gpufaas up`.\n  gpufaas ps';
    expect(asTyped(text, {})).toBe(text);
    expect(asTyped(text, { npm_command: 'exec' })).toBe('Start it with `npx gpufaas up`.\n  npx gpufaas ps');
  });
});

describe('an argument that is missing', () => {
  class RequiredArgsError extends Error {
    readonly oclif = {};
    readonly args = [{ name: 'id' }];
  }

  it('is told with the help of the very command', () => {
    expect(describeFailure(new RequiredArgsError(), 'calls show')).toMatchObject({
      message: 'ID is missing.',
      suggestions: ['`gpufaas calls show --help` shows how it is used.'],
    });
  });
});
