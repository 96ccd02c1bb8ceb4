// Calls that nobody waits for: order, bounds, tries, cancelling, what is kept of them, and what a daemon that ended leaves
// to the next one.

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { AsyncCalls, type AsyncLimits } from '../../../src/daemon/async-calls.ts';
import { Callbacks, type Callback } from '../../../src/daemon/callbacks.ts';
import { GpufaasError } from '../../../src/errors.ts';
import type { AsyncAnswer, AsyncRunner, NewAsyncCall } from '../../../src/gateway/async-platform.ts';
import { createAsyncCallStore } from '../../../src/store/async-calls.ts';
import { openDatabase } from '../../../src/store/database.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-calls-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const answer = (text: string, more: Partial<AsyncAnswer> = {}): AsyncAnswer => ({
  status: 200,
  headers: {},
  body: Buffer.from(text),
  summary: null,
  errorCode: null,
  ...more,
});
const failure = (error: GpufaasError): AsyncAnswer =>
  answer(error.code, { status: error.status, errorCode: error.code });
const settle = () => new Promise((resolve) => setTimeout(resolve, 30));

/** Callbacks that are only noted; the test says how each ends. */
class NotedCallbacks extends Callbacks {
  readonly noted: Callback[] = [];
  override add(callback: Callback): void {
    this.noted.push(callback);
  }
}

/** Calls whose ends the test decides, over the state that lies in the folder. */
function make(limits: Partial<AsyncLimits> = {}, run?: AsyncRunner['run']) {
  const database = openDatabase(join(folder, 'state.db'));
  const store = createAsyncCallStore(database, folder);
  const callbacks = new NotedCallbacks();
  const calls = new AsyncCalls({ store, callbacks, clock: systemClock, onNotice: () => undefined, limits });
  const begun: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<AsyncAnswer>>();
  const byHand: AsyncRunner['run'] = (call, signal, onBegin) => {
    onBegin(true);
    begun.push(`${call.id} ${Buffer.from(call.body).toString()}`);
    const end = Promise.withResolvers<AsyncAnswer>();
    ends.set(call.id, end);
    signal.addEventListener('abort', () => end.reject(new Error('aborted')));
    return end.promise;
  };
  calls.serve({ run: run ?? byHand, failure });
  const end = async (id: string, text = 'done'): Promise<void> => {
    await expect.poll(() => ends.has(id)).toBe(true);
    ends.get(id)!.resolve(answer(text));
    await expect.poll(() => calls.find(id).endedAt).not.toBeNull();
  };
  const state = (id: string): string => {
    try {
      return calls.find(id).state;
    } catch {
      return 'unknown';
    }
  };
  return { calls, store, begun, end, state, callbacks, database };
}

const call = (id: string, more: Partial<NewAsyncCall> = {}): NewAsyncCall => ({
  id,
  function: 'f',
  method: 'POST',
  path: '/',
  headers: {},
  body: Buffer.from(`body of ${id}`),
  callbackUrl: null,
  ...more,
});

test('a function that is slow leaves places to the others', async () => {
  const { calls, begun, end } = make({ concurrency: 4 });
  for (const id of ['s1', 's2', 's3', 's4']) await calls.submit(call(id, { function: 'slow' }));
  await calls.submit(call('q', { function: 'quick' }));
  await expect.poll(() => begun.map((line) => line.split(' ')[0])).toEqual(['s1', 's2', 's3', 'q']);
  await end('q');
  await end('s1');
  await expect.poll(() => begun.map((line) => line.split(' ')[0])).toEqual(['s1', 's2', 's3', 'q', 's4']);
});

test('a call waits, runs, and its answer is kept', async () => {
  const { calls, begun, end, state } = make({ concurrency: 1 });
  await calls.submit(call('a'));
  await calls.submit(call('b'));
  await expect.poll(() => state('a')).toBe('running');
  expect(state('b')).toBe('queued');
  expect(await calls.answer('a')).toBeNull();
  await end('a', 'yes');
  expect(await calls.answer('a')).toMatchObject({ status: 200, body: Buffer.from('yes') });
  expect(calls.find('a')).toMatchObject({ state: 'done', status: 200, attempts: 1, answerBytes: 3, callback: 'none' });
  await end('b');
  expect(begun).toEqual(['a body of a', 'b body of b']);
  expect(calls.list({ limit: 10 }).map(({ id }) => id)).toEqual(['b', 'a']);
  expect(calls.list({ limit: 10, state: 'queued' })).toEqual([]);
  expect(state('c')).toBe('unknown');
});

