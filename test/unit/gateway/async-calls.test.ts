// Calls that nobody waits for: order, bounds, retries, cancelling, and what is kept of them.

import { expect, test } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { AsyncCalls } from '../../../src/gateway/async-calls.ts';
import type { AsyncLimits, AsyncResult, AsyncSubmission } from '../../../src/gateway/async-calls.ts';

const result = (text: string): AsyncResult => ({ status: 200, headers: {}, body: Buffer.from(text), summary: null });
const failure = (error: GpufaasError): AsyncResult => ({ ...result(error.code), status: error.status });

function make(limits: Partial<AsyncLimits> = {}) {
  const delivered: string[] = [];
  const calls = new AsyncCalls(
    async ({ id }, { result: { body } }) => void delivered.push(`${id} ${Buffer.from(body).toString()}`),
    failure,
    limits,
  );
  return { calls, delivered };
}

/** A call whose end the test decides. */
function controlled(id: string, more: Partial<AsyncSubmission> = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<AsyncResult>();
  let started = 0;
  const run = (signal: AbortSignal): Promise<AsyncResult> => {
    started++;
    signal.addEventListener('abort', () => reject(new Error('aborted')));
    return promise;
  };
  const submission: AsyncSubmission = { id, function: 'f', bytes: 10, callbackUrl: null, run, ...more };
  return { submission, resolve, started: () => started };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test('a call is queued, runs, and its result is kept', async () => {
  const { calls } = make({ concurrency: 1 });
  const [a, b] = [controlled('a'), controlled('b')];
  calls.submit(a.submission);
  calls.submit(b.submission);
  expect([calls.state('a'), calls.state('b')]).toEqual([{ state: 'running' }, { state: 'queued' }]);
  expect(b.started()).toBe(0);
  a.resolve(result('done'));
  await settle();
  expect(calls.state('a')).toMatchObject({ state: 'ended', result: { status: 200 } });
  expect(calls.state('b')).toEqual({ state: 'running' });
  expect(calls.state('c')).toBeNull();
});

test('too many of them, in number or in bytes, are refused', () => {
  const { calls } = make({ maxPending: 2, maxPendingBytes: 100, concurrency: 1 });
  calls.submit(controlled('a').submission);
  expect(() => calls.submit(controlled('b', { bytes: 91 }).submission)).toThrow(GpufaasError);
  calls.submit(controlled('c').submission);
  expect(() => calls.submit(controlled('d').submission)).toThrow('Too many');
});

test('a call that finds no capacity is tried again, and only so often', async () => {
  const { calls } = make({ attempts: 3 });
  let tries = 0;
  const run = async (): Promise<AsyncResult> => {
    tries++;
    throw new GpufaasError('QUEUE_FULL', 'Full.', { retryAfterMs: 1 });
  };
  calls.submit({ id: 'a', function: 'f', bytes: 0, callbackUrl: null, run });
  await expect.poll(() => calls.state('a')?.state).toBe('ended');
  expect(tries).toBe(3);
  expect(calls.state('a')).toMatchObject({ result: { status: 429 } });
});

test('a call that fails otherwise is not tried again', async () => {
  const { calls } = make();
  let tries = 0;
  const run = async (): Promise<AsyncResult> => {
    tries++;
    throw new GpufaasError('HANDLER_DIED', 'Died.');
  };
  calls.submit({ id: 'a', function: 'f', bytes: 0, callbackUrl: null, run });
  await settle();
  expect(tries).toBe(1);
  expect(calls.state('a')).toMatchObject({ result: { status: 502 } });
});

test('a queued call is cancelled at once, a running one by its signal, an ended one not at all', async () => {
  const { calls } = make({ concurrency: 1 });
  const [a, b] = [controlled('a'), controlled('b')];
  calls.submit(a.submission);
  calls.submit(b.submission);
  calls.cancel('b');
  expect(calls.state('b')).toMatchObject({ state: 'ended', result: { status: 499 } });
  calls.cancel('a');
  await settle();
  expect(calls.state('a')).toMatchObject({ state: 'ended', result: { status: 499 } });
  expect(b.started()).toBe(0);
  expect(() => calls.cancel('a')).toThrow('ended already');
  expect(() => calls.cancel('z')).toThrow('no asynchronous call');
});

test('the callback is told, once, after the end', async () => {
  const { calls, delivered } = make();
  const a = controlled('a', { callbackUrl: 'http://localhost/' });
  calls.submit(a.submission);
  calls.submit(controlled('b').submission);
  a.resolve(result('yes'));
  await settle();
  expect(delivered).toEqual(['a yes']);
});

test('old results give way to new ones, by number, bytes and age', async () => {
  const end = async (limits: Partial<AsyncLimits>) => {
    const { calls } = make(limits);
    for (const id of ['a', 'b', 'c']) {
      const call = controlled(id);
      calls.submit(call.submission);
      call.resolve(result('12345'));
      await settle();
    }
    return ['a', 'b', 'c'].filter((id) => calls.state(id) !== null);
  };
  expect(await end({ maxResults: 2 })).toEqual(['b', 'c']);
  expect(await end({ maxResultBytes: 10 })).toEqual(['b', 'c']);
  expect(await end({ keepResultsMs: -1 })).toEqual([]);
});

test('closing ends what waits and what runs, and takes no more', async () => {
  const { calls, delivered } = make({ concurrency: 1 });
  const [a, b] = [controlled('a', { callbackUrl: 'http://localhost/' }), controlled('b')];
  calls.submit(a.submission);
  calls.submit(b.submission);
  calls.close();
  await settle();
  expect(calls.state('a')).toMatchObject({ state: 'ended' });
  expect(calls.state('b')).toMatchObject({ state: 'ended' });
  expect(delivered).toEqual([]);
  expect(() => calls.submit(controlled('c').submission)).toThrow(GpufaasError);
});
