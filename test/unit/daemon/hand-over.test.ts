import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../../src/clock.ts';
import { EndsAhead, type RunsUnderWay } from '../../../src/daemon/hand-over.ts';

const slotWith = (size: number): RunsUnderWay & { runs: { size: number } } => ({ runs: { size }, onRunEnd: null });

function setUp(awaited: boolean) {
  const clock = new ManualClock();
  const state = { awaited };
  const announced: number[] = [];
  const ends = new EndsAhead(clock, () => state.awaited);
  return { clock, state, announced, ends, announce: () => announced.push(clock.now()) };
}

describe('the end of a run that is expected after 10 ms', () => {
  test('is announced a millisecond before it while somebody waits', () => {
    const { clock, ends, announced, announce } = setUp(true);
    ends.expect(slotWith(1), 10, announce);
    clock.advance(20);
    expect(announced).toEqual([9]);
  });

  test('wakes nobody while nobody waits', () => {
    const { clock, ends, announced, announce } = setUp(false);
    ends.expect(slotWith(1), 10, announce);
    clock.advance(20);
    expect(announced).toEqual([]);
  });

  test.each([
    [3, 9],
    [9.5, 9.5],
    [15, 15],
  ])('is announced to a request that comes after %s ms at %s ms', (comesAtMs, announcedAtMs) => {
    const { clock, ends, announced, announce } = setUp(false);
    ends.expect(slotWith(1), 10, announce);
    clock.advance(comesAtMs);
    ends.ask();
    ends.ask();
    clock.advance(30);
    expect(announced).toEqual([announcedAtMs]);
  });

  test.each([true, false])('is not announced once it was called off (somebody waits: %s)', (awaited) => {
    const { clock, ends, announced, announce } = setUp(awaited);
    const callOff = ends.expect(slotWith(1), 10, announce);
    clock.advance(5);
    callOff();
    ends.ask();
    clock.advance(20);
    expect(announced).toEqual([]);
  });

  test('counts from the end of the run that it was handed over behind', () => {
    const { clock, ends, announced, announce } = setUp(true);
    const slot = slotWith(2);
    ends.expect(slot, 10, announce);
    clock.advance(6);
    slot.onRunEnd!();
    expect(slot.onRunEnd).toBeNull();
    clock.advance(20);
    expect(announced).toEqual([15]);
  });
});

test.each([null, 1])('a run that is expected after %s ms is not announced', (expectedMs) => {
  const { clock, ends, announced, announce } = setUp(true);
  ends.expect(slotWith(1), expectedMs, announce);
  clock.advance(20);
  expect(announced).toEqual([]);
});