test('too many of them, in number or in bytes, are refused', async () => {
  const { calls } = make({ maxPending: 2, maxPendingBytes: 100, concurrency: 1 });
  await calls.submit(call('a'));
  await expect(calls.submit(call('b', { body: Buffer.alloc(95) }))).rejects.toThrow(GpufaasError);
  await calls.submit(call('c'));
  await expect(calls.submit(call('d'))).rejects.toThrow('Too many');
});

test('what is refused for lack of capacity is tried again, and only so often', async () => {
  let tries = 0;
  const { calls } = make({ attempts: 3 }, async () => {
    tries++;
    throw new GpufaasError('QUEUE_FULL', 'Full.', { retryAfterMs: 1 });
  });
  await calls.submit(call('a'));
  await expect.poll(() => calls.find('a').state).toBe('failed');
  expect(tries).toBe(3);
  expect(calls.find('a')).toMatchObject({ status: 429, errorCode: 'QUEUE_FULL' });
});

test.each([
  ['has begun is not run twice, whatever it failed with', 'QUEUE_FULL', true],
  ['failed otherwise is not tried again', 'HANDLER_DIED', false],
] as const)('what %s', async (_, code, begins) => {
  let tries = 0;
  const { calls } = make({}, async (_call, _signal, onBegin) => {
    tries++;
    if (begins) onBegin(true);
    throw new GpufaasError(code, 'No.', { retryAfterMs: 1 });
  });
  await calls.submit(call('a'));
  await expect.poll(() => calls.find('a').state).toBe('failed');
  expect(tries).toBe(1);
});

test('a call that is cancelled twice at once takes no other out of the queue', async () => {
  const { calls, begun, end, state } = make({ concurrency: 1 });
  for (const id of ['first', 'mine', 'other']) await calls.submit(call(id));
  await Promise.allSettled([calls.cancel('mine'), calls.cancel('mine')]);
  expect(state('mine')).toBe('cancelled');
  await end('first');
  await expect.poll(() => begun.map((line) => line.split(' ')[0])).toEqual(['first', 'other']);
});

test('the end of a callback is that of its own ending, not of a retry that came meanwhile', async () => {
  const { calls, end, callbacks } = make();
  await calls.submit(call('a', { callbackUrl: 'http://127.0.0.1:9/' }));
  await end('a');
  await expect.poll(() => callbacks.noted.length).toBe(1);
  await settle();
  calls.retry('a');
  callbacks.noted[0]!.onEnd(false, 'nobody there');
  await settle();
  await expect.poll(() => calls.find('a').state).toBe('running');
  await end('a', 'again');
  await expect.poll(() => callbacks.noted.length).toBe(2);
});

test('a call that waits is cancelled at once, one that runs by its signal, one that ended not at all', async () => {
  const { calls, begun, state } = make({ concurrency: 1 });
  await calls.submit(call('a'));
  await calls.submit(call('b'));
  await calls.cancel('b');
  expect(state('b')).toBe('cancelled');
  await expect.poll(() => state('a')).toBe('running');
  await calls.cancel('a');
  await expect.poll(() => state('a')).toBe('cancelled');
  expect(begun).toHaveLength(1);
  await expect(calls.cancel('a')).rejects.toThrow('ended already');
  await expect(calls.cancel('z')).rejects.toThrow('no asynchronous call');
});

test('a call that has ended runs again when it is asked for, with what it came with', async () => {
  const { calls, begun, end } = make();
  await calls.submit(call('a'));
  await expect.poll(() => begun.length).toBe(1);
  expect(() => calls.retry('a')).toThrow('waits or runs');
  await end('a', 'first');
  expect(calls.retry('a')).toMatchObject({ answerBytes: 0, endedAt: null });
  await expect.poll(() => begun).toEqual(['a body of a', 'a body of a']);
  await end('a', 'second');
  expect(calls.find('a')).toMatchObject({ state: 'done', attempts: 2 });
  expect(Buffer.from((await calls.answer('a'))!.body).toString()).toBe('second');
});

