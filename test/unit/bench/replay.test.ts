import { describe, expect, it } from 'vitest';
import type { FunctionDetail, InvocationRecord, RunTiming } from '../../../src/api/schemas.ts';
import type { GpufaasClient } from '../../../src/client/client.ts';
import { fetchRecording, parseSince, toWorkload } from '../../../src/bench/recording.ts';
import { replayRecording } from '../../../src/bench/replay.ts';
import { runBench } from '../../../src/bench/run-bench.ts';
import { readSettings } from '../../../src/bench/settings.ts';
import { renderReport } from '../../../src/bench/table.ts';
import { parseWhatIf } from '../../../src/bench/what-if.ts';
import { GpufaasError } from '../../../src/errors.ts';

const START = Date.parse('2026-03-01T10:00:00.000Z');

function run(model: string, runMs: number, over: Partial<RunTiming> = {}): RunTiming {
  return { model, device: 'cpu:0', cache: 'hit', queueMs: 0, loadMs: 0, runMs, ...over };
}

function record(name: string, offsetMs: number, runs: RunTiming[]): InvocationRecord {
  return {
    id: `${name}-${offsetMs}`,
    function: name,
    version: 1,
    surface: 'function',
    status: 200,
    errorCode: null,
    errorMessage: null,
    arrivedAt: new Date(START + offsetMs).toISOString(),
    cache: 'hit',
    device: 'cpu:0',
    runs,
    timing: { queueMs: 0, loadMs: 0, runMs: 0, handlerMs: 0, totalMs: 0 },
    decisions: [],
  };
}

function detail(name: string, models: string[]): FunctionDetail {
  const modelDetails = models.map((model) => {
    return {
      name: model,
      sha256: `${name}/${model}`,
      bytes: 1,
      loadMs: 400.1234,
      runMs: 9,
      memoryBytes: 100_000_000,
      runMsByRows: null,
      batching: null,
    };
  });
  return { name, modelDetails } as unknown as FunctionDetail;
}

const details = new Map([
  ['one', detail('one', ['model'])],
  ['two', detail('two', ['first', 'second'])],
]);
const records = [
  record('one', 0, [run('model', 8, { cache: 'miss', loadMs: 400 })]),
  record('two', 10, [run('first', 5), run('second', 6)]),
  record('gone', 20, [run('model', 1)]),
  record('one', 30, [run('model', 12)]),
  record('one', 40, [run('model', 10)]),
];

/** A client of a daemon that remembers these records. */
function clientOf(remembered: InvocationRecord[]): GpufaasClient {
  const client: Partial<GpufaasClient> = {
    status: () =>
      Promise.resolve({ policy: 'lalbo3', devices: [{ id: 'cpu:0', memoryBytes: 150_000_000 }] } as unknown as Awaited<
        ReturnType<GpufaasClient['status']>
      >),
    invocations: () => Promise.resolve(remembered.toReversed()),
    function: (name) => {
      const found = details.get(name);
      return found === undefined
        ? Promise.reject(new GpufaasError('FUNCTION_NOT_FOUND', `There is no ${name}.`))
        : Promise.resolve(found);
    },
  };
  return client as GpufaasClient;
}

describe('A recording', () => {
  it('becomes requests in order of time, with what models cost as measured', () => {
    const { list, answered, leftOut } = toWorkload(records, details);
    expect(list.models).toEqual([
      { id: 'one', memoryBytes: 100_000_000, loadMs: 400.123, runMs: 10 },
      { id: 'two.first', memoryBytes: 100_000_000, loadMs: 400.123, runMs: 5 },
      { id: 'two.second', memoryBytes: 100_000_000, loadMs: 400.123, runMs: 6 },
    ]);
    // The second run of an invocation enters when the first had ended.
    expect([...list.atMs]).toEqual([0, 10, 15, 30, 40]);
    expect([...list.model]).toEqual([0, 1, 2, 0, 0]);
    expect(leftOut).toBe(1);
    expect(answered[0]).toEqual({ totalMs: 408, cold: true });
  });

  it('knows what runs that calls shared would have taken alone, and that others would share them again', () => {
    const base = detail('one', ['model']);
    const [model] = base.modelDetails;
    const batched = {
      ...base,
      manifest: { batching: { maxSize: 4, maxDelayMs: 5 } },
      modelDetails: [{ ...model, runMsByRows: [2, 3, 4, 5], batching: { maxRows: 4, unasked: false } }],
    } as unknown as FunctionDetail;
    const shared = [
      record('one', 0, [run('model', 8)]),
      record('one', 10, [run('model', 15, { together: 3 })]),
      record('one', 10, [run('model', 22, { together: 9 })]),
    ];
    const { list } = toWorkload(shared, new Map([['one', batched]]));
    // 8 alone, 15 of three are 7.5, 22 of at least four are 8.8.
    const runMs = 8.1;
    expect(list.models).toEqual([
      {
        id: 'one',
        memoryBytes: 100_000_000,
        loadMs: 400.123,
        runMs,
        batching: { maxSize: 4, maxDelayMs: 5, runMsByRows: [runMs, 12.15, 16.2, 20.25] },
      },
    ]);
    // Not batched any more: its share of the run.
    const plain = toWorkload(shared.slice(1, 2), details).list.models[0]!;
    expect(plain.runMs).toBe(5);
    expect(plain).not.toHaveProperty('batching');
  });

  it('is fetched with the figures as they were', async () => {
    const recording = await fetchRecording(clientOf(records), null);
    expect(recording.devices).toEqual([{ id: 'cpu:0', memoryBytes: 150_000_000, overlap: true }]);
    expect(recording.figures).toMatchObject({ policy: 'lalbo3', requests: 5, maxMs: 408, coldRatio: 0.2, p50Ms: 10 });
  });

  it('is refused when there is nothing in it', async () => {
    await expect(fetchRecording(clientOf([]), '1h')).rejects.toThrow('remembers no inference');
  });

  it('starts at a date or so long ago', () => {
    expect(parseSince('30m', START)).toBe('2026-03-01T09:30:00.000Z');
    expect(parseSince('2026-02-01', START)).toBe('2026-02-01T00:00:00.000Z');
    expect(() => parseSince('2026-99', START)).toThrow('is not a date');
    expect(() => parseSince('yesterday', START)).toThrow('is not a duration');
  });
});

