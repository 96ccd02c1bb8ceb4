import { describe, expect, it } from 'vitest';
import { createScheduler } from '../../../src/scheduling/scheduler.ts';
import type {
  ModelSpec,
  SchedulerAction,
  SchedulerEvent,
  SchedulerOptions,
  SchedulingCore,
} from '../../../src/scheduling/types.ts';

const A: ModelSpec = { id: 'a', memoryBytes: 6, loadMs: 10, runMs: 5 };
const B: ModelSpec = { id: 'b', memoryBytes: 6, loadMs: 10, runMs: 5 };

function coreOf(options: Partial<SchedulerOptions> = {}, models: readonly ModelSpec[] = [A, B]): SchedulingCore {
  const core = createScheduler({ policy: 'lalbo3', ...options });
  for (const model of models) core.apply(0, { type: 'model-added', model });
  core.apply(0, { type: 'device-added', device: { id: 'd', memoryBytes: 10, overlap: false } });
  return core;
}

function submit(core: SchedulingCore, nowMs: number, id: number, model: string, more: object = {}): void {
  core.apply(nowMs, { type: 'submitted', request: { id, model, arrivedAtMs: nowMs, bytes: 10, ...more } });
}

const brief = (actions: readonly SchedulerAction[]): readonly string[] =>
  actions.map((action) =>
    action.type === 'reject'
      ? `reject ${action.request} ${action.code}`
      : action.type === 'reservation'
        ? `reservation ${action.granted ? 'granted' : 'refused'}`
        : action.type === 'load-refused'
          ? `refused ${action.model}: ${action.misfit.needsBytes} of ${action.misfit.largestBytes}`
          : `${action.type} ${action.model}${action.type === 'run' ? ` ${action.requests.join('+')} ${action.cache}` : ''}`,
  );

describe('a run that is about to end', () => {
  function withTwoBehind(): SchedulingCore {
    const core = coreOf();
    submit(core, 0, 0, 'a');
    core.decide(0);
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a' });
    core.decide(10);
    submit(core, 11, 1, 'a');
    submit(core, 12, 2, 'a');
    expect(brief(core.decide(12))).toEqual([]);
    return core;
  }

  it('lets the next one be handed over, and no third one before it has ended', () => {
    const core = withTwoBehind();
    core.apply(14, { type: 'run-ending', device: 'd', run: 0 });
    expect(brief(core.decide(14))).toEqual(['run a 1 hit']);
    core.apply(14, { type: 'run-ending', device: 'd', run: 1 });
    expect(brief(core.decide(14))).toEqual([]);
    core.apply(15, { type: 'run-finished', device: 'd', run: 0 });
    expect(brief(core.decide(15))).toEqual([]);
    core.apply(19, { type: 'run-ending', device: 'd', run: 1 });
    expect(brief(core.decide(19))).toEqual(['run a 2 hit']);
  });

  it('keeps its model from being evicted until it has ended', () => {
    const core = coreOf();
    submit(core, 0, 0, 'a');
    core.decide(0);
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a' });
    core.decide(10);
    submit(core, 11, 1, 'b');
    core.apply(14, { type: 'run-ending', device: 'd', run: 0 });
    expect(brief(core.decide(14))).toEqual([]);
    core.apply(15, { type: 'run-finished', device: 'd', run: 0 });
    expect(brief(core.decide(15))).toEqual(['evict a', 'load b']);
  });

  it('returns to the queue before what was handed over behind it when the device is lost', () => {
    const core = withTwoBehind();
    core.apply(14, { type: 'run-ending', device: 'd', run: 0 });
    core.decide(14);
    core.apply(15, { type: 'device-lost', device: 'd' });
    core.apply(16, { type: 'device-added', device: { id: 'd', memoryBytes: 10, overlap: false } });
    expect(brief(core.decide(16))).toEqual(['load a']);
    core.apply(26, { type: 'load-finished', device: 'd', model: 'a' });
    expect(brief(core.decide(26))).toEqual(['run a 0 miss']);
  });
});