test('the callback is owed until it has been told', async () => {
  const { calls, end, callbacks } = make();
  await calls.submit(call('a', { callbackUrl: 'http://localhost/' }));
  await calls.submit(call('b'));
  await end('a', 'yes');
  await end('b');
  expect(callbacks.noted).toHaveLength(1);
  expect(calls.find('a').callback).toBe('pending');
  const [owed] = callbacks.noted;
  expect(await owed!.message()).toMatchObject({
    headers: { 'x-call-id': 'a', 'x-function-name': 'f', 'x-function-status': '200' },
    body: Buffer.from('yes'),
  });
  // The daemon ends before it was told: the next one tells it.
  const next = make();
  expect(next.callbacks.noted).toHaveLength(1);
  next.callbacks.noted[0]!.onEnd(true, '');
  expect(next.calls.find('a').callback).toBe('delivered');
  expect(make().callbacks.noted).toEqual([]);
});

test('old answers give way to new ones, by number, bytes and age', async () => {
  const left = async (limits: Partial<AsyncLimits>): Promise<() => string[]> => {
    const { calls, end, state } = make(limits);
    for (const id of ['a', 'b', 'c']) {
      await calls.submit(call(id));
      await end(id, '12345').catch(() => undefined);
    }
    return () => ['a', 'b', 'c'].filter((id) => state(id) !== 'unknown');
  };
  await expect.poll(await left({ maxCalls: 2 })).toEqual(['b', 'c']);
  rmSync(folder, { recursive: true });
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-calls-'));
  // A body of 9 bytes and an answer of 5 each.
  await expect.poll(await left({ maxBytes: 28 })).toEqual(['b', 'c']);
  await expect.poll(() => readdirSync(folder).filter((file) => file.startsWith('a.'))).toEqual([]);
  expect(make({ keepMs: -1 }).calls.list({ limit: 10 })).toEqual([]);
});

test('what waited when the daemon was killed runs in the next one, in its order', async () => {
  const first = make({ concurrency: 1 });
  await first.calls.submit(call('a'));
  await first.calls.submit(call('b'));
  await first.calls.submit(call('c'));
  await expect.poll(() => first.begun.length).toBe(1);
  // Killed: nothing is told to anybody.
  const next = make({ concurrency: 1 });
  await expect.poll(() => next.state('a')).toBe('interrupted');
  expect(await next.calls.answer('a')).toMatchObject({ status: 502, errorCode: 'INTERRUPTED' });
  await next.end('b');
  await next.end('c');
  expect(next.begun).toEqual(['b body of b', 'c body of c']);
  next.calls.retry('a');
  await next.end('a', 'late');
  expect(next.calls.find('a')).toMatchObject({ state: 'done', attempts: 2 });
});

test('a daemon that ends leaves what has not begun to the next one, and says what it broke off', async () => {
  const first = make({ concurrency: 1 });
  await first.calls.submit(call('a'));
  await first.calls.submit(call('b'));
  await expect.poll(() => first.begun.length).toBe(1);
  first.calls.stop();
  await expect(first.calls.submit(call('c'))).rejects.toThrow('going down');
  await first.calls.close();
  expect(first.state('a')).toBe('interrupted');
  expect(first.state('b')).toBe('queued');
  const next = make();
  await next.end('b');
  expect(next.begun).toEqual(['b body of b']);
});

test('an answer that can not be kept is told as long as the daemon lives, and the call may run again', async () => {
  const { calls, begun, store } = make();
  await calls.submit(call('a'));
  await expect.poll(() => begun.length).toBe(1);
  const end = store.end.bind(store);
  store.end = () => Promise.reject(new GpufaasError('DISK_FULL', 'No room.'));
  await calls.cancel('a');
  await expect.poll(() => calls.answer('a')).toMatchObject({ status: 507, errorCode: 'DISK_FULL' });
  store.end = end;
  calls.retry('a');
  await expect.poll(() => begun.length).toBe(2);
  await calls.cancel('a');
  await expect.poll(() => calls.find('a').state).toBe('cancelled');
});

test('bodies that belong to no call are removed at the start', async () => {
  const { calls, store, end } = make();
  await calls.submit(call('a'));
  await end('a');
  rmSync(join(folder, 'state.db'), { force: true });
  const fresh = createAsyncCallStore(openDatabase(':memory:'), folder);
  expect(readdirSync(folder).filter((file) => file.startsWith('a.'))).toHaveLength(2);
  await store.sweep();
  expect(readdirSync(folder).filter((file) => file.startsWith('a.'))).toHaveLength(2);
  await fresh.sweep();
  expect(readdirSync(folder).filter((file) => file.startsWith('a.'))).toEqual([]);
});
