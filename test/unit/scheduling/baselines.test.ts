import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import { playBaseline } from './oracle.ts';
import type { OracleModel } from './oracle.ts';
import { VirtualMachine } from './virtual-machine.ts';

const BASELINES = ['lb', 'lalb', 'lalbo3'] as const;

interface World {
  readonly models: readonly OracleModel[];
  readonly devices: number;
  readonly memory: number;
  readonly requests: readonly { readonly atMs: number; readonly model: number }[];
  readonly skipLimit: number;
}

function play(policy: string, world: World): VirtualMachine {
  const machine = new VirtualMachine(
    createScheduler({ policy, skipLimit: world.skipLimit }),
    Array.from({ length: world.devices }, (_, index) => ({
      id: `${index}`,
      memoryBytes: world.memory,
      overlap: index % 2 === 0,
    })),
    world.models.map((model, index) => ({
      id: `m${index}`,
      memoryBytes: model.memory,
      loadMs: model.loadMs,
      runMs: model.runMs,
    })),
  );
  world.requests.forEach(({ atMs, model }, id) => machine.submitAt(atMs, { id, model: `m${model}`, bytes: 1 }));
  machine.run();
  return machine;
}

const worlds = fc
  .record({
    models: fc.array(
      fc.record({
        memory: fc.integer({ min: 1, max: 10 }),
        loadMs: fc.integer({ min: 1, max: 30 }),
        runMs: fc.integer({ min: 1, max: 12 }),
      }),
      { minLength: 1, maxLength: 9 },
    ),
    devices: fc.integer({ min: 1, max: 5 }),
    memory: fc.integer({ min: 10, max: 25 }),
    skipLimit: fc.integer({ min: 0, max: 4 }),
    gaps: fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.nat()), { maxLength: 120 }),
  })
  .map(({ gaps, ...world }): World => {
    let atMs = 0;
    const requests = gaps.map(([gapMs, model]) => ({ atMs: (atMs += gapMs), model: model % world.models.length }));
    return { ...world, requests };
  });

describe.each(BASELINES)('%s', (policy) => {
  it('does request by request what the plain reading of the page does', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const expected = playBaseline(policy, world);
        const machine = play(policy, world);
        const got = world.requests.map((_, id) => {
          const { device, endMs, cache } = machine.outcomes.get(id)!;
          return { device: Number(device), endMs, cache };
        });
        expect(got).toEqual(expected.results);
        expect(expected.mostSkips).toBeLessThanOrEqual(Math.max(1, world.skipLimit));
      }),
      { numRuns: 400 },
    );
  });

  it('never uses the overlap of loads with runs', () => {
    // The devices of `play` with an even index allow it; a load beside a run would end a miss earlier than the oracle.
    const machine = play(policy, {
      models: [
        { memory: 4, loadMs: 10, runMs: 10 },
        { memory: 4, loadMs: 10, runMs: 10 },
      ],
      devices: 1,
      memory: 10,
      skipLimit: 25,
      requests: [
        { atMs: 0, model: 0 },
        { atMs: 1, model: 1 },
      ],
    });
    expect(machine.outcomes.get(1)!.endMs).toBe(40);
  });
});

describe('lb by hand', () => {
  it('goes round the devices wherever the model is', () => {
    const machine = play('lb', {
      models: [{ memory: 5, loadMs: 10, runMs: 5 }],
      devices: 3,
      memory: 10,
      skipLimit: 25,
      // The second comes when device 0 is idle again and holds the model, but it is device 1's turn; the fourth hits.
      requests: [
        { atMs: 0, model: 0 },
        { atMs: 20, model: 0 },
        { atMs: 40, model: 0 },
        { atMs: 60, model: 0 },
      ],
    });
    expect([...machine.outcomes.values()].map(({ device, endMs, cache }) => [device, endMs, cache])).toEqual([
      ['0', 15, 'miss'],
      ['1', 35, 'miss'],
      ['2', 55, 'miss'],
      ['0', 65, 'hit'],
    ]);
  });
});