describe('the queue', () => {
  it('refuses what exceeds its bounds in requests or bytes, but not the later runs of an invocation', () => {
    const core = coreOf({ maxQueuedRequests: 2, maxQueuedBytes: 1000 });
    submit(core, 0, 0, 'a');
    submit(core, 0, 1, 'a');
    submit(core, 0, 2, 'a');
    submit(core, 0, 3, 'a', { admitted: true });
    const refusals = core.decide(0).filter((action) => action.type === 'reject');
    expect(brief(refusals)).toEqual(['reject 2 QUEUE_FULL']);
    expect(refusals[0]).toMatchObject({ retryAfterMs: 10 });
    const narrow = coreOf({ maxQueuedBytes: 15 });
    submit(narrow, 0, 0, 'a');
    submit(narrow, 0, 1, 'a');
    expect(brief(narrow.decide(0))).toEqual(['reject 1 QUEUE_FULL', 'load a']);
  });

  it('goes by the arrival of the invocation, not of the request', () => {
    const core = coreOf({ policy: 'lalb' });
    submit(core, 0, 0, 'a');
    core.decide(0);
    submit(core, 1, 1, 'a');
    submit(core, 2, 2, 'a', { arrivedAtMs: 0 });
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a' });
    expect(brief(core.decide(10))).toEqual(['run a 0 miss']);
    core.apply(15, { type: 'run-finished', device: 'd', run: 0 });
    expect(brief(core.decide(15))).toEqual(['run a 2 hit']);
  });

  it('says why it can never serve a request', () => {
    const core = coreOf({}, [A, { ...B, memoryBytes: 11 }]);
    submit(core, 0, 0, 'unknown');
    submit(core, 0, 1, 'b');
    core.apply(0, { type: 'barred', model: 'a', barred: true });
    submit(core, 0, 2, 'a');
    expect(brief(core.decide(0))).toEqual([
      'reject 0 MODEL_NOT_FOUND',
      'reject 1 DOES_NOT_FIT',
      'reject 2 QUARANTINED',
    ]);
  });

  it('ends what waits for a model that is barred, and lets what runs finish', () => {
    const core = coreOf();
    submit(core, 0, 0, 'a');
    submit(core, 0, 1, 'a');
    core.decide(0);
    core.apply(1, { type: 'barred', model: 'a', barred: true });
    expect(brief(core.decide(1))).toEqual(['reject 1 QUARANTINED']);
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a' });
    expect(brief(core.decide(10))).toEqual(['run a 0 miss']);
  });

  it('forgets a request that is cancelled while its load goes on, and keeps the copy', () => {
    const core = coreOf();
    submit(core, 0, 0, 'a');
    core.decide(0);
    core.apply(1, { type: 'cancelled', request: 0 });
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a' });
    expect(core.decide(10)).toEqual([]);
    expect(core.view()).toMatchObject({ queuedRequests: 0, devices: [{ busy: false, resident: [{ model: 'a' }] }] });
  });

  it('rejects at the deadline what still waits then', () => {
    const core = coreOf();
    submit(core, 0, 0, 'a');
    core.decide(0);
    submit(core, 1, 1, 'b', { deadlineAtMs: 8 });
    core.decide(1);
    expect(core.nextWakeMs()).toBe(8);
    expect(brief(core.decide(8))).toEqual(['reject 1 DEADLINE']);
  });

  it('waits for a lost device to come back, but not for ever', () => {
    const core = coreOf({ deviceGraceMs: 1000 });
    submit(core, 0, 0, 'a');
    core.decide(0);
    core.apply(5, { type: 'device-lost', device: 'd' });
    expect(core.decide(5)).toEqual([]);
    expect(core.nextWakeMs()).toBe(1005);
    expect(brief(core.decide(1005))).toEqual(['reject 0 NO_DEVICE']);
  });
});

