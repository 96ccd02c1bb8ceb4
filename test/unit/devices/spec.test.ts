// The grammar of --devices, exactly as the contract gives it.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GpufaasError } from '../../../src/errors.ts';
import { parseDeviceSpec } from '../../../src/devices/spec.ts';

describe('a --devices specification', () => {
  it.each([
    ['auto', [{ kind: 'auto' }]],
    ['cpu', [{ kind: 'cpu', count: 1 }]],
    ['cpu:2', [{ kind: 'cpu', count: 2 }]],
    ['cpu:2@1GB', [{ kind: 'cpu', count: 2, memoryBytes: 1e9 }]],
    ['cpu@7800MB', [{ kind: 'cpu', count: 1, memoryBytes: 7800e6 }]],
    ['cuda', [{ kind: 'cuda', index: 'all' }]],
    ['cuda:all@8GB', [{ kind: 'cuda', index: 'all', memoryBytes: 8e9 }]],
    ['cuda:0', [{ kind: 'cuda', index: 0 }]],
    ['webgpu@7GiB', [{ kind: 'webgpu', memoryBytes: 7 * 2 ** 30 }]],
    ['dml,coreml', [{ kind: 'dml' }, { kind: 'coreml' }]],
    [
      ' emulated:12@8GB , CPU ',
      [
        { kind: 'emulated', count: 12, memoryBytes: 8e9 },
        { kind: 'cpu', count: 1 },
      ],
    ],
    [
      'emulated:4@16GB,emulated:8@8GB',
      [
        { kind: 'emulated', count: 4, memoryBytes: 16e9 },
        { kind: 'emulated', count: 8, memoryBytes: 8e9 },
      ],
    ],
  ])('%s', (text, requests) => {
    expect(parseDeviceSpec(text)).toEqual(requests);
  });

  it.each([
    ['', /empty part/],
    ['cpu,', /empty part/],
    ['gpu', /"gpu" is not a device/],
    ['cpu:0', /count from 1 to 256/],
    ['cpu:two', /count from 1 to 256/],
    ['cpu@', /"" where an amount of memory belongs/],
    ['cpu@lots', /"lots" where an amount of memory belongs/],
    ['cpu@8', /is the unit missing/],
    ['emulated', /needs a count/],
    ['emulated:3', /needs an amount of memory/],
    ['cuda:first', /index of a card, or `all`/],
    ['cuda:0,cuda:0', /names a card twice/],
    ['cuda:0,cuda:all', /names a card twice/],
    ['webgpu:2', /takes no count/],
    ['webgpu,webgpu', /names webgpu twice/],
    ['auto,cpu', /`auto` beside other devices/],
    ['auto:2', /neither a count nor memory/],
    ['cpu:200,cpu:200', /more than 256 devices/],
  ])('%j is refused with what was expected', (text, message) => {
    let error: GpufaasError | undefined;
    try {
      parseDeviceSpec(text);
    } catch (thrown) {
      error = thrown as GpufaasError;
    }
    expect(error).toMatchObject({ code: 'USAGE', message: expect.stringMatching(message) });
    expect(error!.suggestions.length).toBeGreaterThan(0);
  });

  it('never ends in anything but requests or USAGE, on one short line', () => {
    const piece = fc.constantFrom(
      'cpu',
      'cuda',
      'emulated',
      'webgpu',
      'auto',
      ':',
      '@',
      ',',
      '1',
      '8GB',
      'all',
      '\n',
      '\0',
      ' ',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 200 }),
          fc.array(piece, { maxLength: 10 }).map((pieces) => pieces.join('')),
        ),
        (text) => {
          let code = 'USAGE';
          let message = '';
          try {
            parseDeviceSpec(text);
          } catch (error) {
            ({ code, message } = error as GpufaasError);
          }
          expect(code).toBe('USAGE');
          expect(message).not.toContain('\n');
          expect(message.length).toBeLessThan(300);
        },
      ),
    );
  });
});