describe('lalb by hand', () => {
  const models = [
    { memory: 6, loadMs: 20, runMs: 10 },
    { memory: 6, loadMs: 20, runMs: 10 },
  ];

  it('waits for a busy device that holds the model if that is sooner than a load, and loads if not', () => {
    const machine = play('lalb', {
      models,
      devices: 2,
      memory: 10,
      skipLimit: 25,
      requests: [
        { atMs: 0, model: 0 }, // miss on device 0: load until 20, run until 30
        { atMs: 10, model: 0 }, // 20 ms left there, not less than the load of 20: miss on device 1, until 40
        { atMs: 31, model: 0 }, // device 0 is idle: hit until 41
        { atMs: 32, model: 0 }, // nobody idle: waits; at 40 device 1 is idle: hit until 50
      ],
    });
    expect(
      [...machine.outcomes.values()].map(({ request, device, endMs, cache }) => [request, device, endMs, cache]),
    ).toEqual([
      [0, '0', 30, 'miss'],
      [1, '1', 40, 'miss'],
      [2, '0', 41, 'hit'],
      [3, '1', 50, 'hit'],
    ]);
  });

  it('queues behind a busy device, and evicts the least recent where it must', () => {
    const machine = play('lalb', {
      models,
      devices: 2,
      memory: 10,
      skipLimit: 25,
      requests: [
        { atMs: 0, model: 0 }, // device 0 until 30
        { atMs: 15, model: 0 }, // 15 ms left < 20: local queue of device 0, 30 to 40
        { atMs: 16, model: 0 }, // 14 + 10 = 24 >= 20: miss on device 1, until 46
        { atMs: 50, model: 1 }, // both hold 6 of 10, device 1 has fewer dispatches: evicts there, until 80
      ],
    });
    expect(
      [...machine.outcomes.values()].map(({ request, device, endMs, cache }) => [request, device, endMs, cache]),
    ).toEqual([
      [0, '0', 30, 'miss'],
      [1, '0', 40, 'hit'],
      [2, '1', 46, 'miss'],
      [3, '1', 80, 'miss'],
    ]);
    expect(machine.lines.filter((line) => line.kind === 'evict')).toMatchObject([
      { device: '1', model: 'm0', startMs: 50 },
    ]);
  });
});

describe('lalbo3 by hand', () => {
  it('lets hits pass until the limit of skips, then places the one passed', () => {
    const machine = play('lalbo3', {
      models: [
        { memory: 6, loadMs: 5, runMs: 10 },
        { memory: 6, loadMs: 5, runMs: 10 },
      ],
      devices: 1,
      memory: 10,
      skipLimit: 2,
      requests: [
        { atMs: 0, model: 0 }, // 0 to 15
        { atMs: 1, model: 1 }, // passed at 15 and at 25, then at its limit: 35 to 50
        { atMs: 2, model: 0 }, // 15 to 25
        { atMs: 3, model: 0 }, // 25 to 35
        { atMs: 4, model: 0 }, // 50 to 65, a miss again
      ],
    });
    expect([...machine.outcomes.values()].map(({ request, endMs, cache }) => [request, endMs, cache])).toEqual([
      [0, 15, 'miss'],
      [2, 25, 'hit'],
      [3, 35, 'hit'],
      [1, 50, 'miss'],
      [4, 65, 'miss'],
    ]);
    expect(machine.lines.find((line) => line.kind === 'load' && line.requests[0] === 1)!.reason).toBe('skip-limit');
  });

  it('asks the device with the most dispatches first', () => {
    const machine = play('lalbo3', {
      models: [{ memory: 6, loadMs: 5, runMs: 10 }],
      devices: 2,
      memory: 10,
      skipLimit: 25,
      requests: [
        { atMs: 0, model: 0 }, // device 0 until 15
        { atMs: 0, model: 0 }, // 15 ms left >= 5: device 1 until 15
        { atMs: 20, model: 0 }, // both 1 dispatch: device 0
        { atMs: 40, model: 0 }, // device 0 has 2
      ],
    });
    expect([...machine.outcomes.values()].map(({ device, endMs }) => [device, endMs])).toEqual([
      ['0', 15],
      ['1', 15],
      ['0', 30],
      ['0', 50],
    ]);
  });
});
