import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { overtakeLimitMs, locality, localityWith } from '../../../src/scheduling/policies/locality/locality.ts';
import { MECHANISMS } from '../../../src/scheduling/policies/locality/mechanisms.ts';
import { TUNING } from '../../../src/scheduling/policies/locality/tuning.ts';
import type { Policy } from '../../../src/scheduling/policy.ts';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import type { DeviceSpec, ModelSpec, SchedulerOptions } from '../../../src/scheduling/types.ts';
import { type Chaos, chaos, playChaos } from './chaos.ts';
import { VirtualMachine } from './virtual-machine.ts';

const device = (index: number, memoryBytes = 10, overlap = true): DeviceSpec => ({
  id: `d${index}`,
  memoryBytes,
  overlap,
});
const model = (id: string, memoryBytes = 5, loadMs = 1000, runMs = 100): ModelSpec => ({
  id,
  memoryBytes,
  loadMs,
  runMs,
});

function machineOf(
  devices: readonly DeviceSpec[],
  models: readonly ModelSpec[],
  options: Partial<SchedulerOptions> = {},
): VirtualMachine {
  return new VirtualMachine(createScheduler({ policy: 'locality', ...options }), devices, models);
}

describe('locality by hand', () => {
  it('loads beside a run, and runs beside a load', () => {
    const machine = machineOf([device(0)], [model('a'), model('b')]);
    machine.submitAt(0, { id: 0, model: 'a', bytes: 1 }); // load 0 to 1000, run to 1100
    machine.submitAt(1050, { id: 1, model: 'b', bytes: 1 }); // load 1050 to 2050 beside that run
    machine.submitAt(1500, { id: 2, model: 'a', bytes: 1 }); // runs beside that load
    machine.run();
    expect([0, 1, 2].map((id) => machine.outcomes.get(id)!.endMs)).toEqual([1100, 2150, 1600]);
  });

  it('blocks the device with a load where overlap is off', () => {
    const machine = machineOf([device(0)], [model('a'), model('b')], { disable: ['overlap'] });
    machine.submitAt(0, { id: 0, model: 'a', bytes: 1 });
    machine.submitAt(1150, { id: 1, model: 'b', bytes: 1 }); // load 1150 to 2150
    machine.submitAt(1500, { id: 2, model: 'a', bytes: 1 });
    machine.run();
    expect(machine.outcomes.get(2)!.startMs).toBeGreaterThanOrEqual(2150);
  });

  it('starts no load beside a run where it would slow it, but runs beside loads', () => {
    const slowed = { ...device(0), loadsSlowRuns: true };
    const machine = machineOf([slowed], [model('a'), model('b')]);
    machine.submitAt(0, { id: 0, model: 'a', bytes: 1 }); // load to 1000, run to 1100
    machine.submitAt(1050, { id: 1, model: 'b', bytes: 1 }); // load 1100 to 2100
    machine.submitAt(1500, { id: 2, model: 'a', bytes: 1 }); // runs beside that load
    machine.run();
    expect([0, 1, 2].map((id) => machine.outcomes.get(id)!.endMs)).toEqual([1100, 2200, 1600]);
  });

  it('loads in the end for who waits long, although others keep the device busy', () => {
    const slowed = { ...device(0), loadsSlowRuns: true };
    const machine = machineOf([slowed], [model('a'), model('b')]);
    for (let id = 1; id <= 100; id++) machine.submitAt(id * 90, { id, model: 'a', bytes: 1 });
    machine.submitAt(2_000, { id: 0, model: 'b', bytes: 1 });
    machine.run();
    const { startMs } = machine.outcomes.get(0)!;
    // The queue of `a` ends after 10 s; once its head came 2.5 times load and run later the device loads, and runs `a` meanwhile.
    expect(startMs).toBeGreaterThan(4_000);
    expect(startMs).toBeLessThan(9_000);
  });

  it('starts one load for many who ask, and binds nobody to it', () => {
    const machine = machineOf([device(0)], [model('a')]);
    for (let id = 0; id < 5; id++) machine.submitAt(id, { id, model: 'a', bytes: 1 });
    machine.run();
    expect(machine.lines.filter((line) => line.kind === 'load')).toHaveLength(1);
    expect([...machine.outcomes.values()].map((outcome) => outcome.cache)).toEqual([
      'miss',
      'hit',
      'hit',
      'hit',
      'hit',
    ]);
  });

  it('evicts what nobody asks for rather than what is asked for often', () => {
    const machine = machineOf([device(0)], [model('hot'), model('cold'), model('new')]);
    machine.submitAt(0, { id: 0, model: 'hot', bytes: 1 });
    for (let id = 1; id < 20; id++) machine.submitAt(1200 + id * 200, { id, model: 'hot', bytes: 1 });
    // The cold one is the most recently used when the new one comes.
    machine.submitAt(6000, { id: 20, model: 'cold', bytes: 1 });
    machine.submitAt(8000, { id: 21, model: 'new', bytes: 1 });
    machine.run();
    expect(machine.lines.filter((line) => line.kind === 'evict').map((line) => line.model)).toEqual(['cold']);
    const lru = machineOf([device(0)], [model('hot'), model('cold'), model('new')], { disable: ['value-eviction'] });
    lru.submitAt(0, { id: 0, model: 'hot', bytes: 1 });
    lru.submitAt(2000, { id: 1, model: 'cold', bytes: 1 });
    lru.submitAt(4000, { id: 2, model: 'new', bytes: 1 });
    lru.run();
    expect(lru.lines.filter((line) => line.kind === 'evict').map((line) => line.model)).toEqual(['hot']);
  });

  it('gives a burst as many copies as its queue is long, not as its first requests suggest', () => {
    const devices = Array.from({ length: 40 }, (_, index) => device(index));
    const machine = machineOf(devices, [model('a', 5, 3000, 1000)], { disable: ['replicas'] });
    for (let id = 0; id < 16; id++) machine.submitAt(id * 600, { id, model: 'a', bytes: 1 });
    for (let id = 16; id < 216; id++) machine.submitAt(30_000 + id, { id, model: 'a', bytes: 1 });
    machine.run();
    const last = Math.max(...[...machine.outcomes.values()].map((outcome) => outcome.endMs));
    // 200 requests of a second each: the devices that are there could do them in 5 s, after a load of 3 s.
    expect(last).toBeLessThan(30_000 + 13_000);
  });

  it('copies a popular model to a second device in the background, unless told not to', () => {
    const play = (disable: readonly string[]): number => {
      const machine = machineOf([device(0), device(1)], [model('a', 5, 1000, 300)], { disable });
      for (let id = 0; id < 60; id++) machine.submitAt(id * 400, { id, model: 'a', bytes: 1 });
      machine.run();
      return machine.lines.filter((line) => line.reason === 'replica').length;
    };
    expect(play([])).toBe(1);
    expect(play(['replicas'])).toBe(0);
  });

  it('loads registered models before anyone asks only if asked to, and only into free memory', () => {
    const models = [model('a'), model('b'), model('c')];
    const loads = (preload: boolean): readonly string[] => {
      const machine = machineOf([device(0)], models, { preload });
      machine.run();
      return machine.lines.map((line) => `${line.kind} ${line.model} ${line.reason}`);
    };
    expect(loads(false)).toEqual([]);
    expect(loads(true)).toEqual(['load a preload', 'load b preload']);
  });

  it('loads a model on a hint', () => {
    const play = (disable: readonly string[]): VirtualMachine => {
      const machine = machineOf([device(0)], [model('a')], { disable });
      machine.at(0, () => machine.apply({ type: 'hinted', model: 'a' }));
      machine.submitAt(600, { id: 0, model: 'a', bytes: 1 });
      machine.run();
      return machine;
    };
    expect(play([]).outcomes.get(0)).toMatchObject({ startMs: 1000, cache: 'hit' });
    expect(play(['hints']).outcomes.get(0)).toMatchObject({ startMs: 1600, cache: 'miss' });
  });

  it('refuses at once what can no longer meet its deadline, and loads the model for the next', () => {
    const machine = machineOf([device(0)], [model('a')]);
    machine.submitAt(0, { id: 0, model: 'a', bytes: 1, deadlineAtMs: 500 });
    machine.submitAt(1000, { id: 1, model: 'a', bytes: 1, deadlineAtMs: 1500 });
    machine.run();
    expect(machine.outcomes.get(0)).toMatchObject({ end: 'rejected', code: 'DEADLINE', endMs: 0 });
    expect(machine.outcomes.get(1)).toMatchObject({ end: 'ran', endMs: 1100 });
  });
});

