import { describe, expect, it } from 'vitest';
import type { SchedulerAction, SchedulerEvent, SchedulingCore } from '../../../src/scheduling/types.ts';
import { Completions } from '../../../src/simulation/completions.ts';
import { batchRunMs, simulate } from '../../../src/simulation/kernel.ts';
import type { Simulation } from '../../../src/simulation/kernel.ts';
import { average, measure, percentile } from '../../../src/simulation/metrics.ts';
import { timelineLine, timelineObserver } from '../../../src/simulation/timeline.ts';
import type { Workload } from '../../../src/simulation/types.ts';
import { openWorkload } from '../../../src/simulation/workloads.ts';

const A = { id: 'a', memoryBytes: 6, loadMs: 10, runMs: 5 };
const B = { id: 'b', memoryBytes: 6, loadMs: 20, runMs: 7 };

/** A core that says what it was told to say at each call of `decide`, and writes down what it hears. */
class ScriptedCore implements SchedulingCore {
  readonly heard: string[] = [];
  readonly #script: SchedulerAction[][];
  readonly #wakes: (number | null)[];

  constructor(script: SchedulerAction[][], wakes: (number | null)[] = []) {
    this.#script = script;
    this.#wakes = wakes;
  }

  apply(nowMs: number, event: SchedulerEvent): void {
    const what = event.type === 'submitted' ? `${event.type} ${event.request.id} ${event.request.model}` : event.type;
    this.heard.push(
      `${nowMs} ${what}${'device' in event && typeof event.device === 'string' ? ` ${event.device}` : ''}`,
    );
  }

  decide(nowMs: number): SchedulerAction[] {
    this.heard.push(`${nowMs} decide`);
    return this.#script.shift() ?? [];
  }

  nextWakeMs(): number | null {
    return this.#wakes.shift() ?? null;
  }

  view(): never {
    throw new Error('not asked for');
  }
}

const list = (...requests: [number, number][]): Workload =>
  openWorkload({
    kind: 'list',
    models: [A, B],
    atMs: Float64Array.from(requests, ([atMs]) => atMs),
    model: Int32Array.from(requests, ([, model]) => model),
    rows: Int32Array.from(requests.keys()),
    workingSet: 2,
  });

const load = (device: number, model: string, request: number | null): SchedulerAction => {
  return { type: 'load', device: `d${device}`, model, request, reason: 'miss-most-free' };
};
const run = (device: number, model: string, requests: number[]): SchedulerAction => {
  return { type: 'run', run: requests[0]!, device: `d${device}`, model, requests, cache: 'hit', reason: 'hit-idle' };
};
const evict = (device: number, model: string): SchedulerAction => {
  return { type: 'evict', device: `d${device}`, model, reason: 'capacity' };
};

function simulation(
  core: SchedulingCore,
  workload: Workload,
  over: Partial<Simulation> = {},
  overlap = true,
): Simulation {
  const devices = [0, 1].map((index) => ({ id: `d${index}`, memoryBytes: 10, overlap }));
  return { core, devices, workload, ...over };
}

