import { describe, expect, it } from 'vitest';
import { stablePower, zipfShares } from '../../../src/simulation/popularity.ts';
import { paperProfile, parseProfile, workingSetModels } from '../../../src/simulation/profile.ts';
import { parseRequestList } from '../../../src/simulation/request-list.ts';
import { parseTrace, parseWindow, traceCounts } from '../../../src/simulation/trace.ts';
import type { Workload } from '../../../src/simulation/types.ts';
import { openWorkload } from '../../../src/simulation/workloads.ts';

function flatten(workload: Workload): { atMs: number; model: number }[] {
  const all: { atMs: number; model: number }[] = [];
  for (const chunk of workload.arrivals()) {
    for (let i = 0; i < chunk.count; i++) all.push({ atMs: chunk.atMs[i]!, model: chunk.model[i]! });
  }
  return all;
}

const zipf = (over: object = {}): Workload =>
  openWorkload({
    kind: 'zipf',
    models: workingSetModels(paperProfile(), 25),
    rpm: 325,
    minutes: 6,
    skew: 0.8,
    seed: 1,
    ...over,
  });

const TRACE = [
  'HashOwner,HashApp,HashFunction,Trigger,1,2,3',
  'o,a,quiet,http,0,0,0',
  'o,a,small,http,1,2,3',
  'o,a,big,timer,10,20,30',
].join('\n');

describe('Zipf workloads', () => {
  it('raise to a power as Math.pow does, up to rounding', () => {
    for (const base of [1, 2, 3, 7, 22, 10_000]) {
      for (const exponent of [0, 0.5, 0.8, 1, 1.4, 2, 3.25])
        expect(stablePower(base, exponent) / base ** exponent).toBeCloseTo(1, 9);
    }
  });

  it('share popularity by rank and add up to one', () => {
    const shares = zipfShares(25, 0.8);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
    expect(shares[0]! / shares[3]!).toBeCloseTo(4 ** 0.8, 9);
    expect(zipfShares(4, 0)).toEqual(new Float64Array([0.25, 0.25, 0.25, 0.25]));
  });

  it('give the same arrivals each time they are read, in order, in whole milliseconds', () => {
    const workload = zipf();
    const first = flatten(workload);
    expect(flatten(workload)).toEqual(first);
    expect(first).toHaveLength(workload.requests);
    expect(workload.requests).toBe(1950);
    expect(first.every(({ atMs }, i) => Number.isInteger(atMs) && (i === 0 || atMs >= first[i - 1]!.atMs))).toBe(true);
    expect(first.filter(({ atMs }) => atMs < 60_000)).toHaveLength(325);
  });

  it('are the same on any machine', () => {
    expect(flatten(zipf()).slice(0, 4)).toMatchInlineSnapshot(`
      [
        {
          "atMs": 161,
          "model": 0,
        },
        {
          "atMs": 278,
          "model": 0,
        },
        {
          "atMs": 436,
          "model": 10,
        },
        {
          "atMs": 531,
          "model": 3,
        },
      ]
    `);
  });

  it('draw by popularity and differ by seed', () => {
    const calls = Array.from({ length: 25 }, () => 0);
    for (const { model } of flatten(zipf({ minutes: 100 }))) calls[model]!++;
    const shares = zipfShares(25, 0.8);
    for (const [model, count] of calls.entries()) expect(Math.abs(count / 32_500 - shares[model]!)).toBeLessThan(0.01);
    expect(flatten(zipf({ seed: 2 }))).not.toEqual(flatten(zipf()));
  });

  it('carry a fraction of a request a minute on to the next minute', () => {
    expect(zipf({ rpm: 0.5, minutes: 10 }).requests).toBe(5);
  });
});

describe('working sets', () => {
  it('cycle through the profile with a model for each function', () => {
    const models = workingSetModels(paperProfile(), 35);
    expect(new Set(models.map((model) => model.id)).size).toBe(35);
    expect(models[22]).toEqual({ ...models[0], id: 'squeezenet1.1.2' });
  });
});

describe('profiles', () => {
  it('are read with batching', () => {
    const text = JSON.stringify({
      models: {
        a: { memoryMB: 1.5, loadMs: 2.2, runMs: 3, batching: { maxSize: 4, maxDelayMs: 5, runMsByRows: [3, 3.5] } },
      },
    });
    expect(parseProfile(text, 'p.json').models).toEqual([
      {
        id: 'a',
        memoryBytes: 1_500_000,
        loadMs: 3,
        runMs: 3,
        batching: { maxSize: 4, maxDelayMs: 5, runMsByRows: [3, 4] },
      },
    ]);
  });

  it.each([
    ['{', 'p.json is not JSON'],
    ['[]', 'p.json names no models'],
    ['{"models":{}}', 'p.json names no models'],
    ['{"deviceMemoryMB":0,"models":{"a":{"memoryMB":1,"loadMs":1,"runMs":1}}}', 'p.json: deviceMemoryMB is not'],
    ['{"models":{"a":{"memoryMB":1,"loadMs":1}}}', 'p.json: model "a": runMs is missing'],
    ['{"models":{"a":{"memoryMB":-1,"loadMs":1,"runMs":1}}}', 'p.json: model "a": memoryMB is -1'],
    ['{"models":{"a":{"memoryMB":"1","loadMs":1,"runMs":1}}}', 'p.json: model "a": memoryMB is "1"'],
    ['{"models":{"a":{"memoryMB":1,"loadMs":1,"runMs":1,"batching":{"maxSize":0}}}}', 'model "a": batching needs'],
  ])('refuse %s', (text, message) => {
    expect(() => parseProfile(text, 'p.json')).toThrow(message);
  });
});