describe('locality with batching', () => {
  const batched: ModelSpec = {
    ...model('a'),
    batching: { maxSize: 4, maxDelayMs: 50, runMsByRows: [100, 110, 120, 130] },
  };

  it('runs what waits for one model together, up to its size', () => {
    const machine = machineOf([device(0)], [batched]);
    for (let id = 0; id < 6; id++) machine.submitAt(id, { id, model: 'a', bytes: 1 });
    machine.run();
    expect(machine.lines.filter((line) => line.kind === 'run').map((line) => line.requests)).toEqual([
      [0, 1, 2, 3],
      [4, 5],
    ]);
  });

  it('runs them one by one where a batch gains nothing, or batching is off', () => {
    const linear = { ...batched, batching: { maxSize: 4, maxDelayMs: 50, runMsByRows: [100, 200, 300, 400] } };
    for (const [spec, disable] of [
      [linear, []],
      [batched, ['batching']],
    ] as const) {
      const machine = machineOf([device(0)], [spec], { disable });
      for (let id = 0; id < 3; id++) machine.submitAt(id, { id, model: 'a', bytes: 1 });
      machine.run();
      expect(machine.lines.filter((line) => line.kind === 'run')).toHaveLength(3);
    }
  });

  it('takes as many as pay, where a few do not', () => {
    const packed = {
      ...batched,
      batching: { maxSize: 8, maxDelayMs: 0, runMsByRows: [100, 330, 330, 330, 330, 340, 350, 360] },
    };
    for (const [waiting, sizes] of [
      [3, [1, 1, 1]],
      [6, [6]],
      [9, [8, 1]],
    ] as const) {
      const machine = machineOf([device(0)], [packed]);
      for (let id = 0; id < waiting; id++) machine.submitAt(id, { id, model: 'a', bytes: 1 });
      machine.run();
      const runs = machine.lines.filter((line) => line.kind === 'run');
      expect(runs.map((line) => line.requests.length)).toEqual(sizes);
    }
  });

  it('tries a batch now and then where it seems to gain nothing', () => {
    const linear = { ...batched, batching: { maxSize: 4, maxDelayMs: 0, runMsByRows: [100, 200, 300, 400] } };
    const machine = machineOf([device(0)], [linear]);
    for (let id = 0; id < 420; id++) machine.submitAt(id, { id, model: 'a', bytes: 1 });
    machine.run();
    const sizes = machine.lines.filter((line) => line.kind === 'run').map((line) => line.requests.length);
    expect(sizes.filter((size) => size === 4)).toHaveLength(2);
    expect(sizes.filter((size) => size !== 4).every((size) => size === 1)).toBe(true);
  });

  it('makes nobody wait for companions that would gain nothing, or less than the wait costs, or that are late', () => {
    const linear = { ...batched, batching: { maxSize: 4, maxDelayMs: 500, runMsByRows: [100, 200, 300, 400] } };
    const late = { ...batched, batching: { maxSize: 4, maxDelayMs: 5000, runMsByRows: [100, 110, 120, 130] } };
    // A companion saves 50 ms, and the device would stand idle for 110 until it comes.
    const little = { ...batched, batching: { maxSize: 4, maxDelayMs: 500, runMsByRows: [100, 150, 200, 250] } };
    for (const [spec, mostWaitMs] of [
      [linear, 0],
      [little, 0],
      [late, 1000],
    ] as const) {
      const machine = machineOf([device(0)], [spec]);
      for (let id = 0; id < 400; id++) machine.submitAt(2000 + id * 110, { id, model: 'a', bytes: 1 });
      machine.run();
      const last = machine.outcomes.get(399)!;
      expect(last.startMs! - (2000 + 399 * 110)).toBeLessThanOrEqual(mostWaitMs);
    }
  });

  it('makes nobody wait for companions on an idle machine', () => {
    const machine = machineOf([device(0)], [batched]);
    machine.submitAt(0, { id: 0, model: 'a', bytes: 1 });
    machine.submitAt(5000, { id: 1, model: 'a', bytes: 1 });
    machine.run();
    expect(machine.outcomes.get(1)!.startMs).toBe(5000);
  });

  it('waits for companions when devices are scarce, never longer than the model allows', () => {
    const machine = machineOf([device(0)], [batched]);
    for (let id = 0; id < 400; id++) machine.submitAt(id * 33, { id, model: 'a', bytes: 1 });
    machine.run();
    const sizes = machine.lines.filter((line) => line.kind === 'run').map((line) => line.requests.length);
    expect(sizes.filter((size) => size > 1).length).toBeGreaterThan(sizes.length / 2);
    expect(machine.openRequests).toEqual([]);
  });
});

