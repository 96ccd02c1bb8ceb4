// Every policy that comes with the product, on many workloads: the rules of the devices hold, and nothing knew the future.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createScheduler, POLICIES } from '../../../src/scheduling/scheduler.ts';
import { deviceRuleViolations, prefixDifference } from '../../../src/simulation/checker.ts';
import { simulate } from '../../../src/simulation/kernel.ts';
import { paperProfile, workingSetModels } from '../../../src/simulation/profile.ts';
import { timelineObserver } from '../../../src/simulation/timeline.ts';
import type { TimelineRow } from '../../../src/simulation/timeline.ts';
import type { SimulatedDevice, Workload } from '../../../src/simulation/types.ts';
import { openWorkload } from '../../../src/simulation/workloads.ts';
import type { ListWorkload } from '../../../src/simulation/workloads.ts';

interface Setting {
  readonly policy: string;
  readonly overlap: boolean;
  readonly preload: boolean;
  readonly loadLanes?: number;
}

const DRAIN_MS = 600_000;

function devicesOf(memories: readonly number[], overlap: boolean): SimulatedDevice[] {
  return memories.map((memoryBytes, index) => ({ id: `emulated:${index}`, memoryBytes, overlap }));
}

function timeline(setting: Setting, workload: Workload, devices: readonly SimulatedDevice[]): TimelineRow[] {
  const rows: TimelineRow[] = [];
  const { policy, preload, loadLanes } = setting;
  simulate({
    core: createScheduler({
      policy,
      preload,
      maxQueuedRequests: Infinity,
      maxQueuedBytes: Infinity,
      ...(loadLanes === undefined ? {} : { loadLanes }),
    }),
    devices,
    workload,
    observer: timelineObserver(workload, (row) => rows.push(row)),
    drainMs: DRAIN_MS,
  });
  return rows;
}

function toList(workload: Workload): ListWorkload {
  const [atMs, model]: [number[], number[]] = [[], []];
  for (const chunk of workload.arrivals()) {
    atMs.push(...chunk.atMs);
    model.push(...chunk.model);
  }
  return {
    kind: 'list',
    models: workload.models,
    atMs: Float64Array.from(atMs),
    model: Int32Array.from(model),
    rows: Int32Array.from(atMs.keys()),
    workingSet: workload.workingSet,
  };
}

/** The requests that arrive before `atMs`. */
function cut(list: ListWorkload, atMs: number): ListWorkload {
  const end = list.atMs.findIndex((time) => time >= atMs);
  const count = end === -1 ? list.atMs.length : end;
  return {
    ...list,
    atMs: list.atMs.slice(0, count),
    model: list.model.slice(0, count),
    rows: list.rows.slice(0, count),
  };
}

const settings: Setting[] = POLICIES.flatMap(({ name: policy }) => [
  { policy, overlap: true, preload: false },
  { policy, overlap: false, preload: false },
  { policy, overlap: true, preload: false, loadLanes: 2 },
  ...(policy === 'locality'
    ? [
        { policy, overlap: true, preload: true },
        { policy, overlap: false, preload: true, loadLanes: 1 },
      ]
    : []),
]);