describe('residency', () => {
  function withA(options: Partial<SchedulerOptions> = {}, models?: readonly ModelSpec[]): SchedulingCore {
    const core = coreOf(options, models);
    submit(core, 0, 0, 'a');
    core.decide(0);
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a' });
    core.decide(10);
    core.apply(15, { type: 'run-finished', device: 'd', run: 0 });
    core.decide(15);
    return core;
  }

  it('evicts before it loads', () => {
    const core = withA();
    submit(core, 20, 1, 'b');
    expect(brief(core.decide(20))).toEqual(['evict a', 'load b']);
  });

  it('never evicts what is pinned: what then fits nowhere is refused, and the rest goes on', () => {
    const core = withA();
    core.apply(16, { type: 'pinned', model: 'a', pinned: true });
    submit(core, 20, 1, 'b');
    submit(core, 20, 2, 'a');
    expect(brief(core.decide(20))).toEqual(['run a 2 hit']);
    core.apply(25, { type: 'run-finished', device: 'd', run: 1 });
    expect(brief(core.decide(25))).toEqual(['reject 1 DOES_NOT_FIT']);
    core.apply(26, { type: 'unload-requested', model: 'a' });
    expect(core.decide(26)).toEqual([]);
  });

  it('evicts after the keep-alive, counted from the end of the last use', () => {
    const core = withA({}, [{ ...A, keepAliveMs: 100 }, B]);
    expect(core.nextWakeMs()).toBe(115);
    expect(core.decide(114)).toEqual([]);
    expect(core.decide(115)).toEqual([{ type: 'evict', device: 'd', model: 'a', reason: 'keep-alive' }]);
  });

  it('evicts on request as soon as nothing uses the model', () => {
    const core = withA();
    submit(core, 20, 1, 'a');
    core.decide(20);
    core.apply(21, { type: 'unload-requested', model: 'a' });
    expect(core.decide(21)).toEqual([]);
    core.apply(25, { type: 'run-finished', device: 'd', run: 1 });
    expect(brief(core.decide(25))).toEqual(['evict a']);
  });

  it('loads on request, once', () => {
    const core = coreOf();
    core.apply(0, { type: 'load-requested', model: 'a' });
    core.apply(0, { type: 'load-requested', model: 'a' });
    expect(brief(core.decide(0))).toEqual(['load a']);
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a' });
    expect(core.decide(10)).toEqual([]);
  });

  it('refuses a load that no device could ever hold beside what is pinned, once; what is merely in use is waited for', () => {
    const core = withA();
    submit(core, 20, 1, 'a');
    core.decide(20);
    core.apply(21, { type: 'load-requested', model: 'b' });
    expect(brief(core.decide(21))).toEqual([]);
    core.apply(22, { type: 'pinned', model: 'a', pinned: true });
    expect(brief(core.decide(22))).toEqual(['refused b: 6 of 10']);
    expect(brief(core.decide(23))).toEqual([]);
    core.apply(24, { type: 'load-requested', model: 'b', device: 'd' });
    expect(core.decide(24)).toEqual([
      { type: 'load-refused', model: 'b', device: 'd', misfit: { needsBytes: 6, largestBytes: 10 } },
    ]);
  });

  it('refuses a load at once that is larger than any device, or than the one it is wanted on', () => {
    const core = coreOf({}, [
      { ...A, memoryBytes: 30 },
      { ...B, memoryBytes: 15 },
    ]);
    core.apply(0, { type: 'device-added', device: { id: 'e', memoryBytes: 20, overlap: false } });
    core.apply(0, { type: 'load-requested', model: 'a' });
    core.apply(0, { type: 'load-requested', model: 'b', device: 'd' });
    expect(brief(core.decide(0))).toEqual(['refused a: 30 of 20', 'refused b: 15 of 10']);
  });

  it('does not refuse a load that a lost device could take when it is back', () => {
    const core = coreOf();
    core.apply(1, { type: 'device-lost', device: 'd' });
    core.apply(2, { type: 'load-requested', model: 'a' });
    expect(core.decide(2)).toEqual([]);
  });

  it('takes over measured sizes and makes room if that was too much', () => {
    const core = coreOf({}, [
      { ...A, memoryBytes: 4 },
      { ...B, memoryBytes: 4 },
    ]);
    submit(core, 0, 0, 'a');
    core.decide(0);
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a', memoryBytes: 5 });
    core.decide(10);
    core.apply(15, { type: 'run-finished', device: 'd', run: 0 });
    submit(core, 15, 1, 'b');
    core.decide(15);
    core.apply(25, { type: 'load-finished', device: 'd', model: 'b', memoryBytes: 7 });
    expect(brief(core.decide(25))).toEqual(['evict a', 'run b 1 miss']);
    expect(core.view().devices[0]).toMatchObject({ usedBytes: 7 });
  });

  it('drops a removed model once nobody uses it or waits for it', () => {
    const core = withA();
    core.apply(16, { type: 'model-removed', model: 'a' });
    expect(core.decide(16)).toEqual([{ type: 'evict', device: 'd', model: 'a', reason: 'removed' }]);
    submit(core, 17, 1, 'a');
    expect(brief(core.decide(17))).toEqual(['reject 1 MODEL_NOT_FOUND']);
  });

  it('says what it knew when it decided, if asked to', () => {
    const core = coreOf({ explain: true });
    submit(core, 0, 0, 'a');
    expect(core.decide(0)).toMatchObject([
      {
        type: 'load',
        decision: {
          reason: 'miss-most-free',
          considered: [{ device: 'd', resident: false, busy: false, freeBytes: 10, estimateMs: 15 }],
        },
      },
    ]);
  });
});

