import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/units.ts';

describe('sizes', () => {
  it.each([
    ['16MB', 16_000_000],
    ['7GiB', 7 * 2 ** 30],
    ['7.5 gb', 7_500_000_000],
    ['4096', 4096],
    ['0B', 0],
    ['500kb', 500_000],
  ])('reads %s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(['', 'MB', '-1MB', '1e9', '12 parsecs', '1..2GB', '9'.repeat(400), '999999999999TB', '5M'])(
    'refuses %s',
    (text) => expect(() => parseSize(text)).toThrow(/size/),
  );

  it('reads back what it writes, within its rounding', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e15 }), (bytes) => {
        expect(Math.abs(parseSize(formatSize(bytes)) - bytes) / bytes).toBeLessThanOrEqual(0.051);
      }),
    );
  });

  it('writes sizes for people', () => {
    expect([0, 999, 1000, 999_999, 7_800_000_000].map(formatSize)).toEqual(['0 B', '999 B', '1 kB', '1 MB', '7.8 GB']);
  });
});

describe('durations', () => {
  it.each([
    ['2ms', 2],
    ['30s', 30_000],
    ['10m', 600_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['0', 0],
  ])('reads %s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '30', 's', '-1s', '1 s s', '30s!', '1w', 'forever'])('refuses %s', (text) =>
    expect(() => parseDuration(text)).toThrow(/duration/),
  );

  it('writes durations for people', () => {
    expect([0.44, 412, 2_500, 59_960, 200_000, 7_500_000, 356_400_000].map(formatDuration)).toEqual([
      '0.44 ms',
      '412 ms',
      '2.5 s',
      '1m 0s',
      '3m 20s',
      '2h 5m',
      '4d 3h',
    ]);
  });
});
