import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { listCases } from '../../../src/bench/cases.ts';
import { parseDevices } from '../../../src/bench/device-list.ts';
import { parseRange, parseSteps } from '../../../src/bench/numbers.ts';
import { choosePolicy } from '../../../src/bench/policies.ts';
import { readSettings } from '../../../src/bench/settings.ts';
import { timelineFiles } from '../../../src/bench/timeline-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const lb = { name: 'lb', module: null };
const trace = file('t.csv', 'HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,5,0\no,a,g,http,1,2\n');
const requests = file('r.csv', 'at_ms,model\n0,small\n5,small\n');
const profile = file(
  'p.json',
  JSON.stringify({
    models: { small: { memoryMB: 1, loadMs: 2, runMs: 3 }, huge: { memoryMB: 99_000, loadMs: 2, runMs: 3 } },
  }),
);

describe('Settings of a bench', () => {
  it('are the workload "paper" when nothing is said', () => {
    const settings = readSettings({});
    expect(settings).toMatchObject({
      source: { kind: 'zipf' },
      workingSets: [15, 25, 35],
      rpm: 325,
      minutes: 6,
      skew: 0.8,
      seeds: [1],
      overlap: true,
      preload: false,
      skipLimit: 25,
      sweepRpm: [],
    });
    expect(settings.devices).toHaveLength(12);
    expect(settings.devices[11]).toEqual({ id: 'emulated:11', memoryBytes: 7_800_000_000, overlap: true });
  });

  it('take the window of a trace for its minutes, and no more functions than it has', () => {
    const settings = readSettings({ trace, window: '0:2', 'working-set': '1,50,all', rpm: 'full' });
    expect(settings).toMatchObject({ minutes: 2, rpm: null, workingSets: [1, 2] });
    expect(listCases(settings, [lb])[1]!.workload).toMatchObject({ kind: 'trace', rpm: null });
  });

  it('register every model of a profile but only mind those that are asked for', () => {
    const settings = readSettings({ requests, profile, seeds: '1-3' });
    const cases = listCases(settings, [lb]);
    expect(cases).toHaveLength(1);
    expect(cases[0]!.workload.models).toHaveLength(2);
    expect(cases[0]!.workingSet).toBe(1);
  });

  it('take the memory of devices from a profile that names it, unless --memory does', () => {
    const models = { small: { memoryMB: 1, loadMs: 2, runMs: 3 } };
    const named = file('d.json', JSON.stringify({ deviceMemoryMB: 4000, models }));
    expect(readSettings({ profile: named }).devices[0]!.memoryBytes).toBe(4_000_000_000);
    expect(readSettings({ profile: named, memory: '2GB' }).devices[0]!.memoryBytes).toBe(2_000_000_000);
    expect(readSettings({ profile }).devices[0]!.memoryBytes).toBe(7_800_000_000);
  });

  it.each([
    [{ memory: '3GB' }, 'vgg19 takes 3.9 GB, and the largest device has 3 GB'],
    [{ profile, 'working-set': '2' }, 'huge takes 99 GB'],
  ])('refuse models that fit no device before anything runs: %j', (flags, message) => {
    expect(() => listCases(readSettings(flags), [lb])).toThrow(message);
  });

  it.each([
    [{ rpm: '-5' }, '--rpm "-5" is not a number above 0'],
    [{ rpm: 'full' }, '--rpm full means the rate of a trace'],
    [{ rpm: '0.1', minutes: '2' }, 'are none at all'],
    [{ minutes: '0' }, '--minutes "0" is not a whole number from 1'],
    [{ skew: 'x' }, '--skew "x" is not a number'],
    [{ 'working-set': '15,,3' }, 'has an empty item'],
    [{ 'working-set': '0' }, '--working-set "0" is not a whole number from 1'],
    [{ devices: '0' }, '--devices "0" is not a whole number from 1'],
    [{ devices: 'gpu:2' }, '"gpu:2" is not a device'],
    [{ memory: 'lots' }, '"lots" is not a size'],
    [{ memory: '0' }, 'A device with no memory'],
    [{ overlap: 'yes' }, 'is neither on nor off'],
    [{ seed: '1', seeds: '1-2' }, '--seed and --seeds contradict'],
    [{ seeds: '5-1' }, 'neither a number nor a range'],
    [{ sweep: 'rpm=5' }, 'is not a sweep'],
    [{ sweep: 'skew=1..2:1' }, 'is not a sweep'],
    [{ trace, requests }, '--trace and --requests contradict'],
    [{ window: '0:1' }, '--window belongs to a --trace'],
    [{ trace, window: '1:2' }, 'reaches past the 2 minutes'],
    [{ trace: join(folder, 'none.csv') }, 'there is no such file'],
    [{ requests: folder }, 'it is a folder'],
    [{ disable: 'replica' }, '--disable: `locality` has no mechanism "replica"'],
    [{ 'load-lanes': '0' }, '--load-lanes "0" is not a whole number from 1'],
    [{ 'skip-limit': '1.5' }, '--skip-limit "1.5" is not a whole number'],
  ])('refuse %j', (flags, message) => {
    expect(() => readSettings(flags)).toThrow(message);
  });
});