describe('failures', () => {
  it('return the requests to their old places', () => {
    const core = coreOf({ policy: 'lalb' });
    submit(core, 0, 0, 'a');
    core.decide(0);
    submit(core, 1, 1, 'a');
    core.apply(10, { type: 'load-failed', device: 'd', model: 'a', retry: true });
    expect(core.decide(10)).toMatchObject([{ type: 'load', request: 0 }]);
    core.apply(20, { type: 'load-finished', device: 'd', model: 'a' });
    core.decide(20);
    core.apply(22, { type: 'run-failed', device: 'd', run: 0, retry: true });
    expect(brief(core.decide(22))).toEqual(['run a 0 hit']);
    core.apply(23, { type: 'device-lost', device: 'd' });
    core.apply(30, { type: 'device-added', device: { id: 'd', memoryBytes: 10, overlap: false } });
    expect(core.decide(30)).toMatchObject([{ type: 'load', request: 0 }]);
  });

  it('leave to the driver what is not to be tried again', () => {
    const core = coreOf();
    submit(core, 0, 0, 'a');
    submit(core, 0, 1, 'a');
    core.decide(0);
    core.apply(10, { type: 'load-failed', device: 'd', model: 'a', retry: false });
    expect(core.decide(10)).toMatchObject([{ type: 'load', request: 1 }]);
    expect(core.view().queuedRequests).toBe(1);
  });
});

