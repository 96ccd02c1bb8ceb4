import { describe, expect, it } from 'vitest';
import { renderPairs, renderTable } from '../../../src/cli/render/table.ts';
import { renderTiming } from '../../../src/cli/render/timing.ts';

describe('the timing line', () => {
  const durations = { queue: 0.2, load: 412.3, run: 8.9 };

  it('shows the load of a miss and where it went', () => {
    expect(renderTiming({ cache: 'miss', device: 'cpu:0', durations, totalMs: 424.4 })).toBe(
      'MISS load 412 ms → cpu:0 · queue 0 ms · run 9 ms · total 424 ms',
    );
  });

  it('shows the device of a hit', () => {
    expect(renderTiming({ cache: 'hit', device: 'cpu:0', durations, totalMs: 10 })).toBe(
      'HIT cpu:0 · queue 0 ms · run 9 ms · total 10 ms',
    );
  });

  it('does not speak of a device where no model ran', () => {
    expect(renderTiming({ cache: 'none', device: null, durations: {}, totalMs: 3 })).toBe('NO MODEL RUN · total 3 ms');
  });
});

describe('tables', () => {
  it('are as wide as their widest cells, numbers to the right', () => {
    const text = renderTable(
      [
        { name: 'a', count: 7 },
        { name: 'größer', count: 1234 },
      ],
      [
        { title: 'NAME', value: (row) => row.name },
        { title: 'N', value: (row) => String(row.count), align: 'right' },
      ],
    );
    expect(text).toBe(['NAME       N', 'a          7', 'größer  1234'].join('\n'));
  });

  it('keep a row on its line, whatever a cell holds', () => {
    const text = renderTable(['two\nlines\tand a tab'], [{ title: 'TEXT', value: (row) => row }]);
    expect(text.split('\n')).toHaveLength(2);
  });

  it('leave out pairs without a value', () => {
    expect(
      renderPairs([
        ['name', 'x'],
        ['nothing', null],
      ]),
    ).toBe('name  x');
  });
});
