import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../src/clock.ts';
import { Dispatcher } from '../../../src/daemon/dispatcher.ts';
import type { BeforeLoad } from '../../../src/daemon/load-plan.ts';
import type { DispatcherEvent } from '../../../src/daemon/dispatcher-events.ts';
import type { InferenceRequest } from '../../../src/daemon/pending.ts';
import type { Device } from '../../../src/devices/types.ts';
import { GpufaasError } from '../../../src/errors.ts';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import type { SchedulerOptions } from '../../../src/scheduling/types.ts';
import type { Tensor } from '../../../src/tensors.ts';
import { FakeRunner } from '../../helpers/fake-runner.ts';

const GB = 1e9;

function setUp(
  deviceCount: number,
  options: Partial<SchedulerOptions> = {},
  beforeLoad?: BeforeLoad,
  { threads = 1, memoryBytes = 2 * GB } = {},
) {
  const clock = new ManualClock();
  const events: DispatcherEvent[] = [];
  const dispatcher = new Dispatcher(
    createScheduler({ policy: 'lalbo3', ...options }),
    clock,
    (event) => events.push(event),
    beforeLoad,
  );
  const runners: FakeRunner[] = [];
  for (let index = 0; index < deviceCount; index++) {
    const device: Device = {
      id: `cpu:${index}`,
      kind: 'cpu',
      index,
      name: 'test',
      memoryBytes,
      threads,
      overlap: true,
    };
    const runner = new FakeRunner(device.id);
    runners.push(runner);
    dispatcher.addDevice(device, runner);
    dispatcher.deviceReady(device.id);
  }
  const addModel = (id: string, memoryBytes = GB): void =>
    dispatcher.addModel(
      { id, path: '', prepared: false, inputs: [], outputs: [] },
      { id, memoryBytes, loadMs: 100, runMs: 10 },
    );
  return { clock, events, dispatcher, runners, addModel };
}

function request(model: string, value = 1): InferenceRequest {
  const input: Tensor = { name: 'x', datatype: 'UINT8', shape: [1], data: Uint8Array.of(value) };
  return { model, inputs: [input], arrivedAtMs: 0, bytes: 1, rows: 1, priority: 0, admitted: false };
}

