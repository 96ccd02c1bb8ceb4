// Calls under way in a worker: settled once, watched one at a time in each lane.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { Calls } from '../../../src/workers/calls.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function open(): {
  calls: Calls;
  late: string[];
  add: (lane: string, what: string) => Promise<unknown>;
  numbers: number[];
} {
  const late: string[] = [];
  const numbers: number[] = [];
  const calls = new Calls((what) => late.push(what));
  const add = (lane: string, what: string): Promise<unknown> =>
    calls
      .add({ lane, limitMs: 100, what }, (number) => numbers.push(number))
      .catch((error: GpufaasError) => error.code);
  return { calls, late, add, numbers };
}

describe('calls under way', () => {
  it('are settled by number, once', async () => {
    const { calls, add, numbers } = open();
    const one = add('a', 'one');
    const two = add('a', 'two');
    calls.resolve(numbers[1]!, 'second');
    calls.reject(numbers[0]!, new GpufaasError('BAD_TENSOR', 'x'));
    calls.resolve(numbers[0]!, 'too late');
    calls.resolve(999, 'unknown');
    expect(await two).toBe('second');
    expect(await one).toBe('BAD_TENSOR');
    expect(calls.size).toBe(0);
  });

  it('are late only when the first of a lane is: each one has the whole limit', () => {
    const { calls, late, add, numbers } = open();
    for (const what of ['one', 'two', 'three']) void add('a', what);
    vi.advanceTimersByTime(90);
    calls.resolve(numbers[0]!, null);
    vi.advanceTimersByTime(90);
    calls.resolve(numbers[2]!, null);
    expect(late).toEqual([]);
    vi.advanceTimersByTime(20);
    expect(late).toEqual(['two']);
  });

  it('of different lanes do not wait for each other', () => {
    const { late, add } = open();
    void add('a', 'one');
    vi.advanceTimersByTime(50);
    void add('b', 'two');
    vi.advanceTimersByTime(60);
    expect(late).toEqual(['one']);
    vi.advanceTimersByTime(60);
    expect(late).toEqual(['one', 'two']);
  });

  it('are all rejected when the worker dies, and no timer is left', async () => {
    const { calls, late, add } = open();
    const all = [add('a', 'one'), add('a', 'two'), add('b', 'three')];
    calls.rejectAll('dead');
    expect(await Promise.all(all)).toEqual(['WORKER_DIED', 'WORKER_DIED', 'WORKER_DIED']);
    vi.advanceTimersByTime(1_000);
    expect(late).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('that could not be sent are rejected and forgotten', async () => {
    const { calls } = open();
    const failing = calls.add({ lane: 'a', limitMs: 100, what: 'x' }, () => {
      throw new GpufaasError('BODY_TOO_LARGE', 'x');
    });
    await expect(failing).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect(calls.size).toBe(0);
    // The lane's timer finds nothing and goes.
    vi.advanceTimersByTime(100);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('keep one timer for a lane, which looks again when what it was set for has ended', () => {
    const { calls, late, add, numbers } = open();
    void add('a', 'one');
    vi.advanceTimersByTime(60);
    calls.resolve(numbers[0]!, null);
    void add('a', 'two');
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(90);
    expect(late).toEqual([]);
    vi.advanceTimersByTime(20);
    expect(late).toEqual(['two']);
  });

  it('with a shorter limit than the one before are watched by their own', () => {
    const { calls, late, numbers } = open();
    const add = (what: string, limitMs: number): void =>
      void calls.add({ lane: 'a', limitMs, what }, (number) => numbers.push(number)).catch(() => undefined);
    add('long', 1000);
    add('short', 50);
    calls.resolve(numbers[0]!, null);
    vi.advanceTimersByTime(60);
    expect(late).toEqual(['short']);
  });
});
