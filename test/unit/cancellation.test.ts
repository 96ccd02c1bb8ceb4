// What tells the work of an invocation that nobody waits for it any more.

import { describe, expect, it } from 'vitest';
import { asAbortSignal, Cancellation } from '../../src/cancellation.ts';

describe('a cancellation', () => {
  it('tells everybody who still listens, once, with its reason', () => {
    const cancellation = new Cancellation();
    const told: string[] = [];
    const left = (): void => void told.push('left');
    cancellation.addEventListener('abort', () => told.push(`first: ${String(cancellation.reason)}`));
    cancellation.addEventListener('abort', left);
    cancellation.addEventListener('abort', () => told.push('last'));
    cancellation.removeEventListener('abort', left);
    cancellation.removeEventListener('abort', left);
    expect(cancellation.aborted).toBe(false);
    cancellation.cancel('gone');
    cancellation.cancel('again');
    expect(told).toEqual(['first: gone', 'last']);
    expect(cancellation).toMatchObject({ aborted: true, reason: 'gone' });
  });

  it('tells nobody who comes too late, as an AbortSignal does', () => {
    const cancellation = new Cancellation();
    cancellation.cancel();
    cancellation.addEventListener('abort', () => expect.unreachable());
    expect(cancellation.aborted).toBe(true);
  });

  it('lets listeners leave while they are told', () => {
    const cancellation = new Cancellation();
    const told: number[] = [];
    const third = (): void => void told.push(3);
    cancellation.addEventListener('abort', () => {
      told.push(1);
      cancellation.removeEventListener('abort', third);
    });
    cancellation.addEventListener('abort', () => told.push(2));
    cancellation.addEventListener('abort', third);
    cancellation.cancel();
    expect(told).toEqual([1, 2]);
  });

  it('tells those after a listener that throws', () => {
    const cancellation = new Cancellation();
    const told: number[] = [];
    cancellation.addEventListener('abort', () => {
      throw new Error('no');
    });
    cancellation.addEventListener('abort', () => told.push(2));
    expect(() => cancellation.cancel()).toThrow('no');
    expect(told).toEqual([2]);
  });

  it('becomes an AbortSignal, before it is fired and after', () => {
    const cancellation = new Cancellation();
    const before = asAbortSignal(cancellation);
    expect(before.aborted).toBe(false);
    cancellation.cancel(new Error('gone'));
    expect(before).toMatchObject({ aborted: true, reason: new Error('gone') });
    expect(asAbortSignal(cancellation).aborted).toBe(true);
    const real = AbortSignal.abort();
    expect(asAbortSignal(real)).toBe(real);
  });
});
