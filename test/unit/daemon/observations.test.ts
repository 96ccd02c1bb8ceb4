import { describe, expect, it } from 'vitest';
import { Observations } from '../../../src/daemon/observations.ts';

describe('observations', () => {
  it('count what a first run takes beyond an ordinary one to the load', () => {
    const observations = new Observations();
    expect(observations.loadedAndRan('a', 20, 90, 10)).toEqual({ loadMs: 100 });
    expect(observations.ran('a', 30)).toEqual({ runMs: 30 });
    // The run is known to take 30 by now, so 40 of the second first run belong to the load: 100 + 0.2 * (60 - 100).
    expect(observations.loadedAndRan('a', 20, 70, 10)).toEqual({ loadMs: 92 });
  });

  it('keep loads from disk and loads from the host cache apart', () => {
    const observations = new Observations();
    expect(observations.loadedAndRan('a', 200, 10, 10)).toEqual({ loadMs: 200 });
    expect(observations.loadedAndRan('a', 30, 10, 10, 'host')).toEqual({ hostLoadMs: 30 });
    expect(observations.loadedAndRan('a', 40, 10, 10, 'host')).toEqual({ hostLoadMs: 32 });
    expect([observations.loadMs('a', 'disk'), observations.loadMs('a', 'host')]).toEqual([200, 32]);
    expect(observations.loadMs('b', 'host')).toBeNull();
  });

  it('tell small changes only when they have added up', () => {
    const observations = new Observations();
    observations.ran('a', 100);
    expect(observations.ran('a', 110)).toBeNull();
    expect(observations.ran('a', 120)).toEqual({ runMs: expect.closeTo(105.6) });
  });

  it('learn what several rows take, on the scale that single runs show', () => {
    const observations = new Observations();
    expect(observations.ranRows('a', 2, 20, [10, 15, 18])).toEqual({ runMsByRows: [10, 16, 18] });
    // Twice as slow as measured at deploy: 32 is then what was expected of two rows.
    observations.ran('a', 20);
    expect(observations.ranRows('a', 2, 32, [10, 15, 18])).toEqual({ runMsByRows: [20, 32, 36] });
    expect(observations.ranRows('a', 2, 32.1, [10, 15, 18])).toBeNull();
    expect(observations.ranRows('a', 4, 50, [10, 15, 18])).toBeNull();
  });

  it('are forgotten with the model', () => {
    const observations = new Observations();
    observations.ran('a', 100);
    observations.forget('a');
    expect(observations.ran('a', 10)).toEqual({ runMs: 10 });
  });
});