/** A run handed over behind one that was about to end, which ends later than it would have alone. */
const HANDED_OVER: Chaos = {
  models: [
    { memory: 1, loadMs: 0, runMs: 0, keepAliveMs: null },
    { memory: 1, loadMs: 6, runMs: 0, keepAliveMs: null },
    { memory: 7, loadMs: 0, runMs: 3, keepAliveMs: null },
    { memory: 1, loadMs: 0, runMs: 0, keepAliveMs: null },
  ],
  devices: [
    { memory: 8, overlap: true, instances: 1 },
    { memory: 6, overlap: false, instances: 1 },
  ],
  aheadMs: 2,
  steps: [
    { gapMs: 0, mishap: { kind: 'submit', model: 0, olderByMs: 0, deadlineMs: 1 } },
    { gapMs: 0, mishap: { kind: 'submit', model: 1, olderByMs: 0, deadlineMs: null } },
    { gapMs: 6, mishap: { kind: 'submit', model: 0, olderByMs: 0, deadlineMs: null } },
    { gapMs: 3, mishap: { kind: 'submit', model: 1, olderByMs: 0, deadlineMs: null } },
    { gapMs: 4, mishap: { kind: 'submit', model: 2, olderByMs: 19, deadlineMs: null } },
    { gapMs: 1, mishap: { kind: 'pin', model: 1 } },
    { gapMs: 2, mishap: { kind: 'submit', model: 0, olderByMs: 0, deadlineMs: null } },
  ],
  fates: ['ok', 'ok', 'retry', 'fail', 'retry', 'ok', 'ok', 'ok', 'ok'],
};