describe('A replay', () => {
  it('simulates the recorded devices, and others with --what-if', async () => {
    const recording = await fetchRecording(clientOf(records), null);
    const same = await replayRecording(recording, null, { policy: 'lalb' }, null, {});
    expect(same.report.context.devices).toEqual([{ id: 'cpu:0', memoryBytes: 150_000_000 }]);
    expect(same.report.asIs![0]!.policy).toBe('lalbo3');
    const whatIf = parseWhatIf('devices=2,memory=300MB,policy=lb');
    const { report } = await replayRecording(recording, null, {}, whatIf, {});
    expect(report.context.devices.map((device) => device.memoryBytes)).toEqual([300_000_000, 300_000_000]);
    expect(report.results.map((result) => result.policy)).toEqual(['lb']);
    const text = renderReport(report);
    expect(text).toContain('Replay of recorded invocations, since ever');
    expect(text).toContain('recorded, lalbo3');
    expect(text).toContain('simulated as it was, lalbo3');
  });

  it('takes no other workload beside it', async () => {
    const recording = await fetchRecording(clientOf(records), null);
    await expect(replayRecording(recording, null, { sweep: 'rpm=1..2:1' }, null, {})).rejects.toThrow('contradict');
  });
});

describe('What-if', () => {
  it('reads its parts; one without = belongs to the value before', () => {
    expect(parseWhatIf('devices=emulated:2@8GB,emulated:1@16GB,policy=lb,lalb,p99=2s')).toEqual({
      flags: { devices: 'emulated:2@8GB,emulated:1@16GB', policy: 'lb,lalb' },
      p99Ms: 2000,
    });
  });

  it.each([
    ['device=4', 'Did you mean devices=?'],
    ['4', '--what-if'],
    ['memory=', 'has no value'],
    ['p99=fast', 'is not a duration'],
  ])('refuses %s', (text, message) => {
    const refusal = (): string => {
      try {
        return JSON.stringify(parseWhatIf(text));
      } catch (error) {
        return `${(error as GpufaasError).message} ${(error as GpufaasError).suggestions.join(' ')}`;
      }
    };
    expect(refusal()).toContain(message);
  });

  it('finds the fewest devices and the least memory that keep p99', async () => {
    const flags = { policy: 'lalb', 'working-set': '8', rpm: '120', minutes: '3', devices: '6', overlap: 'off' };
    const { report } = await runBench(readSettings(flags), { p99LimitMs: 6000 });
    const [{ fewestDevices, leastMemory }] = report.advice as [NonNullable<typeof report.advice>[number]];
    expect(fewestDevices!.p99Ms).toBeLessThanOrEqual(6000);
    const p99 = async (over: object): Promise<number> =>
      (await runBench(readSettings({ ...flags, ...over }))).report.results[0]!.p99Ms;
    expect(await p99({ devices: String(fewestDevices!.devices) })).toBeCloseTo(fewestDevices!.p99Ms, 2);
    expect(await p99({ devices: String(fewestDevices!.devices - 1) })).toBeGreaterThan(6000);
    expect(await p99({ memory: String(leastMemory!.memoryBytes) })).toBeCloseTo(leastMemory!.p99Ms, 2);
    expect(leastMemory!.memoryBytes).toBeLessThan(7_800_000_000);
  });

  it('says so when nothing keeps p99', async () => {
    const settings = readSettings({ policy: 'lalb', 'working-set': '3', rpm: '60', minutes: '1' });
    const { report } = await runBench(settings, { p99LimitMs: 100 });
    expect(report.advice).toEqual([
      { policy: 'lalb', workingSet: 3, p99LimitMs: 100, fewestDevices: null, leastMemory: null },
    ]);
    expect(renderReport(report)).toContain('nothing does');
  });
});
