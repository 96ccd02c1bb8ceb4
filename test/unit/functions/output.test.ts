import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../src/clock.ts';
import { LineLimit, LineSplitter, safeLines } from '../../../src/functions/output.ts';

function split(chunks: readonly Uint8Array[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const chunk of chunks) splitter.push(chunk);
  splitter.end();
  return lines;
}

describe('what a process prints', () => {
  it('comes in the same lines however it is cut into chunks', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.integer({ min: 1, max: 7 }), (text, size) => {
        const bytes = Buffer.from(text);
        const chunks = Array.from({ length: Math.ceil(bytes.byteLength / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        expect(split(chunks)).toEqual(split([bytes]));
      }),
    );
    expect(split([Buffer.from('one\ntw'), Buffer.from('o\nthree')])).toEqual(['one', 'two', 'three']);
  });

  it('never holds more than a line of bounded length', () => {
    const lines = split([Buffer.alloc(100_000, 'x')]);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(8192);
    expect(lines.join('')).toHaveLength(100_000);
  });

  it('is safe to show in a terminal', () => {
    expect(safeLines('\u001b[31mred\u001b[0m\u0007\tand\r\nmore\0\n')).toEqual(['red\tand', 'more']);
    expect(safeLines('a\u009b31mb')[0]).not.toMatch(/\u009b/);
  });

  it('is let through at a bounded rate, and what was held back is told', () => {
    const clock = new ManualClock();
    const limit = new LineLimit(clock);
    const told: number[] = [];
    const admitted = Array.from({ length: 1500 }, () => limit.admit((count) => told.push(count))).filter(Boolean);
    expect(admitted).toHaveLength(1000);
    clock.advance(1000);
    expect(limit.admit((count) => told.push(count))).toBe(true);
    expect(told).toEqual([500]);
  });
});
