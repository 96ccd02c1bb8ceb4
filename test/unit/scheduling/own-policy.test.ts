import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import fewestDispatches from '../../../docs/examples/fewest-dispatches.ts';
import { policyNamed } from '../../../src/scheduling/scheduler.ts';
import { chaos, playChaos } from './chaos.ts';

describe('the example of a policy of one’s own', () => {
  it('keeps the rules and ends every request, without a line of its own about failures', () => {
    fc.assert(
      fc.property(chaos, (world) => {
        const { machine, submitted } = playChaos(world, { policy: 'own', deviceGraceMs: 500 }, fewestDispatches);
        expect(machine.openRequests).toEqual([]);
        expect(machine.outcomes.size).toBe(submitted);
      }),
      { numRuns: 200 },
    );
  });

  it('is not one that the product knows by name', () => {
    expect(() => policyNamed(fewestDispatches.name)).toThrow(/no policy named "fewest-dispatches"/);
  });
});