describe('The kernel', () => {
  it('tells of completions first, then of arrivals in order, then asks once', () => {
    const core = new ScriptedCore([
      [load(1, 'a', 0)],
      [run(1, 'a', [0])],
      [run(1, 'a', [1])],
      [load(0, 'b', 2)],
      [run(0, 'b', [2])],
    ]);
    simulate(simulation(core, list([0, 0], [15, 0], [15, 1])));
    expect(core.heard.filter((line) => !line.includes('-added'))).toEqual([
      '0 submitted 0 a',
      '0 decide',
      '10 load-finished d1',
      '10 decide',
      '15 run-finished d1',
      '15 submitted 1 a',
      '15 submitted 2 b',
      '15 decide',
      '20 run-finished d1',
      '20 decide',
      '40 load-finished d0',
      '40 decide',
      '47 run-finished d0',
      '47 decide',
    ]);
  });

  it('measures latency, misses, false misses and cold starts', () => {
    const core = new ScriptedCore([
      [load(0, 'a', 0)],
      [], // the second arrives while the model is being loaded: a hit that waited
      [run(0, 'a', [0])],
      [run(0, 'a', [1]), load(1, 'a', 2)], // false: device 0 holds it
      [],
      [run(1, 'a', [2])],
    ]);
    const outcome = simulate(simulation(core, list([0, 0], [4, 0], [15, 0])));
    expect([...outcome.latencyMs]).toEqual([15, 16, 15]);
    const metrics = measure(outcome);
    expect(metrics).toMatchObject({
      requests: 3,
      maxMs: 16,
      makespanMs: 30,
      loads: 2,
      falseMissRatio: 0.5,
      coldRatio: 1,
    });
    expect(metrics.missRatio).toBeCloseTo(2 / 3);
    expect(metrics.meanMs).toBeCloseTo(46 / 3);
    expect(metrics.utilization).toBeCloseTo(15 / 30 / 2);
  });

  it('wakes the core when it asked for it, and always later than now', () => {
    const core = new ScriptedCore([[], [load(0, 'a', 0)], [run(0, 'a', [0])]], [0, null]);
    simulate(simulation(core, list([0, 0])));
    expect(core.heard.filter((line) => line.endsWith('decide'))).toEqual([
      '0 decide',
      '1 decide',
      '11 decide',
      '16 decide',
    ]);
  });

  it('decides at 0 even if nobody has arrived, and counts no load after the last answer', () => {
    const core = new ScriptedCore([[load(0, 'a', null)], [], [run(0, 'a', [0])], [load(0, 'b', null)]]);
    const devices = [{ id: 'd0', memoryBytes: 20, overlap: true }];
    const outcome = simulate(simulation(core, list([30, 0]), { devices, drainMs: 1000 }));
    expect(outcome.loads).toBe(1);
    expect(outcome.makespanMs).toBe(35);
    expect(core.heard.at(-2)).toBe('55 load-finished d0');
  });

  it.each<[string, boolean, SchedulerAction[][]]>([
    ['evicts a model it does not hold', true, [[evict(0, 'a')]]],
    ['evicts a model that is being loaded', true, [[load(0, 'a', 0), evict(0, 'a')]]],
    ['evicts a model that runs', true, [[load(0, 'a', 0)], [run(0, 'a', [0]), evict(0, 'a')]]],
    ['loads a model it holds', true, [[load(0, 'a', 0)], [load(0, 'a', 0)]]],
    ['loads two models at once', true, [[load(0, 'a', 0), load(0, 'b', 0)]]],
    ['holds more than its memory', true, [[load(0, 'a', 0)], [load(0, 'b', 0)]]],
    ['loads beside a run, without overlap', false, [[load(0, 'a', 0)], [run(0, 'a', [0]), load(0, 'b', 0)]]],
    ['runs a model that is not resident', true, [[load(0, 'a', 0), run(0, 'a', [0])]]],
    ['runs two things at once', true, [[load(0, 'a', 0)], [run(0, 'a', [0]), run(0, 'a', [0])]]],
  ])('ends the simulation of a policy that %s', (what, overlap, script) => {
    expect(() => simulate(simulation(new ScriptedCore(script), list([0, 0]), {}, overlap))).toThrow(what);
  });

  it('ends the simulation of a policy that forgets a request', () => {
    expect(() => simulate(simulation(new ScriptedCore([]), list([3, 0])))).toThrow('at 3 ms, yet 1 requests wait');
  });

  it('hands on what devices do, with the rows of the input', () => {
    const workload = { ...list([0, 0], [0, 0]), rows: Int32Array.from([7, 3]) };
    const core = new ScriptedCore([[load(1, 'a', 0)], [run(1, 'a', [0, 1])], [evict(1, 'a')]]);
    const lines: string[] = [];
    simulate(
      simulation(core, workload, { observer: timelineObserver(workload, (row) => lines.push(timelineLine(row))) }),
    );
    expect(lines).toEqual(['1,load,a,7,0,10', '1,run,a,7+3,10,20', '1,evict,a,,20,20']);
  });
});

describe('Batches', () => {
  it('take the time of their rows, and beyond the table its last step', () => {
    const batching = { maxSize: 8, maxDelayMs: 0, runMsByRows: [10, 12, 15] };
    expect([1, 2, 3, 4, 6].map((rows) => batchRunMs({ ...A, batching }, rows))).toEqual([10, 12, 15, 18, 24]);
    expect(batchRunMs(A, 3)).toBe(15);
  });
});

describe('Completions', () => {
  it('come in order of time, then device, a load before a run', () => {
    const heap = new Completions(100);
    const added: [number, number, boolean][] = [];
    for (let i = 0; i < 200; i++) added.push([(i * 7919) % 13, i % 100, i >= 100]);
    for (const [timeMs, device, isRun] of added) heap.push(timeMs, device, isRun);
    const expected = added.toSorted((l, r) => l[0] - r[0] || l[1] - r[1] || Number(l[2]) - Number(r[2]));
    for (const [timeMs, device, isRun] of expected) {
      expect(heap.nextMs).toBe(timeMs);
      expect(heap.pop()).toBe(device * 2 + (isRun ? 1 : 0));
    }
    expect(heap.nextMs).toBe(Infinity);
  });
});

describe('Metrics', () => {
  it('take the percentile at floor(n * q), zero-based', () => {
    const sorted = Float64Array.from({ length: 100 }, (_, index) => index);
    expect(percentile(sorted, 0.5)).toBe(50);
    expect(percentile(sorted, 0.99)).toBe(99);
    expect(percentile(sorted, 1)).toBe(99);
    expect(percentile([], 0.5)).toBe(0);
  });

  it('are averaged figure by figure', () => {
    const one = measure(simulate(simulation(new ScriptedCore([[load(0, 'a', 0)], [run(0, 'a', [0])]]), list([0, 0]))));
    expect(average([one, { ...one, meanMs: 25 }]).meanMs).toBe(20);
  });
});