describe('request lists', () => {
  const profile = paperProfile();
  const read = (text: string) => parseRequestList(text, 'r.csv', profile);

  it('keep file order at one instant and remember the rows', () => {
    const list = read('at_ms,model\r\n20,vgg11\r\n10,vgg19\r\n20,vgg13\r\n');
    expect([...list.rows]).toEqual([1, 0, 2]);
    expect(flatten(openWorkload(list)).map(({ atMs, model }) => `${atMs} ${profile.models[model]!.id}`)).toEqual([
      '10 vgg19',
      '20 vgg11',
      '20 vgg13',
    ]);
    expect(list.workingSet).toBe(3);
  });

  it('need no header', () => {
    expect(read('5,vgg11').atMs).toEqual(new Float64Array([5]));
  });

  it.each([
    ['at_ms,model\n', 'r.csv, line 1, column 1: there are no requests'],
    ['at_ms,function\n1,vgg11', 'r.csv, line 1, column 2: the header is not at_ms,model'],
    ['at_ms,model\n1,vgg11\n-3,vgg11', 'r.csv, line 3, column 1: -3 is negative'],
    ['at_ms,model\n1.5,vgg11', 'r.csv, line 2, column 1: "1.5" is not a whole number'],
    ['at_ms,model\nsoon,vgg11', 'r.csv, line 2, column 1: "soon" is not a whole number'],
    ['at_ms,model\n1', 'r.csv, line 2, column 2: the model is missing'],
    ['at_ms,model\n1,vgg11,2', 'r.csv, line 2, column 3: there are more than two fields'],
    ['at_ms,model\n\n1,gpt', 'r.csv, line 3, column 2: unknown model "gpt"'],
  ])('refuse %j', (text, message) => {
    expect(() => read(text)).toThrow(message);
  });
});

describe('traces', () => {
  const trace = (spec: object = {}) => {
    const { counts, functions } = traceCounts(parseTrace(TRACE, 't.csv'), 9);
    return openWorkload({
      kind: 'trace',
      models: workingSetModels(paperProfile(), functions),
      counts,
      minutes: 3,
      rpm: null,
      seed: 1,
      ...spec,
    });
  };

  it('put the busiest function first and leave out those without a call', () => {
    expect(parseTrace(TRACE, 't.csv').functions).toEqual([new Int32Array([10, 20, 30]), new Int32Array([1, 2, 3])]);
    expect(parseTrace(TRACE, 't.csv', { start: 1, minutes: 1 }).functions).toEqual([
      new Int32Array([20]),
      new Int32Array([2]),
    ]);
  });

  it('replay every call at full rate', () => {
    const all = flatten(trace());
    expect(all).toHaveLength(66);
    expect(all.filter(({ atMs, model }) => atMs >= 60_000 && atMs < 120_000 && model === 0)).toHaveLength(20);
  });

  it('scale to a rate and keep shares and shape', () => {
    const all = flatten(trace({ rpm: 2200 }));
    expect(Math.abs(all.length - 6600)).toBeLessThanOrEqual(2);
    expect(Math.abs(all.filter(({ atMs, model }) => atMs < 60_000 && model === 0).length - 1000)).toBeLessThanOrEqual(
      1,
    );
    expect(Math.abs(all.filter(({ model }) => model === 1).length - 600)).toBeLessThanOrEqual(1);
  });

  it.each([
    ['', 't.csv, line 1, column 1: the file is empty'],
    [
      'HashOwner,HashApp,Function,Trigger,1',
      't.csv, line 1, column 3: expected the column HashFunction, found "Function"',
    ],
    ['HashOwner,HashApp,HashFunction,Trigger', 't.csv, line 1, column 5: there is no minute column'],
    [TRACE.replace('20', 'x'), 't.csv, line 4, column 6: "x" is not a number of invocations'],
    [TRACE.replace('10,20', '10,-2'), 't.csv, line 4, column 6: "-2" is not a number of invocations'],
    [`${TRACE},4`, 't.csv, line 4, column 8: 8 fields, the header has 7'],
  ])('refuse a malformed file: %#', (text, message) => {
    expect(() => parseTrace(text, 't.csv')).toThrow(message);
  });

  it('refuse empty windows', () => {
    expect(() => parseWindow('5')).toThrow('--window "5" is not START:MINUTES');
    expect(() => parseWindow('5:0')).toThrow('The window is empty: it has 0 minutes');
    expect(() => parseTrace(TRACE, 't.csv', parseWindow('2:2'))).toThrow(
      'The window 2:2 reaches past the 3 minutes of t.csv',
    );
    const quiet = TRACE.replaceAll('1,2,3\no', '0,2,3\no').replace('10,20', '0,20');
    expect(() => parseTrace(quiet, 't.csv', parseWindow('0:1'))).toThrow('The window 0:1 of t.csv is empty');
  });
});