describe('the bound of locality on being overtaken', () => {
  it('is stated as costs of the overtaken request, and at least a second', () => {
    expect(overtakeLimitMs({ loadMs: 2000, runMs: 1000 })).toBe(TUNING.overtakeCosts * 3000);
    expect(overtakeLimitMs({ loadMs: 0, runMs: 0 })).toBe(1000);
  });

  it('holds whatever happens', () => {
    // A tight bound, so that it bites; runs are watched from outside.
    const tight = { ...TUNING, overtakeCosts: 1, overtakeFloorMs: 5 };
    fc.assert(
      fc.property(chaos, (world) => {
        const watched: Policy = {
          ...localityWith(tight),
          create(pool, options) {
            const run = pool.run.bind(pool);
            pool.run = (requests, copy, reason) => {
              for (const request of requests) {
                for (const other of pool.requests.values()) {
                  if (other.state !== 'waiting' || requests.includes(other)) continue;
                  // Suspended for what only a load could serve while memory of a device is lent.
                  const isLent = pool.devices.some((device) => device.present && device.reservedBytes > 0);
                  if (isLent && other.model.copies.size === 0) continue;
                  const laterMs = request.arrivedAtMs - other.arrivedAtMs;
                  expect(laterMs).toBeLessThanOrEqual(overtakeLimitMs(other.model, tight));
                }
              }
              run(requests, copy, reason);
            };
            return localityWith(tight).create(pool, options);
          },
        };
        const { machine } = playChaos(world, { policy: 'locality', deviceGraceMs: 500 }, watched);
        expect(machine.openRequests).toEqual([]);
      }),
      { numRuns: 400, examples: [[HANDED_OVER]] },
    );
  });
});

describe('locality without one of its mechanisms', () => {
  it.each(Object.keys(MECHANISMS))('ends every request without %s', (mechanism) => {
    fc.assert(
      fc.property(chaos, (world) => {
        const { machine, submitted } = playChaos(world, {
          policy: 'locality',
          disable: [mechanism],
          deviceGraceMs: 500,
        });
        expect(machine.openRequests).toEqual([]);
        expect(machine.outcomes.size).toBe(submitted);
      }),
      { numRuns: 60 },
    );
  });
});

describe('every policy', () => {
  it.each(['lb', 'lalb', 'lalbo3', 'locality'])(
    '%s knows nothing of what comes: a cut leaves the past as it was',
    (policy) => {
      fc.assert(
        fc.property(chaos, fc.nat({ max: 80 }), (world, cut) => {
          const cutMs = world.steps.slice(0, cut).reduce((sum, step) => sum + step.gapMs, 0);
          const before = (steps: typeof world.steps): unknown =>
            playChaos({ ...world, steps }, { policy, deviceGraceMs: 500 }).machine.lines.filter(
              (line) => line.startMs < cutMs,
            );
          expect(before(world.steps.slice(0, cut))).toEqual(before(world.steps));
        }),
        { numRuns: 100 },
      );
    },
  );

  it('serves a large model though small ones keep every device busy', () => {
    for (const overlap of [true, false]) {
      const machine = machineOf(
        [device(0, 10, overlap)],
        [model('small', 2, 50, 20), model('other', 2, 50, 20), model('large', 9, 100, 20)],
      );
      for (let id = 0; id < 400; id++)
        machine.submitAt(id * 30, { id, model: id % 2 === 0 ? 'small' : 'other', bytes: 1 });
      machine.submitAt(300, { id: 1000, model: 'large', bytes: 1 });
      machine.run();
      expect(machine.outcomes.get(1000)).toMatchObject({ end: 'ran' });
      expect(machine.outcomes.get(1000)!.endMs).toBeLessThan(300 + 30 * 120);
    }
  });
});

describe('locality as an object', () => {
  it('may be passed to the scheduler like any policy of one’s own', () => {
    const core = createScheduler({ policy: 'anything' }, locality);
    expect(core.view().policy).toBe('locality');
  });
});