describe('a reservation', () => {
  const reserve = (core: SchedulingCore, nowMs: number, bytes: number, reservation = 'r'): void =>
    core.apply(nowMs, { type: 'reserve', reservation, device: 'd', bytes });

  it('evicts what is in its way, is accounted, and lets runs go on but no load', () => {
    const core = coreOf({}, [A, { ...B, memoryBytes: 4 }, { ...A, id: 'c', memoryBytes: 2 }]);
    submit(core, 0, 0, 'a');
    core.decide(0);
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a' });
    core.decide(10);
    core.apply(15, { type: 'run-finished', device: 'd', run: 0 });
    submit(core, 15, 1, 'b');
    core.decide(15);
    core.apply(25, { type: 'load-finished', device: 'd', model: 'b' });
    reserve(core, 25, 5);
    expect(brief(core.decide(25))).toEqual(['evict a', 'run b 1 miss', 'reservation granted']);
    expect(core.view().devices[0]).toMatchObject({ usedBytes: 9, reservedBytes: 5 });
    submit(core, 26, 2, 'c');
    submit(core, 26, 3, 'b');
    core.apply(30, { type: 'run-finished', device: 'd', run: 1 });
    expect(brief(core.decide(30))).toEqual(['run b 3 hit']);
    core.apply(35, { type: 'run-finished', device: 'd', run: 2 });
    core.apply(35, { type: 'unload-requested', model: 'b' });
    expect(brief(core.decide(35))).toEqual([]);
    core.apply(40, { type: 'unreserve', reservation: 'r' });
    expect(brief(core.decide(40))).toEqual(['evict b', 'load c']);
    expect(core.view().devices[0]).toMatchObject({ usedBytes: 2, reservedBytes: 0 });
  });

  it('waits for a load under way, and comes before the next one', () => {
    const core = coreOf();
    submit(core, 0, 0, 'a');
    core.decide(0);
    reserve(core, 1, 4);
    submit(core, 1, 1, 'b');
    expect(brief(core.decide(1))).toEqual([]);
    core.apply(10, { type: 'load-finished', device: 'd', model: 'a' });
    expect(brief(core.decide(10))).toEqual(['run a 0 miss', 'reservation granted']);
  });

  it('is refused where nothing could ever make its room, and forgotten when it is given up', () => {
    const core = coreOf();
    reserve(core, 0, 11);
    reserve(core, 0, 4, 'given-up');
    core.apply(0, { type: 'unreserve', reservation: 'given-up' });
    expect(brief(core.decide(0))).toEqual(['reservation refused']);
    expect(core.view().devices[0]).toMatchObject({ usedBytes: 0, reservedBytes: 0 });
  });

  it('stays when the worker of its device is lost, because its holder is another process', () => {
    const core = coreOf();
    reserve(core, 0, 5);
    core.decide(0);
    core.apply(1, { type: 'device-lost', device: 'd' });
    core.apply(2, { type: 'device-added', device: { id: 'd', memoryBytes: 10, overlap: false } });
    submit(core, 2, 0, 'a');
    expect(brief(core.decide(2))).toEqual([]);
    expect(core.view().devices[0]).toMatchObject({ usedBytes: 5, reservedBytes: 5 });
    core.apply(3, { type: 'unreserve', reservation: 'r' });
    expect(brief(core.decide(3))).toEqual(['load a']);
  });

  it('does not let the bound on overtaking idle a device for a model that it keeps from being loaded', () => {
    const core = coreOf({ policy: 'locality' }, [A, { ...B, memoryBytes: 4 }]);
    submit(core, 0, 0, 'b');
    core.decide(0);
    core.apply(10, { type: 'load-finished', device: 'd', model: 'b' });
    core.decide(10);
    core.apply(15, { type: 'run-finished', device: 'd', run: 0 });
    reserve(core, 15, 6);
    submit(core, 15, 1, 'a');
    core.decide(15);
    for (let at = 5000, run = 1; at < 5100; at += 10, run++) {
      submit(core, at, 10 + run, 'b');
      expect(brief(core.decide(at))).toEqual([`run b ${10 + run} hit`]);
      core.apply(at + 5, { type: 'run-finished', device: 'd', run });
      expect(brief(core.decide(at + 5))).toEqual([]);
    }
  });
});

describe('the tier a load comes from', () => {
  /** A copy of "a" is busy until 105; whether the next request waits for it depends on what a load takes. */
  const next = (more: readonly SchedulerEvent[]): readonly string[] => {
    const core = createScheduler({ policy: 'lalb' });
    core.apply(0, { type: 'model-added', model: { id: 'a', memoryBytes: 6, loadMs: 100, hostLoadMs: 20, runMs: 50 } });
    for (const id of ['d', 'e'])
      core.apply(0, { type: 'device-added', device: { id, memoryBytes: 10, overlap: false } });
    submit(core, 0, 0, 'a');
    core.decide(0);
    core.apply(100, { type: 'load-finished', device: 'd', model: 'a' });
    core.decide(100);
    for (const event of more) core.apply(105, event);
    submit(core, 105, 1, 'a');
    return brief(core.decide(105));
  };
  const cached = (is: boolean): SchedulerEvent => ({ type: 'host-cached', model: 'a', cached: is });

  it('is the disk until its bytes are in the host cache, and again when they have left it', () => {
    expect(next([])).toEqual([]);
    expect(next([cached(true)])).toEqual(['load a']);
    expect(next([cached(true), cached(false)])).toEqual([]);
  });

  it('is refined on its own', () => {
    expect(next([cached(true), { type: 'model-observed', model: 'a', hostLoadMs: 60 }])).toEqual([]);
    expect(next([cached(true), { type: 'model-observed', model: 'a', loadMs: 60 }])).toEqual(['load a']);
    expect(next([{ type: 'model-observed', model: 'a', loadMs: 30 }])).toEqual(['load a']);
  });
});