describe.each(settings)('$policy, overlap $overlap, preload $preload, lanes $loadLanes', (setting) => {
  it.each([15, 35])('keeps the rules and knows no future on the workload "paper", working set %i', (workingSet) => {
    const models = workingSetModels(paperProfile(), workingSet);
    const list = toList(openWorkload({ kind: 'zipf', models, rpm: 400, minutes: 3, skew: 0.8, seed: 7 }));
    const devices = devicesOf(
      Array.from({ length: 12 }, () => 7_800_000_000),
      setting.overlap,
    );
    const full = timeline(setting, openWorkload(list), devices);
    expect(deviceRuleViolations(full, { ...setting, devices, workload: openWorkload(list) })).toEqual([]);
    for (const atMs of [1, 5_000, 61_234, 170_000]) {
      const shorter = cut(list, atMs);
      if (shorter.atMs.length === 0) continue;
      expect(prefixDifference(full, timeline(setting, openWorkload(shorter), devices), atMs)).toBeNull();
    }
  });

  it('keeps the rules and knows no future on any small workload', () => {
    const small = fc.record({
      memories: fc.array(fc.integer({ min: 10, max: 25 }), { minLength: 1, maxLength: 4 }),
      models: fc.array(
        fc.record({
          memoryBytes: fc.integer({ min: 1, max: 10 }),
          loadMs: fc.integer({ min: 1, max: 3000 }),
          runMs: fc.integer({ min: 1, max: 2000 }),
          batched: fc.boolean(),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      requests: fc.array(fc.record({ gapMs: fc.integer({ min: 0, max: 2500 }), model: fc.nat() }), {
        minLength: 1,
        maxLength: 50,
      }),
      cutAt: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(small, ({ memories, models, requests, cutAt }) => {
        let atMs = 0;
        const specs = models.map(({ batched, ...model }, index) => {
          return { ...model, id: `m${index}`, ...(batched ? { batching: { maxSize: 3, maxDelayMs: 20 } } : {}) };
        });
        const list: ListWorkload = {
          kind: 'list',
          models: specs,
          atMs: Float64Array.from(requests, ({ gapMs }) => (atMs += gapMs)),
          model: Int32Array.from(requests, ({ model }) => model % specs.length),
          rows: Int32Array.from(requests.keys()),
          workingSet: specs.length,
        };
        const devices = devicesOf(memories, setting.overlap);
        const full = timeline(setting, openWorkload(list), devices);
        expect(deviceRuleViolations(full, { ...setting, devices, workload: openWorkload(list) })).toEqual([]);
        const cutMs = Math.ceil(atMs * cutAt);
        const shorter = cut(list, cutMs);
        expect(prefixDifference(full, timeline(setting, openWorkload(shorter), devices), cutMs)).toBeNull();
      }),
      { numRuns: 200 },
    );
  });
});

describe('The checker', () => {
  const models = [
    { id: 'a', memoryBytes: 6, loadMs: 10, runMs: 5 },
    { id: 'b', memoryBytes: 6, loadMs: 10, runMs: 5 },
  ];
  const workload = openWorkload({
    kind: 'list',
    models,
    atMs: Float64Array.from([0, 20]),
    model: Int32Array.from([0, 1]),
    rows: Int32Array.from([0, 1]),
    workingSet: 2,
  });
  const row = (
    kind: TimelineRow['kind'],
    model: string,
    requests: number[],
    startMs: number,
    endMs: number,
  ): TimelineRow => {
    return { device: 0, kind, model, requests, startMs, endMs };
  };
  const sound = [
    row('load', 'a', [0], 0, 10),
    row('run', 'a', [0], 10, 15),
    row('evict', 'a', [], 20, 20),
    row('load', 'b', [1], 20, 30),
    row('run', 'b', [1], 30, 35),
  ];
  const violations = (rows: readonly TimelineRow[], over: object = {}): string =>
    deviceRuleViolations(rows, { devices: devicesOf([10], true), workload, ...over }).join('\n');
  const replaced = (index: number, ...rows: TimelineRow[]): TimelineRow[] => sound.toSpliced(index, 1, ...rows);

  it('passes a sound time line', () => {
    expect(violations(sound)).toBe('');
  });

  it.each<[string, TimelineRow[]]>([
    ['request 1 ran 0 times', sound.slice(0, 4)],
    ['request 0 ran 2 times', sound.toSpliced(2, 0, row('run', 'a', [0], 15, 20))],
    ['takes the device to 12 bytes', sound.toSpliced(2, 1)],
    ['runs a model that is not resident', replaced(1, row('run', 'a', [0], 9, 14))],
    ['is a second run at once', sound.toSpliced(2, 0, row('run', 'a', [0], 14, 19))],
    ['is a second load at once', [sound[0]!, row('load', 'b', [], 5, 15)]],
    ['loads what the device holds', sound.toSpliced(2, 0, row('load', 'a', [], 15, 25))],
    ['evicts what runs', replaced(2, row('evict', 'a', [], 14, 14))],
    ['evicts what is being loaded', [sound[0]!, row('evict', 'a', [], 5, 5)]],
    ['evicts what the device does not hold', [row('evict', 'a', [], 0, 0)]],
    [
      'serves request 1 before its arrival',
      [...sound.slice(0, 2), row('evict', 'a', [], 16, 16), row('load', 'b', [1], 16, 26)],
    ],
    ['loads before anyone asked', [...sound.slice(0, 2), row('evict', 'a', [], 16, 16), row('load', 'b', [], 16, 26)]],
    ['serves request 1 of another model', replaced(1, row('run', 'a', [1], 10, 15))],
    ['does not take 5 ms', replaced(1, row('run', 'a', [0], 10, 14))],
    ['comes after a row of 10 ms', replaced(2, row('evict', 'a', [], 9, 9))],
  ])('sees that one %s', (what, rows) => {
    expect(violations(rows)).toContain(what);
  });

  it('sees loads beside runs where there is no overlap, and too many loads', () => {
    const devices = devicesOf([20], false);
    const rows = sound.toSpliced(2, 2, row('load', 'b', [], 12, 22));
    expect(violations(rows, { devices, preload: true })).toContain('loads beside a run, without overlap');
    expect(violations(sound, { loadLanes: 0 })).toContain('is a load beyond the lanes');
  });

  it('finds the first difference before the cut, and none after it', () => {
    expect(prefixDifference(sound, sound.slice(0, 2), 20)).toBeNull();
    expect(prefixDifference(sound, sound.slice(0, 2), 21)).toContain('row 2');
    expect(prefixDifference(sound.slice(0, 2), sound, 21)).toContain('row 2: nothing became');
  });
});
