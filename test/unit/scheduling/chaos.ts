// Worlds in which things go wrong: requests cancelled, devices lost and back, loads and runs that fail, models pinned,
// barred, removed, wanted and unwanted, memory reserved for others. Each is a script that a virtual machine plays against one policy.

import fc from 'fast-check';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import type { Policy } from '../../../src/scheduling/policy.ts';
import type { SchedulerOptions } from '../../../src/scheduling/types.ts';
import { VirtualMachine } from './virtual-machine.ts';

/** One thing that happens to the world. */
export type Mishap =
  | { readonly kind: 'submit'; readonly model: number; readonly olderByMs: number; readonly deadlineMs: number | null }
  | { readonly kind: 'cancel'; readonly back: number }
  | { readonly kind: 'lose' | 'bring-back'; readonly device: number }
  | { readonly kind: 'reserve'; readonly device: number; readonly bytes: number; readonly forMs: number }
  | { readonly kind: 'pin' | 'unpin' | 'load' | 'unload' | 'hint' | 'remove'; readonly model: number };

/** A script with the machine it is played on. */
export interface Chaos {
  readonly models: readonly {
    readonly memory: number;
    readonly loadMs: number;
    readonly runMs: number;
    readonly keepAliveMs: number | null;
  }[];
  readonly devices: readonly {
    readonly memory: number;
    readonly overlap: boolean;
    readonly loadsSlowRuns?: boolean;
    readonly instances: number;
  }[];
  readonly steps: readonly { readonly gapMs: number; readonly mishap: Mishap }[];
  /** Which loads and runs fail, in order; all later ones go well. */
  readonly fates: readonly ('ok' | 'retry' | 'fail')[];
  /** Runs are announced as ending so long before. */
  readonly aheadMs: number;
}

const modelNumber = fc.nat({ max: 7 });
const mishaps: fc.Arbitrary<Mishap> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      kind: fc.constant('submit' as const),
      model: modelNumber,
      olderByMs: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat({ max: 40 })),
      deadlineMs: fc.oneof({ weight: 6, arbitrary: fc.constant(null) }, fc.integer({ min: 1, max: 120 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cancel' as const), back: fc.nat({ max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), device: fc.nat({ max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('bring-back' as const), device: fc.nat({ max: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('reserve' as const),
      device: fc.nat({ max: 3 }),
      bytes: fc.integer({ min: 1, max: 20 }),
      forMs: fc.integer({ min: 0, max: 60 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('pin' as const, 'unpin' as const, 'load' as const, 'unload' as const, 'hint' as const),
      model: modelNumber,
    }),
  },
);

/** Machines of one to four devices, unequal ones too, with up to eight models and 80 mishaps. */
export const chaos: fc.Arbitrary<Chaos> = fc.record({
  models: fc.array(
    fc.record({
      memory: fc.integer({ min: 1, max: 12 }),
      loadMs: fc.integer({ min: 0, max: 25 }),
      runMs: fc.integer({ min: 0, max: 10 }),
      keepAliveMs: fc.option(fc.integer({ min: 0, max: 30 })),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  devices: fc.array(
    fc.record({
      memory: fc.integer({ min: 6, max: 20 }),
      overlap: fc.boolean(),
      loadsSlowRuns: fc.boolean(),
      instances: fc.integer({ min: 1, max: 4 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  aheadMs: fc.nat({ max: 4 }),
  steps: fc.array(fc.record({ gapMs: fc.nat({ max: 8 }), mishap: mishaps }), { maxLength: 80 }),
  fates: fc
    .array(
      fc.oneof(
        { weight: 8, arbitrary: fc.constant('ok' as const) },
        { weight: 1, arbitrary: fc.constant('retry' as const) },
        { weight: 1, arbitrary: fc.constant('fail' as const) },
      ),
      { minLength: 3, maxLength: 20 },
    )
    .map((fates) => [...fates, 'ok' as const]),
});

/** Plays the script to its end; returns the machine and the number of requests submitted. */
export function playChaos(
  world: Chaos,
  options: SchedulerOptions,
  policy?: Policy,
): { readonly machine: VirtualMachine; readonly submitted: number } {
  let fateAt = 0;
  const fate = (): 'ok' | 'retry' | 'fail' => world.fates[fateAt++] ?? 'ok';
  const core = policy === undefined ? createScheduler(options) : createScheduler(options, policy);
  const machine = new VirtualMachine(
    core,
    world.devices.map((device, index) => ({
      id: `d${index}`,
      memoryBytes: device.memory,
      overlap: device.overlap,
      loadsSlowRuns: device.loadsSlowRuns ?? false,
      instances: device.instances,
    })),
    world.models.map(({ memory, loadMs, runMs, keepAliveMs }, index) => ({
      id: `m${index}`,
      memoryBytes: memory,
      loadMs,
      runMs,
      ...(keepAliveMs === null ? {} : { keepAliveMs }),
    })),
    { load: fate, run: fate, aheadMs: world.aheadMs },
  );
  let submitted = 0;
  let nowMs = 0;
  for (const { gapMs, mishap } of world.steps) {
    nowMs += gapMs;
    const id = submitted;
    if (mishap.kind === 'submit') submitted++;
    machine.at(nowMs, () => happen(machine, world, mishap, id));
  }
  machine.run();
  return { machine, submitted };
}

function happen(machine: VirtualMachine, world: Chaos, mishap: Mishap, id: number): void {
  switch (mishap.kind) {
    case 'submit':
      return machine.submit({
        id,
        model: `m${mishap.model % world.models.length}`,
        arrivedAtMs: machine.nowMs - mishap.olderByMs,
        bytes: 1,
        ...(mishap.deadlineMs === null ? {} : { deadlineAtMs: machine.nowMs + mishap.deadlineMs }),
      });
    case 'cancel':
      return machine.cancel(id - mishap.back);
    case 'lose':
      return machine.lose(`d${mishap.device % world.devices.length}`);
    case 'reserve':
      return machine.reserve(`d${mishap.device % world.devices.length}`, mishap.bytes, mishap.forMs);
    case 'bring-back':
      return machine.bringBack(`d${mishap.device % world.devices.length}`);
    default: {
      const model = `m${mishap.model % world.models.length}`;
      if (mishap.kind === 'pin' || mishap.kind === 'unpin') {
        return machine.apply({ type: 'pinned', model, pinned: mishap.kind === 'pin' });
      }
      if (mishap.kind === 'load') return machine.apply({ type: 'load-requested', model });
      if (mishap.kind === 'unload') return machine.apply({ type: 'unload-requested', model });
      if (mishap.kind === 'hint') return machine.apply({ type: 'hinted', model });
      return machine.apply({ type: 'model-removed', model });
    }
  }
}