const never = new AbortController().signal;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the dispatcher', () => {
  it('loads on the first request and says where the time went', async () => {
    const { dispatcher, runners, addModel, clock } = setUp(1);
    addModel('a');
    const answer = dispatcher.infer(request('a', 7), never);
    await settle();
    expect(runners[0]!.asked).toEqual(['load a']);
    clock.advance(100);
    runners[0]!.finishLoad();
    await settle();
    clock.advance(10);
    runners[0]!.finishRun();
    const result = await answer;
    expect(result).toMatchObject({ device: 'cpu:0', cache: 'miss', queueMs: 0, loadMs: 100, runMs: 10 });
    expect(result.outputs[0]!.data).toEqual(Uint8Array.of(7));
  });

  it('calls a request a miss whose copy was loaded after its invocation came, however early a hint began it', async () => {
    const { dispatcher, runners, addModel, clock } = setUp(1, { policy: 'locality', explain: true });
    addModel('a');
    dispatcher.hint('a');
    await settle();
    expect(runners[0]!.asked).toEqual(['load a']);
    clock.advance(100);
    runners[0]!.finishLoad();
    await settle();
    // The handler was busy until now.
    clock.advance(50);
    const run = async (coldAfterMs: number) => {
      const answer = dispatcher.infer({ ...request('a'), coldAfterMs }, never);
      await settle();
      clock.advance(10);
      runners[0]!.finishRun();
      return answer;
    };
    expect(await run(0)).toMatchObject({
      cache: 'miss',
      loadMs: 0,
      hiddenLoadMs: 100,
      queueMs: 0,
      decision: { reason: 'hint' },
    });
    expect(await run(clock.now())).toMatchObject({ cache: 'hit', loadMs: 0, hiddenLoadMs: 0 });
  });

  it('counts of a load begun by a hint what the request waited for it', async () => {
    const { dispatcher, runners, addModel, clock } = setUp(1, { policy: 'locality' });
    addModel('a');
    dispatcher.hint('a');
    await settle();
    clock.advance(70);
    const answer = dispatcher.infer({ ...request('a'), coldAfterMs: 0 }, never);
    await settle();
    clock.advance(30);
    runners[0]!.finishLoad();
    await settle();
    clock.advance(10);
    runners[0]!.finishRun();
    expect(await answer).toMatchObject({ cache: 'miss', loadMs: 30, hiddenLoadMs: 70, runMs: 10 });
    dispatcher.hint('a');
    await settle();
    expect(runners[0]!.asked.filter((asked) => asked.startsWith('load'))).toEqual(['load a']);
  });

  it('answers the second request as a hit', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    addModel('a');
    const first = dispatcher.infer(request('a'), never);
    await settle();
    runners[0]!.finishLoad();
    await settle();
    runners[0]!.finishRun();
    await first;
    const second = dispatcher.infer(request('a'), never);
    await settle();
    runners[0]!.finishRun();
    expect(await second).toMatchObject({ cache: 'hit', loadMs: 0 });
    expect(runners[0]!.asked).toEqual(['load a', 'run a', 'run a']);
  });

  it('says at once that a model fits nowhere beside what is pinned, to who calls it and to who wants it loaded', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    addModel('a', 1.5 * GB);
    addModel('b');
    addModel('huge', 3 * GB);
    const loaded = dispatcher.load('a', null, 1000);
    await settle();
    runners[0]!.finishLoad();
    await loaded;
    dispatcher.pin('a', true);
    const pinned = {
      code: 'DOES_NOT_FIT',
      message: 'The model needs 1 GB; no device has that much beside what is pinned there.',
      suggestions: [expect.stringContaining('`gpufaas pin FN --off`'), expect.any(String)],
    };
    await expect(dispatcher.infer(request('b'), never)).rejects.toMatchObject(pinned);
    await expect(dispatcher.load('b', null, 1000)).rejects.toMatchObject(pinned);
    await expect(dispatcher.load('b', 'cpu:0', 1000)).rejects.toMatchObject({
      code: 'DOES_NOT_FIT',
      message: 'The model needs 1 GB; cpu:0 does not have that much beside what is pinned there.',
    });
    const large = {
      code: 'DOES_NOT_FIT',
      message: 'The model needs 3 GB; the largest device has 2 GB.',
      // A daemon that runs keeps its devices.
      suggestions: [expect.stringMatching(/`gpufaas down`, then `gpufaas up --devices/)],
    };
    await expect(dispatcher.infer(request('huge'), never)).rejects.toMatchObject(large);
    await expect(dispatcher.load('huge', null, 1000)).rejects.toMatchObject(large);
    dispatcher.pin('a', false);
    const fits = dispatcher.load('b', null, 1000);
    await settle();
    runners[0]!.finishLoad();
    await expect(fits).resolves.toBeUndefined();
  });

  it('refuses a load whose files were changed, while a copy that is resident serves on', async () => {
    const changed = new GpufaasError('BAD_MODEL', 'changed on disk');
    let bad = false;
    const { dispatcher, runners, addModel } = setUp(2, {}, async () => {
      if (bad) throw changed;
    });
    addModel('a');
    const first = dispatcher.infer(request('a'), never);
    await settle();
    runners[0]!.finishLoad();
    await settle();
    // One runs on the first device while the second device is asked for a copy.
    bad = true;
    await expect(dispatcher.load('a', 'cpu:1', 1000)).rejects.toBe(changed);
    runners[0]!.finishRun();
    await expect(first).resolves.toMatchObject({ device: 'cpu:0' });
    const second = dispatcher.infer(request('a'), never);
    await settle();
    runners[0]!.finishRun();
    await expect(second).resolves.toMatchObject({ cache: 'hit', device: 'cpu:0' });
    await dispatcher.unload('a', null, 1000);
    await expect(dispatcher.infer(request('a'), never)).rejects.toBe(changed);
    expect(runners.map(({ asked }) => asked)).toEqual([['load a', 'run a', 'run a', 'evict a'], []]);
  });

  it('does not load into a worker that was started after the load was decided', async () => {
    const looked = Promise.withResolvers<void>();
    const { dispatcher, runners, addModel } = setUp(1, {}, () => looked.promise.then(() => undefined));
    addModel('a');
    const answer = dispatcher.infer(request('a'), never);
    await settle();
    dispatcher.deviceLost('cpu:0', 'killed');
    dispatcher.deviceReady('cpu:0');
    await settle();
    looked.resolve();
    await settle();
    expect(runners[0]!.asked).toEqual(['load a']);
    runners[0]!.finishLoad();
    await settle();
    runners[0]!.finishRun();
    await expect(answer).resolves.toMatchObject({ cache: 'miss' });
  });

  it('counts waiting for a load under way as load time and as a miss', async () => {
    const { dispatcher, runners, addModel, clock } = setUp(1);
    addModel('a');
    const first = dispatcher.infer(request('a'), never);
    await settle();
    clock.advance(60);
    const second = dispatcher.infer(request('a'), never);
    await settle();
    clock.advance(40);
    runners[0]!.finishLoad();
    await settle();
    clock.advance(10);
    runners[0]!.finishRun();
    await first;
    await settle();
    clock.advance(10);
    runners[0]!.finishRun();
    expect(await second).toMatchObject({ cache: 'miss', loadMs: 40, queueMs: 10, runMs: 10 });
  });

  it('evicts before it loads when the room is needed', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    for (const id of ['a', 'b', 'c']) addModel(id);
    for (const id of ['a', 'b', 'c']) {
      const answer = dispatcher.infer(request(id), never);
      await settle();
      runners[0]!.finishLoad();
      await settle();
      runners[0]!.finishRun();
      await answer;
    }
    expect(runners[0]!.asked).toEqual(['load a', 'run a', 'load b', 'run b', 'evict a', 'load c', 'run c']);
    expect(dispatcher.view().devices[0]!.usedBytes).toBe(2 * GB);
  });

  it('retries a run elsewhere when its worker dies, and only once', async () => {
    const { dispatcher, runners, addModel } = setUp(2);
    addModel('a');
    const answer = dispatcher.infer(request('a'), never);
    await settle();
    runners[0]!.finishLoad();
    await settle();
    runners[0]!.die();
    dispatcher.deviceLost('cpu:0', 'killed');
    await settle();
    expect(runners[1]!.asked).toEqual(['load a']);
    runners[1]!.finishLoad();
    await settle();
    runners[1]!.die();
    dispatcher.deviceLost('cpu:1', 'killed');
    await expect(answer).rejects.toMatchObject({ code: 'WORKER_DIED' });
  });

  it('quarantines a model after two deaths of its own in a row, and tries it again on request', async () => {
    const { dispatcher, runners, addModel, events } = setUp(2);
    addModel('a');
    const answer = dispatcher.infer(request('a'), never);
    const outcome = answer.catch((error: unknown) => error);
    const expected = { code: 'QUARANTINED' };
    await settle();
    runners[0]!.die();
    dispatcher.deviceLost('cpu:0', 'killed');
    await settle();
    runners[1]!.die();
    dispatcher.deviceLost('cpu:1', 'killed');
    expect(await outcome).toMatchObject(expected);
    expect(dispatcher.isQuarantined('a')).toBe(true);
    expect(events).toContainEqual({ type: 'quarantine', model: 'a', barred: true });
    await expect(dispatcher.infer(request('a'), never)).rejects.toMatchObject({ code: 'QUARANTINED' });
    dispatcher.deviceReady('cpu:0');
    const loaded = dispatcher.load('a', null, 1000);
    await settle();
    runners[0]!.finishLoad();
    await loaded;
    expect(dispatcher.isQuarantined('a')).toBe(false);
  });

  it('does not blame a model that stood beside another one when the worker died', async () => {
    const { dispatcher, runners, addModel } = setUp(1, { policy: 'lalbo3' });
    addModel('a');
    for (let death = 0; death < 3; death++) {
      const answer = dispatcher.infer(request('a'), never).catch(() => undefined);
      await settle();
      runners[0]!.finishLoad();
      await settle();
      runners[0]!.finishRun();
      await answer;
      runners[0]!.die();
      dispatcher.deviceLost('cpu:0', 'killed while idle');
      dispatcher.deviceReady('cpu:0');
      await settle();
    }
    expect(dispatcher.isQuarantined('a')).toBe(false);
  });

  it('passes on why a load failed', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    addModel('a');
    const answer = dispatcher.infer(request('a'), never);
    await settle();
    runners[0]!.failLoad(new GpufaasError('BAD_MODEL', 'not a model'));
    await expect(answer).rejects.toMatchObject({ code: 'BAD_MODEL', message: 'not a model' });
  });

  it('tries a load that ran out of memory once more, then says so', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    addModel('a');
    const answer = dispatcher.infer(request('a'), never);
    const outcome = answer.catch((error: unknown) => error);
    const expected = { code: 'OUT_OF_MEMORY' };
    await settle();
    runners[0]!.failLoad(new GpufaasError('OUT_OF_MEMORY', 'no room'));
    await settle();
    expect(runners[0]!.loads).toHaveLength(1);
    runners[0]!.failLoad(new GpufaasError('OUT_OF_MEMORY', 'no room'));
    expect(await outcome).toMatchObject(expected);
  });

  it('takes a cancelled request out of the queue', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    addModel('a');
    const controller = new AbortController();
    const first = dispatcher.infer(request('a'), never);
    const second = dispatcher.infer(request('a'), controller.signal);
    await settle();
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: 'CANCELLED' });
    runners[0]!.finishLoad();
    await settle();
    runners[0]!.finishRun();
    await first;
    await settle();
    expect(runners[0]!.asked).toEqual(['load a', 'run a']);
    expect(dispatcher.underWay).toBe(0);
  });

  it('refuses what the queue can not hold', async () => {
    const { dispatcher, addModel } = setUp(1, { maxQueuedRequests: 1 });
    addModel('a');
    addModel('b');
    dispatcher.infer(request('a'), never).catch(() => undefined);
    await settle();
    dispatcher.infer(request('b'), never).catch(() => undefined);
    await settle();
    await expect(dispatcher.infer(request('b'), never)).rejects.toMatchObject({ code: 'QUEUE_FULL', status: 429 });
    await dispatcher.close(true);
  });

  it('ends every request that waits when it closes', async () => {
    const { dispatcher, addModel, runners } = setUp(1);
    addModel('a');
    const answer = dispatcher.infer(request('a'), never);
    const outcome = answer.catch((error: unknown) => error);
    const expected = { code: 'DRAINING' };
    await dispatcher.close(true);
    expect(await outcome).toMatchObject(expected);
    expect(runners[0]!.state).toBe('stopped');
  });

  it('knows the memory of a worker anew after a load, its first run and an eviction', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    const [runner] = runners;
    const seen = () => dispatcher.devices()[0]!.measured?.processRssBytes;
    addModel('a');
    const answer = dispatcher.infer(request('a'), never);
    await settle();
    runner!.rssBytes = 10;
    runner!.finishLoad();
    await settle();
    expect(seen()).toBe(10);
    runner!.rssBytes = 100;
    runner!.finishRun();
    await answer;
    await settle();
    expect(seen()).toBe(100);
    runner!.rssBytes = 4;
    await dispatcher.unload('a', null, 1000);
    expect(seen()).toBe(4);
  });

  it('unloads on request once nothing uses the model', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    addModel('a');
    const answer = dispatcher.infer(request('a'), never);
    await settle();
    runners[0]!.finishLoad();
    await settle();
    const unloaded = dispatcher.unload('a', null, 1000);
    await settle();
    expect(runners[0]!.asked).toEqual(['load a', 'run a']);
    runners[0]!.finishRun();
    await answer;
    await unloaded;
    expect(runners[0]!.asked).toEqual(['load a', 'run a', 'evict a']);
  });
});

it('explains a miss by the load that it waited for, not by the run that followed', async () => {
  const { dispatcher, runners, addModel } = setUp(2, { policy: 'locality', explain: true });
  addModel('a');
  const answer = dispatcher.infer(request('a'), never);
  await settle();
  const runner = runners.find(({ asked }) => asked.length > 0)!;
  runner.finishLoad();
  await settle();
  runner.finishRun();
  const { cache, decision } = await answer;
  expect(cache).toBe('miss');
  expect(decision?.reason).not.toMatch(/^hit/);
  expect(decision?.considered.every((candidate) => !candidate.resident)).toBe(true);
});

describe('memory lent to a measurement', () => {
  const limits = { waitMs: 1000, holdMs: 500, signal: never };

  it('is there once evictions have ended, keeps loads away, and is given back whatever happens', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    addModel('a');
    addModel('b');
    const first = dispatcher.infer(request('a'), never);
    await settle();
    runners[0]!.finishLoad();
    await settle();
    runners[0]!.finishRun();
    await first;
    const use = Promise.withResolvers<never>();
    const lent = dispatcher.lend('cpu:0', 2 * GB, limits, () => {
      runners[0]!.asked.push('use');
      return use.promise;
    });
    await settle();
    expect(runners[0]!.asked).toEqual(['load a', 'run a', 'evict a', 'use']);
    const second = dispatcher.infer(request('b'), never);
    await settle();
    expect(runners[0]!.asked.at(-1)).toBe('use');
    use.reject(new GpufaasError('BAD_MODEL', 'It is none.'));
    await expect(lent).rejects.toMatchObject({ code: 'BAD_MODEL' });
    await settle();
    expect(runners[0]!.asked.at(-1)).toBe('load b');
    runners[0]!.finishLoad();
    await settle();
    runners[0]!.finishRun();
    await second;
  });

  it('is not waited for longer than the limit, nor held longer than the other', async () => {
    const { dispatcher, runners, addModel, clock } = setUp(1);
    addModel('a');
    const answer = dispatcher.infer(request('a'), never);
    await settle();
    const inVain = dispatcher.lend('cpu:0', GB, limits, () => Promise.resolve('used'));
    await settle();
    clock.advance(1000);
    expect(await inVain).toEqual({ granted: false });
    runners[0]!.finishLoad();
    await settle();
    runners[0]!.finishRun();
    await answer;
    const held = dispatcher.lend(
      'cpu:0',
      GB,
      limits,
      (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve('ended'))),
    );
    await settle();
    clock.advance(500);
    expect(await held).toEqual({ granted: true, result: 'ended' });
    expect(dispatcher.view().devices[0]).toMatchObject({ reservedBytes: 0 });
    expect(await dispatcher.lend('cpu:0', 3 * GB, limits, () => Promise.resolve('used'))).toEqual({ granted: false });
  });

  it('ends with the caller who wanted it', async () => {
    const { dispatcher, addModel } = setUp(1);
    addModel('a');
    const caller = new AbortController();
    void dispatcher.infer(request('a'), caller.signal).catch(() => undefined);
    await settle();
    const lent = dispatcher.lend('cpu:0', GB, { ...limits, signal: caller.signal }, () => Promise.resolve('used'));
    caller.abort();
    await expect(lent).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('a run that is about to end', () => {
  it('hands the next run over shortly before the present one is expected to end, and counts its wait as queueing', async () => {
    const { dispatcher, runners, addModel, clock } = setUp(1);
    addModel('a');
    const runner = runners[0]!;
    const first = dispatcher.infer(request('a'), never);
    await settle();
    clock.advance(100);
    runner.finishLoad();
    await settle();
    runner.finishRun();
    await first;
    // What a run takes is known from the second one on; the first after a load is not like the others.
    const second = dispatcher.infer(request('a'), never);
    await settle();
    clock.advance(5);
    runner.finishRun();
    await second;
    const third = dispatcher.infer(request('a', 3), never);
    const fourth = dispatcher.infer(request('a', 4), never);
    await settle();
    expect(runner.runs.length).toBe(1);
    clock.advance(4);
    await settle();
    expect(runner.runs.length).toBe(2);
    clock.advance(2);
    runner.finishRun();
    expect(await third).toMatchObject({ queueMs: 0, runMs: 6 });
    clock.advance(5);
    runner.finishRun();
    expect(await fourth).toMatchObject({ queueMs: 6, runMs: 5 });
  });

  it('tries both runs again when their device dies while one is handed over behind the other', async () => {
    const { dispatcher, runners, addModel, clock } = setUp(1);
    addModel('a');
    const runner = runners[0]!;
    const warm = [dispatcher.infer(request('a'), never), dispatcher.infer(request('a'), never)];
    await settle();
    runner.finishLoad();
    await settle();
    runner.finishRun();
    await settle();
    runner.finishRun();
    await Promise.all(warm);
    const both = [dispatcher.infer(request('a', 8), never), dispatcher.infer(request('a', 9), never)];
    await settle();
    clock.advance(4);
    await settle();
    expect(runner.runs.length).toBe(2);
    runner.die();
    dispatcher.deviceLost('cpu:0', 'killed');
    dispatcher.deviceReady('cpu:0');
    await settle();
    runner.finishLoad();
    await settle();
    runner.finishRun();
    await settle();
    runner.finishRun();
    const outputs = (await Promise.all(both)).map((result) => result.outputs[0]!.data[0]);
    expect(outputs).toEqual([8, 9]);
  });

  it.each([false, true])(
    'comes ahead of the end also where a caller of another device gave up (%s)',
    async (gaveUp) => {
      const { dispatcher, runners, addModel, clock } = setUp(2, { policy: 'locality' });
      for (const [index, model] of ['a', 'b'].entries()) {
        addModel(model, 1.5 * GB);
        const first = dispatcher.infer(request(model), never);
        await settle();
        runners[index]!.finishLoad();
        await settle();
        runners[index]!.finishRun();
        await first;
        // The fake says that a run takes 5 ms; with a few of them the daemon knows.
        for (let round = 0; round < 3; round++) {
          const answer = dispatcher.infer(request(model), never);
          await settle();
          runners[index]!.finishRun();
          await answer;
        }
      }
      const givenUp = new AbortController();
      for (let count = 0; count < 2; count++) {
        dispatcher.infer(request('a'), givenUp.signal).catch(() => undefined);
        await settle();
      }
      clock.advance(9);
      await settle();
      const waiting = Array.from({ length: 3 }, () => dispatcher.infer(request('b'), never));
      await settle();
      if (gaveUp) givenUp.abort();
      await settle();
      clock.advance(4.5);
      await settle();
      runners[1]!.finishRun();
      await settle();
      const before = runners[1]!.runs.length;
      clock.advance(4.5);
      await settle();
      expect(runners[1]!.runs.length).toBe(before + 1);
      for (let count = 0; count < 2; count++) {
        runners[1]!.finishRun();
        await settle();
      }
      await Promise.all(waiting);
    },
  );

  it('is announced by its own beginning, so that run after run the next one comes no sooner', async () => {
    const { dispatcher, runners, addModel, clock } = setUp(1);
    addModel('a');
    const runner = runners[0]!;
    const answers = Array.from({ length: 30 }, () => dispatcher.infer(request('a'), never));
    await settle();
    runner.finishLoad();
    await settle();
    const aheadMs: number[] = [];
    for (let index = 0; index < answers.length; index++) {
      // The fake says that a run takes 5 ms.
      for (let ms = 1; ms <= 5; ms++) {
        const before = runner.runs.length;
        clock.advance(1);
        await settle();
        if (runner.runs.length > before) aheadMs.push(5 - ms);
      }
      runner.finishRun();
      await settle();
    }
    await Promise.all(answers);
    expect(aheadMs.length).toBeGreaterThan(20);
    expect(new Set(aheadMs)).toEqual(new Set([1]));
  });
});

describe('a worker that stood still', () => {
  it('is held against no model, however often', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    addModel('a');
    const code = dispatcher.infer(request('a'), never).catch((error: GpufaasError) => error.code);
    await settle();
    for (let death = 0; death < 2; death++) {
      runners[0]!.finishLoad();
      await settle();
      runners[0]!.die();
      dispatcher.deviceLost('cpu:0', 'it did not answer for 5000 ms', null);
      dispatcher.deviceReady('cpu:0');
      await settle();
    }
    expect(await code).toBe('WORKER_DIED');
    expect(dispatcher.isQuarantined('a')).toBe(false);
  });
});

describe('runs side by side', () => {
  /** `a` is resident with two instances in a device of 4 GB, and 12 requests of it wait behind one that runs. */
  async function crowd() {
    const made = setUp(1, { policy: 'locality' }, undefined, { threads: 2, memoryBytes: 4 * GB });
    const { dispatcher, runners, addModel } = made;
    const runner = runners[0]!;
    addModel('a');
    const ask = (count: number, value = 1) =>
      Array.from({ length: count }, () => dispatcher.infer(request('a', value), never));
    const first = ask(36);
    await settle();
    runner.finishLoad();
    for (let i = 0; i < 24; i++) {
      await settle();
      runner.finishRun();
    }
    await settle();
    runner.widenings.shift()!.resolve();
    await settle();
    expect(runner.asked.filter((what) => what.startsWith('widen'))).toEqual(['widen a', 'widen a']);
    runner.widenings.shift()!.resolve();
    await settle();
    return { ...made, runner, waiting: first.slice(24), done: Promise.all(first.slice(0, 24)) };
  }

  it('goes to the instances when they are there, and answers each', async () => {
    const { runner, waiting, done, events } = await crowd();
    await done;
    expect(events.at(-1)).toEqual({ type: 'instances', device: 'cpu:0', model: 'a', instances: 2, error: null });
    runner.finishRun();
    await settle();
    expect(runner.asked.slice(-2)).toEqual(['run a in 0', 'run a in 1']);
    for (let i = 0; i < 11; i++) {
      runner.finishRun();
      await settle();
    }
    const answers = await Promise.all(waiting);
    expect(answers.map(({ outputs }) => outputs[0]!.data[0])).toEqual(Array.from({ length: 12 }, () => 1));
  });

  it('runs a request by itself that failed in its instance, and the other keeps its answer', async () => {
    const { runner, waiting } = await crowd();
    runner.finishRun();
    await settle();
    runner.failRun(new GpufaasError('BAD_TENSOR', 'no'));
    runner.finishRun();
    await settle();
    expect(runner.asked.slice(-3).toSorted()).toEqual(['run a', 'run a in 0', 'run a in 1']);
    // The next two lie before it.
    runner.finishRun();
    runner.finishRun();
    await settle();
    runner.failRun(new GpufaasError('BAD_TENSOR', 'no'));
    await expect(waiting[1]).rejects.toMatchObject({ code: 'BAD_TENSOR' });
    await expect(waiting[2]).resolves.toMatchObject({ cache: 'hit' });
    for (const each of waiting) each.catch(() => undefined);
  });

  it('answers each when it is done, and hands the next ones over with the first', async () => {
    const { runner, waiting } = await crowd();
    runner.finishRun();
    await settle();
    expect(runner.runs).toHaveLength(2);
    runner.finishRun();
    await expect(waiting[1]).resolves.toMatchObject({ cache: 'hit' });
    await settle();
    // The other one is still at its first, and two more lie there.
    expect(runner.runs).toHaveLength(3);
    expect(runner.asked.slice(-2)).toEqual(['run a in 0', 'run a in 1']);
    for (let i = 0; i < 10; i++) {
      runner.finishRun();
      await settle();
    }
    expect(await Promise.all(waiting)).toHaveLength(12);
  });

  it('took no less than its own run, however late the group before it ended', async () => {
    const { runner, waiting, clock } = await crowd();
    runner.finishRun();
    await settle();
    runner.finishRun();
    await settle();
    // The first of the next group runs from here on, beside the other one of this group.
    const slow = runner.runs.shift()!;
    clock.advance(100);
    slow.resolve({ outputs: slow.inputs, runMs: 100 });
    await settle();
    const next = runner.runs.shift()!;
    clock.advance(1);
    next.resolve({ outputs: next.inputs, runMs: 100 });
    expect(await waiting[3]).toMatchObject({ runMs: 100 });
    for (const each of waiting) each.catch(() => undefined);
  });

  it('does not run again what was answered before the worker died', async () => {
    const { runner, waiting, dispatcher } = await crowd();
    runner.finishRun();
    await settle();
    runner.finishRun();
    await waiting[1];
    await settle();
    runner.die();
    dispatcher.deviceLost('cpu:0', 'killed');
    dispatcher.deviceReady('cpu:0');
    await settle();
    runner.finishLoad();
    const before = runner.asked.length;
    for (let i = 0; i < 10; i++) {
      await settle();
      runner.finishRun();
    }
    await settle();
    expect(runner.asked.slice(before)).toEqual(Array.from({ length: 10 }, () => 'run a'));
    expect(await Promise.all(waiting)).toHaveLength(12);
  });

  it('loads nothing for a call that was given up before the worker died under it', async () => {
    const { dispatcher, runners, addModel } = setUp(1);
    addModel('a');
    const caller = new AbortController();
    const answer = dispatcher.infer(request('a'), caller.signal);
    await settle();
    runners[0]!.finishLoad();
    await settle();
    caller.abort();
    await expect(answer).rejects.toMatchObject({ code: 'CANCELLED' });
    runners[0]!.die();
    dispatcher.deviceLost('cpu:0', 'killed');
    dispatcher.deviceReady('cpu:0');
    await settle();
    expect(runners[0]!.asked).toEqual(['load a', 'run a']);
  });

  it('tries both again when the worker dies under them', async () => {
    const { runner, waiting, dispatcher } = await crowd();
    runner.finishRun();
    await settle();
    expect(runner.runs).toHaveLength(2);
    runner.die();
    dispatcher.deviceLost('cpu:0', 'killed');
    dispatcher.deviceReady('cpu:0');
    await settle();
    expect(runner.asked.at(-1)).toBe('load a');
    runner.finishLoad();
    for (let i = 0; i < 11; i++) {
      await settle();
      expect(runner.asked.at(-1)).toBe('run a');
      runner.finishRun();
    }
    expect(await Promise.all(waiting)).toHaveLength(12);
  });

  /** Carries runs out until the instances were asked for; at most so many. */
  async function untilWidened(runner: FakeRunner, most: number): Promise<boolean> {
    for (let i = 0; i < most && runner.widenings.length === 0; i++) {
      await settle();
      if (runner.runs.length > 0) runner.finishRun();
    }
    await settle();
    return runner.widenings.length > 0;
  }

  /** Carries runs out until there are no more: then a load can begin. */
  async function untilIdle(runner: FakeRunner): Promise<void> {
    while (runner.runs.length > 0) {
      runner.finishRun();
      await settle();
    }
  }

  /** As `crowd`, with `waiting` requests and nothing carried out yet but the load. */
  async function queue(waiting: number, beforeLoad?: BeforeLoad) {
    const made = setUp(1, { policy: 'locality' }, beforeLoad, { threads: 2, memoryBytes: 4 * GB });
    const ask = (count: number): void => {
      for (let i = 0; i < count; i++) made.dispatcher.infer(request('a'), never).catch(() => undefined);
    };
    made.addModel('a');
    ask(waiting);
    await settle();
    const runner = made.runners[0]!;
    await settle();
    runner.finishLoad();
    return { ...made, runner, ask };
  }

  it('asks for no instances again soon after the worker died while they were made', async () => {
    const { runner, dispatcher, ask } = await queue(60);
    expect(await untilWidened(runner, 60)).toBe(true);
    runner.die();
    dispatcher.deviceLost('cpu:0', 'exit code 7');
    dispatcher.deviceReady('cpu:0');
    ask(300);
    await settle();
    runner.finishLoad();
    expect(await untilWidened(runner, 300)).toBe(false);
  });

  it('blames nobody else for a worker that was killed while instances were made', async () => {
    const { runner, dispatcher, addModel } = await queue(60);
    addModel('b', 0.5 * GB);
    expect(await untilWidened(runner, 60)).toBe(true);
    await untilIdle(runner);
    for (let death = 0; death < 4; death++) {
      dispatcher.infer(request('b'), never).catch(() => undefined);
      await settle();
      expect(runner.asked).toContain('load b');
      runner.die();
      dispatcher.deviceLost('cpu:0', 'a load took longer than 120000 ms', 'a');
      dispatcher.deviceReady('cpu:0');
    }
    expect(dispatcher.isQuarantined('b')).toBe(false);
  });

  it('looks at the files of a model before it makes instances of it', async () => {
    let changed = false;
    const { runner, events } = await queue(60, () => {
      if (changed) return Promise.reject(new GpufaasError('BAD_MODEL', 'The file has changed.'));
      changed = true;
      return Promise.resolve(undefined);
    });
    expect(await untilWidened(runner, 60)).toBe(false);
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'instances', error: expect.objectContaining({ code: 'BAD_MODEL' }) }),
    );
    // The copy that is there goes on.
    expect(runner.asked.at(-1)).toBe('run a');
  });

  it('gives up instances that fail where a run alone does not', async () => {
    const { runner } = await queue(100);
    await untilWidened(runner, 60);
    for (let i = 0; i < 2; i++) {
      runner.widenings.shift()!.resolve();
      await settle();
    }
    for (let i = 0; i < 100 && runner.runs.length > 0; i++) {
      const noRoom = new GpufaasError('OUT_OF_MEMORY', 'no');
      if (runner.asked.at(-1)!.includes(' in ')) while (runner.runs.length > 0) runner.failRun(noRoom);
      else runner.finishRun();
      await settle();
    }
    expect(runner.asked.filter((what) => what === 'run a in 0')).toHaveLength(1);
    expect(runner.asked).toContain('narrow a');
  });

  it('does not judge by the first runs of sessions that never ran', async () => {
    const { runner } = await queue(300);
    await untilWidened(runner, 60);
    for (let i = 0; i < 2; i++) {
      runner.widenings.shift()!.resolve();
      await settle();
    }
    let groups = 0;
    while (runner.runs.length > 0) {
      if (runner.asked.at(-1)!.includes(' in ')) {
        const runMs = groups++ === 0 ? 50 : 6;
        for (const { inputs, resolve } of runner.runs.splice(0)) resolve({ outputs: inputs, runMs });
      } else runner.finishRun();
      await settle();
    }
    expect(groups).toBeGreaterThan(100);
  });

  it('makes no more instances once they were given up', async () => {
    const { runner, dispatcher, addModel } = await queue(60);
    await untilWidened(runner, 60);
    await untilIdle(runner);
    addModel('b', 3 * GB);
    const other = dispatcher.infer(request('b'), never);
    await settle();
    expect(runner.asked.at(-1)).toBe('load b');
    expect(runner.asked.at(-2)).toBe('narrow a');
    runner.widenings.shift()!.resolve();
    await settle();
    expect(runner.widenings).toHaveLength(0);
    runner.finishLoad();
    await settle();
    await untilIdle(runner);
    await expect(other).resolves.toMatchObject({ cache: 'miss' });
  });

  it('gives the instances up for a load, which begins after their last run', async () => {
    const { runner, waiting, addModel, dispatcher } = await crowd();
    addModel('b', 3 * GB);
    runner.finishRun();
    await settle();
    const other = dispatcher.infer(request('b'), never);
    await settle();
    expect(runner.asked.at(-1)).toBe('run a in 1');
    await untilIdle(runner);
    expect(runner.asked).toContain('narrow a');
    expect(runner.asked.indexOf('narrow a')).toBeLessThan(runner.asked.indexOf('load b'));
    runner.finishLoad();
    await settle();
    await untilIdle(runner);
    await expect(other).resolves.toMatchObject({ cache: 'miss' });
    expect(await Promise.all(waiting)).toHaveLength(12);
  });
});
