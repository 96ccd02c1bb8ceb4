import { describe, expect, it } from 'vitest';
import { renderCache } from '../../../src/cli/render/cache.ts';
import { renderDeployment } from '../../../src/cli/render/deployment.ts';
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

  it('says of an emulated device that its answer is made up', () => {
    expect(renderTiming({ cache: 'hit', device: 'emulated:1', durations, totalMs: 10 })).toBe(
      'HIT emulated:1 (emulated: the answer is made up) · queue 0 ms · run 9 ms · total 10 ms',
    );
    expect(renderTiming({ cache: 'miss', device: 'emulated:0', durations, totalMs: 424.4 })).toMatch(
      /^MISS load 412 ms → emulated:0 \(emulated: the answer is made up\) · queue /,
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

describe('what a model costs where devices have memory of their own', () => {
  const model = { name: 'm', sha256: 'a'.repeat(64), bytes: 5e6, loadMs: 2, runMs: 8, memoryBytes: 60e6 };
  const deployed = { name: 'f', version: 1, url: 'http://x', smokeTest: null };
  const kind = (device: string, estimated: boolean) => ({
    kind: device.split(':')[0]!,
    device,
    loadMs: 200,
    runMs: 1,
    memoryBytes: 90e6,
    estimated,
  });

  it('is shown by kind of device, estimates as such', () => {
    const profiles = [kind('cuda:0', false), kind('webgpu:0', true)];
    const text = renderDeployment({ ...deployed, models: [{ ...model, profiles }] });
    expect(text).toMatch(/MODEL +FILE +ON +ON A DEVICE/);
    expect(text).toMatch(/m +5 MB +cuda:0 +90 MB +200 ms/);
    expect(text).toMatch(/m +5 MB +webgpu:0 \(estimate\) +90 MB/);
    expect(renderDeployment({ ...deployed, models: [model] })).toMatch(/MODEL +FILE +ON A DEVICE/);
  });

  it('is followed by what the host cache holds, and by memory that is lent', () => {
    const device = {
      id: 'cuda:0',
      kind: 'cuda',
      name: 'card',
      state: 'ready',
      pid: 1,
      memoryBytes: 8e9,
      usedBytes: 1e9,
      reservedBytes: 856e6,
      measuredBytes: null,
      resident: [],
      queued: 0,
    };
    const hostCache = { bytes: 2e9, budgetBytes: 4e9, models: 1, hits: 3, misses: 2 };
    const text = renderCache({ devices: [device], queued: 0, hostCache }, 0);
    expect(text).toContain('1 GB of 8 GB · measured - · 856 MB lent to a measurement');
    expect(text).toContain('host cache  1 model, 2 GB of 4 GB · 3 loads from it, 2 from disk');
    expect(renderCache({ devices: [device], queued: 0 }, 0)).not.toContain('host cache');
  });
});
