import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { POLICIES, policyNamed } from '../../../src/scheduling/scheduler.ts';
import type { Policy } from '../../../src/scheduling/policy.ts';
import { chaos, playChaos } from './chaos.ts';

// The virtual machine itself checks, after every decision: bytes within capacity and equal to the core's books, no
// eviction of what runs or loads, no double load, one run and one load at a time, no request twice.

describe.each(POLICIES.map((policy) => policy.name))('%s, when things go wrong', (policy) => {
  it('keeps the rules for devices and ends every request exactly once', () => {
    fc.assert(
      fc.property(chaos, (world) => {
        const { machine, submitted } = playChaos(world, { policy, skipLimit: 3, deviceGraceMs: 500 });
        expect(machine.openRequests).toEqual([]);
        expect(machine.outcomes.size).toBe(submitted);
      }),
      { numRuns: 600 },
    );
  });

  it('keeps within its load lanes', () => {
    fc.assert(
      fc.property(chaos, (world) => {
        const { machine } = playChaos(world, { policy, loadLanes: 1, deviceGraceMs: 500 });
        expect(machine.openRequests).toEqual([]);
        expect(machine.mostLoadsAtOnce).toBeLessThanOrEqual(1);
      }),
      { numRuns: 200 },
    );
  });

  it('does the same again on the same events', () => {
    fc.assert(
      fc.property(chaos, (world) => {
        const play = (): unknown => playChaos(world, { policy, deviceGraceMs: 500 }).machine.lines;
        expect(play()).toEqual(play());
      }),
      { numRuns: 50 },
    );
  });
});

describe('locality, with instances wherever there is room for them', () => {
  it('keeps the rules, gives up instances for loads, and runs side by side', () => {
    let sideBySide = 0;
    let narrowed = 0;
    fc.assert(
      fc.property(chaos, (world) => {
        const { machine, submitted } = playChaos(world, { policy: 'locality', deviceGraceMs: 500 }, wideningAlways());
        expect(machine.openRequests).toEqual([]);
        expect(machine.outcomes.size).toBe(submitted);
        sideBySide += machine.ranSideBySide;
        narrowed += machine.narrowed;
      }),
      // Few worlds run side by side; so many always have some.
      { numRuns: 2_000 },
    );
    expect(sideBySide).toBeGreaterThan(0);
    expect(narrowed).toBeGreaterThan(0);
  });
});

/** locality that asks for instances of every copy that runs, and takes runs side by side to be free. */
function wideningAlways(): Policy {
  const policy = policyNamed('locality');
  return {
    ...policy,
    create(pool, options) {
      const run = pool.run.bind(pool);
      pool.run = (requests, copy, reason) => {
        run(requests, copy, reason);
        copy.model.sideBySideMs = 0;
        pool.residency.instances.widen(copy);
      };
      return policy.create(pool, options);
    },
  };
}

describe('lalbo3, with failures, late stages and lost devices', () => {
  it('passes nobody more often than the limit', () => {
    fc.assert(
      fc.property(chaos, fc.integer({ min: 0, max: 4 }), (world, skipLimit) => {
        const skips = new Map<number, number>();
        playChaos(world, { policy: 'lalbo3', skipLimit, deviceGraceMs: 500 }, countingSkips(skips));
        for (const count of skips.values()) expect(count).toBeLessThanOrEqual(skipLimit);
      }),
      { numRuns: 400 },
    );
  });
});

/** lalbo3, with every skip of a request that could have been placed written down from outside. */
function countingSkips(skips: Map<number, number>): Policy {
  return {
    name: 'lalbo3',
    create(pool, options) {
      const dispatch = pool.dispatch.bind(pool);
      pool.dispatch = (request, device, reason) => {
        if (reason === 'hit-out-of-order') {
          for (const other of pool.requests.values()) {
            const isBefore =
              other.arrivedAtMs < request.arrivedAtMs ||
              (other.arrivedAtMs === request.arrivedAtMs && other.id < request.id);
            if (other.state !== 'waiting' || !isBefore || pool.isSetAside(other.model)) continue;
            skips.set(other.id, (skips.get(other.id) ?? 0) + 1);
          }
        }
        dispatch(request, device, reason);
      };
      return policyNamed('lalbo3').create(pool, options);
    },
  };
}