describe('Devices of a simulation', () => {
  it('are a count or a list', () => {
    expect(parseDevices('2', '1GB', false)).toEqual([
      { id: 'emulated:0', memoryBytes: 1e9, overlap: false },
      { id: 'emulated:1', memoryBytes: 1e9, overlap: false },
    ]);
    const ids = parseDevices('emulated:2@8GB,cuda:1@16GB,emulated@4GB,cpu:2', '1GB', true);
    expect(ids.map(({ id, memoryBytes }) => `${id} ${memoryBytes / 1e9}`)).toEqual([
      'emulated:0 8',
      'emulated:1 8',
      'cuda:1 16',
      'emulated:2 4',
      'cpu:0 1',
      'cpu:1 1',
    ]);
    expect(() => parseDevices('cuda:1,cuda:1', '1GB', true)).toThrow('one twice');
  });
});

describe('Ranges', () => {
  it('are read as typed', () => {
    expect(parseRange('--seeds', '1,3,7-9')).toEqual([1, 3, 7, 8, 9]);
    expect(parseSteps('--sweep', 'rpm=100..600:250', 'rpm')).toEqual([100, 350, 600]);
    expect(parseSteps('--sweep', 'rpm=0.1..0.3:0.1', 'rpm')).toEqual([0.1, 0.2, 0.3]);
  });
});

describe('Time line files', () => {
  it('keep their name for one simulation and get parts of names for several', () => {
    const one = listCases(readSettings({ requests, profile }), [lb]);
    expect([...timelineFiles(one, 'a/t.csv').values()]).toEqual(['a/t.csv']);
    const several = listCases(readSettings({ 'working-set': '2,3', seeds: '1-2', sweep: 'rpm=100..200:100' }), [lb]);
    expect([...timelineFiles(several, 'a/t.csv').values()]).toEqual([
      'a/t.2-seed1.csv',
      'a/t.2-seed2.csv',
      'a/t.3-seed1.csv',
      'a/t.3-seed2.csv',
    ]);
  });
});

describe('Policies', () => {
  it('are found by name or loaded from a module', async () => {
    expect(await choosePolicy('lalbo3')).toEqual({ name: 'lalbo3', module: null });
    const path = file('mine.mjs', 'export default { name: "mine", create() { throw new Error("not run"); } };');
    expect(await choosePolicy(path)).toEqual({ name: 'mine', module: path });
  });

  it('are refused when there is none, or no policy in the module', async () => {
    await expect(choosePolicy('fifo')).rejects.toThrow('There is no policy named "fifo"');
    await expect(choosePolicy('./none.ts')).rejects.toThrow('There is no policy module');
    await expect(choosePolicy(file('no.mjs', 'export default 5;'))).rejects.toThrow(
      'has no policy as its default export',
    );
    await expect(choosePolicy(file('bad.mjs', 'export default {'))).rejects.toThrow("can't be loaded");
  });
});
