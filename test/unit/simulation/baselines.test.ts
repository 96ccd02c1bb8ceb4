// The scheduler's baselines against the naive ones, request by request: device, hit or miss, start, end, and evictions.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import { simulate } from '../../../src/simulation/kernel.ts';
import { paperProfile, workingSetModels } from '../../../src/simulation/profile.ts';
import { timelineObserver } from '../../../src/simulation/timeline.ts';
import type { TimelineRow } from '../../../src/simulation/timeline.ts';
import type { Workload } from '../../../src/simulation/types.ts';
import { openWorkload } from '../../../src/simulation/workloads.ts';
import { naiveTimeline } from './naive-baselines.ts';
import type { NaiveModel } from './naive-baselines.ts';

const POLICIES = ['lb', 'lalb', 'lalbo3'] as const;

function scheduled(
  policy: string,
  workload: Workload,
  devices: number,
  memoryBytes: number,
  skipLimit = 25,
): TimelineRow[] {
  const rows: TimelineRow[] = [];
  simulate({
    core: createScheduler({ policy, skipLimit, maxQueuedRequests: Infinity, maxQueuedBytes: Infinity }),
    devices: Array.from({ length: devices }, (_, i) => ({ id: `emulated:${i}`, memoryBytes, overlap: true })),
    workload,
    observer: timelineObserver(workload, (row) => rows.push(row)),
  });
  return rows;
}

/** In order of device and time, so that only what was done counts and not in which order it was said. */
function ordered(rows: readonly TimelineRow[]): string[] {
  const rank = { evict: 0, load: 1, run: 2 };
  return rows
    .toSorted((l, r) => l.device - r.device || l.startMs - r.startMs || rank[l.kind] - rank[r.kind])
    .map((row) => `${row.device} ${row.kind} ${row.model} ${row.requests.join('+')} ${row.startMs}-${row.endMs}`);
}

function listOf(workload: Workload): { atMs: number; model: NaiveModel }[] {
  const list: { atMs: number; model: NaiveModel }[] = [];
  for (const chunk of workload.arrivals()) {
    for (let i = 0; i < chunk.count; i++) list.push({ atMs: chunk.atMs[i]!, model: workload.models[chunk.model[i]!]! });
  }
  return list;
}

describe.each(POLICIES)('%s', (policy) => {
  it.each([15, 25, 35])(
    'does what a naive implementation does on the workload "paper", working set %i',
    (workingSet) => {
      const workload = openWorkload({
        kind: 'zipf',
        models: workingSetModels(paperProfile(), workingSet),
        rpm: 325,
        minutes: 3,
        skew: 0.8,
        seed: workingSet,
      });
      const naive = naiveTimeline(policy, listOf(workload), 12, 7_800_000_000);
      expect(ordered(scheduled(policy, workload, 12, 7_800_000_000))).toEqual(ordered(naive));
    },
  );

  it('does what a naive implementation does on any small workload', () => {
    const small = fc.record({
      devices: fc.integer({ min: 1, max: 4 }),
      skipLimit: fc.integer({ min: 0, max: 4 }),
      models: fc.array(
        fc.record({
          memoryBytes: fc.integer({ min: 1, max: 10 }),
          loadMs: fc.integer({ min: 1, max: 12 }),
          runMs: fc.integer({ min: 1, max: 6 }),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      requests: fc.array(fc.record({ gapMs: fc.integer({ min: 0, max: 4 }), model: fc.nat() }), {
        minLength: 1,
        maxLength: 60,
      }),
    });
    fc.assert(
      fc.property(small, ({ devices, skipLimit, models, requests }) => {
        const specs = models.map((model, index) => ({ ...model, id: `m${index}` }));
        let atMs = 0;
        const times = requests.map(({ gapMs }) => (atMs += gapMs));
        const workload = openWorkload({
          kind: 'list',
          models: specs,
          atMs: Float64Array.from(times),
          model: Int32Array.from(requests, ({ model }) => model % specs.length),
          rows: Int32Array.from(requests.keys()),
          workingSet: specs.length,
        });
        const naive = naiveTimeline(policy, listOf(workload), devices, 12, skipLimit);
        expect(ordered(scheduled(policy, workload, devices, 12, skipLimit))).toEqual(ordered(naive));
      }),
      { numRuns: 300 },
    );
  });
});
