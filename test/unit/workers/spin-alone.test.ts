// When the threads of a loaded model are left to spin between runs.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SpinAlone } from '../../../src/workers/spin-alone.ts';
import { Turns } from '../../../src/workers/turns.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched(change = vi.fn<(what: { spins: boolean }) => Promise<void>>(() => Promise.resolve())) {
  const tasks: (() => Promise<void>)[] = [];
  const spin = new SpinAlone(change, (task) => void tasks.push(task));
  /** Runs with a pause before each, and what was to be done between them. */
  const run = async (times: number, { alone = true, gapMs = 0.5, runMs = 3 } = {}): Promise<void> => {
    for (let i = 0; i < times; i++) {
      vi.advanceTimersByTime(gapMs);
      spin.begins(alone);
      vi.advanceTimersByTime(runMs);
      spin.ran(runMs);
      for (const task of tasks.splice(0)) await task();
    }
  };
  const changes = (): boolean[] => change.mock.calls.map(([{ spins }]) => spins);
  return { spin, run, changes, tasks };
}

describe('threads that spin between runs', () => {
  it('do so after 400 short runs that followed each other soon', async () => {
    const { run, changes } = watched();
    // Nothing came before the first one.
    await run(400);
    expect(changes()).toEqual([]);
    await run(1);
    expect(changes()).toEqual([true]);
    await run(5_000);
    expect(changes()).toEqual([true]);
  });

  it.each([
    ['come later', { gapMs: 5 }],
    ['take long', { runMs: 15 }],
    ['take next to no time', { runMs: 0.1 }],
    ['have those of others between them', { alone: false }],
    ['were waiting before the last one ended', { gapMs: 0.05 }],
  ])('do not when runs %s', async (_, how) => {
    const { run, changes } = watched();
    await run(2_000, how);
    expect(changes()).toEqual([]);
  });

  it('count from the last run of another model, and over pauses', async () => {
    const { run, changes } = watched();
    await run(390);
    await run(1, { alone: false });
    await run(390);
    expect(changes()).toEqual([]);
    await run(1, { gapMs: 10_000 });
    await run(10);
    expect(changes()).toEqual([true]);
  });

  it.each([
    ['others run in between', { alone: false }],
    ['callers wait', { gapMs: 0.05 }],
  ])('end when %s, and need four times as many runs then', async (_, how) => {
    const { run, changes } = watched();
    await run(401);
    await run(19, how);
    expect(changes()).toEqual([true]);
    await run(1, how);
    expect(changes()).toEqual([true, false]);
    await run(1_599);
    expect(changes()).toEqual([true, false]);
    await run(2);
    expect(changes()).toEqual([true, false, true]);
  });

  it('go on when others run now and then', async () => {
    const { run, changes } = watched();
    await run(401);
    for (let i = 0; i < 100; i++) {
      await run(1, { alone: false });
      await run(20);
    }
    expect(changes()).toEqual([true]);
  });

  it('end when runs become much longer, not when a few do', async () => {
    const { run, changes } = watched();
    await run(401);
    await run(400, { runMs: 3.3 });
    for (let i = 0; i < 40; i++) {
      await run(8);
      await run(2, { runMs: 30 });
    }
    expect(changes()).toEqual([true]);
    await run(200, { runMs: 5 });
    expect(changes()).toEqual([true, false]);
  });

  it('end when runs no longer follow each other, and begin again as at first', async () => {
    const { run, changes } = watched();
    await run(401);
    for (let i = 0; i < 200; i++) {
      await run(1, { gapMs: 100 });
      await run(20);
    }
    expect(changes()).toEqual([true]);
    await run(120, { gapMs: 100 });
    expect(changes()).toEqual([true, false]);
    await run(400);
    expect(changes()).toEqual([true, false, true]);
  });

  it('are tried again at most 25,600 runs later', async () => {
    const { run, changes } = watched();
    for (let i = 0; i < 5; i++) {
      await run(25_601);
      await run(220, { runMs: 9 });
      expect(changes()).toHaveLength(2 * (i + 1));
    }
  });

  it('stay as they are if the model can not be loaded anew', async () => {
    const change = vi.fn<(what: { spins: boolean }) => Promise<void>>(() => Promise.reject(new Error('gone')));
    const { run } = watched(change);
    await run(401);
    await run(30, { alone: false });
    await run(10_000);
    expect(change).toHaveBeenCalledTimes(1);
  });

  it('stay as they are in a model that went before its turn came', async () => {
    const { spin, run, changes, tasks } = watched();
    await run(400);
    vi.advanceTimersByTime(0.5);
    spin.begins(true);
    spin.ran(1);
    spin.end();
    expect(tasks).toHaveLength(1);
    await tasks[0]!();
    expect(changes()).toEqual([]);
  });
});

describe('turns', () => {
  it('tell a thread whether it ran last', () => {
    const shared = Turns.create();
    const [first, second] = [new Turns(shared, 0), new Turns(shared, 1)];
    expect([first.take(), first.take(), second.take(), first.take(), second.take(), second.take()]).toEqual([
      false,
      true,
      false,
      false,
      false,
      true,
    ]);
  });
});
