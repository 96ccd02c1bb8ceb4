// When the weights of a loaded model are packed.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PackLater } from '../../../src/workers/pack-later.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched(afterRuns: number) {
  const pack = vi.fn<() => Promise<void>>(() => Promise.resolve());
  const later = new PackLater({ afterRuns, pack }, (task) => void task());
  const run = (times: number): void => {
    for (let i = 0; i < times; i++) later.ran();
  };
  return { later, pack, run };
}

describe('packing later', () => {
  it('waits for as many runs as lose what it takes, and for a pause', () => {
    const { pack, run } = watched(10);
    run(9);
    vi.advanceTimersByTime(10_000);
    expect(pack).not.toHaveBeenCalled();
    run(1);
    expect(pack).not.toHaveBeenCalled();
    vi.advanceTimersByTime(60);
    expect(pack).toHaveBeenCalledTimes(1);
  });

  it('does not wait for a pause for ever', () => {
    const { pack, run } = watched(10);
    for (let i = 0; i < 19; i++) {
      run(1);
      vi.advanceTimersByTime(20);
    }
    expect(pack).not.toHaveBeenCalled();
    run(1);
    expect(pack).toHaveBeenCalledTimes(1);
  });

  it('happens once', () => {
    const { pack, run } = watched(1);
    run(1);
    vi.advanceTimersByTime(60);
    run(5);
    vi.advanceTimersByTime(60);
    expect(pack).toHaveBeenCalledTimes(1);
  });

  it('does not happen to a model that went before its turn came', async () => {
    const pack = vi.fn<() => Promise<void>>(() => Promise.resolve());
    const tasks: (() => Promise<void>)[] = [];
    const later = new PackLater({ afterRuns: 1, pack }, (task) => void tasks.push(task));
    later.ran();
    later.ran();
    later.end();
    expect(tasks).toHaveLength(1);
    await tasks[0]!();
    expect(pack).not.toHaveBeenCalled();
  });

  it('does not happen to a model that goes', () => {
    const { later, pack, run } = watched(3);
    run(3);
    later.end();
    vi.advanceTimersByTime(1_000);
    run(10);
    expect(pack).not.toHaveBeenCalled();
  });
});
