// From a specification to devices, with a fake nvidia-smi on the PATH and probes that are told what to find.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { discoverCuda } from '../../../src/devices/discover.ts';
import { askCardMemory, askNvidia } from '../../../src/devices/nvidia.ts';
import { resolveDevices, type ResolveOptions } from '../../../src/devices/resolve.ts';

const FAKE = fileURLToPath(new URL('../../fixtures/nvidia-smi', import.meta.url));
const TWO_CARDS =
  '1, GPU-bbbb, NVIDIA RTX 4090, 24564, 20000, 570.86, 8.9, [N/A], Default\n' +
  '0, GPU-aaaa, NVIDIA H200, 143771, 143000, 570.86, 9.0, Disabled, Exclusive_Process\n';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-test-'));
  vi.stubEnv('PATH', `${FAKE}${delimiter}${process.env['PATH']}`);
  vi.stubEnv('FAKE_NVIDIA', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const cards = (text: string): void => writeFileSync(join(folder, 'cards'), text);

const good: ResolveOptions = {
  cores: 4,
  freeBytes: 16e9,
  supported: true,
  librariesInstalled: true,
  probe: () => Promise.resolve({ usable: true, startMs: 1 }),
};

describe('nvidia-smi', () => {
  it('tells the cards, in order of index, sizes in bytes', async () => {
    cards(TWO_CARDS);
    const { cards: found, problem } = await askNvidia();
    expect(problem).toBeNull();
    expect(found.map(({ index, uuid }) => [index, uuid])).toEqual([
      [0, 'GPU-aaaa'],
      [1, 'GPU-bbbb'],
    ]);
    expect(found[1]).toEqual({
      index: 1,
      uuid: 'GPU-bbbb',
      name: 'NVIDIA RTX 4090',
      totalBytes: 24564 * 2 ** 20,
      freeBytes: 20000 * 2 ** 20,
      computeCapability: 8.9,
      driverVersion: '570.86',
      migEnabled: false,
      computeMode: 'default',
    });
    expect(found[0]!.computeMode).toBe('exclusive');
  });

  it('that hangs, fails, prints garbage or is absent is told apart, and never throws', async () => {
    cards('No devices were found\n, ,\n1, not-a-gpu, x, 1, 1, 1, 1, 1\n');
    expect(await askNvidia()).toEqual({ cards: [], problem: null });
    writeFileSync(
      join(folder, 'fail'),
      "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nmore",
    );
    expect((await askNvidia()).problem).toEqual({
      kind: 'failed',
      message: "nvidia-smi failed: NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
    });
    writeFileSync(join(folder, 'hang'), '');
    expect((await askNvidia(200)).problem).toEqual({
      kind: 'failed',
      message: 'nvidia-smi did not answer within 200 ms',
    });
    expect(await askCardMemory('GPU-aaaa', 200)).toBeNull();
    vi.stubEnv('PATH', folder);
    expect((await askNvidia()).problem?.kind).toBe('absent');
    // Found on the PATH and not ours to run: spawning says EACCES, as it does where the search met a closed folder.
    writeFileSync(join(folder, 'nvidia-smi'), '#!/bin/sh\n', { mode: 0o600 });
    expect((await askNvidia()).problem?.kind).toBe('absent');
  });

  it('is asked again without what an older driver does not know', async () => {
    cards('0, GPU-aaaa, Tesla T4, 15109, 15000, 470.82.01, Default\n');
    writeFileSync(join(folder, 'unknown-fields'), 'compute_cap\nmig.mode.current\n');
    const { cards: found, problem } = await askNvidia();
    expect(problem).toBeNull();
    expect(found).toMatchObject([
      {
        uuid: 'GPU-aaaa',
        driverVersion: '470.82.01',
        computeCapability: null,
        migEnabled: false,
        computeMode: 'default',
      },
    ]);
  });

  it('that tells of some cards and fails for another gives those, and the problem', async () => {
    writeFileSync(join(folder, 'fail'), `${TWO_CARDS}Unable to determine the device handle for GPU2: Unknown Error\n`);
    const { cards: found, problem } = await askNvidia();
    expect(found.map(({ index }) => index)).toEqual([0, 1]);
    expect(problem?.message).toBe('nvidia-smi failed: Unable to determine the device handle for GPU2: Unknown Error');
  });

  it('tells the memory of one card', async () => {
    writeFileSync(join(folder, 'memory-GPU-aaaa'), '1000, 250\n');
    expect(await askCardMemory('GPU-aaaa')).toEqual({ totalBytes: 1000 * 2 ** 20, freeBytes: 250 * 2 ** 20 });
  });
});

describe('what a batch system or a container leaves to us', () => {
  const found = async (variable: string | undefined, options: ResolveOptions = {}) => {
    cards(TWO_CARDS);
    return discoverCuda({ ...good, environment: { CUDA_VISIBLE_DEVICES: variable }, ...options });
  };
  const indices = async (variable: string | undefined): Promise<number[]> =>
    (await found(variable)).cards.map(({ card }) => card.index);

  it('is read as CUDA reads it', async () => {
    expect(await indices(undefined)).toEqual([0, 1]);
    expect(await indices('1')).toEqual([1]);
    expect(await indices('1, 0')).toEqual([1, 0]);
    expect(await indices('GPU-b')).toEqual([1]);
    // What follows an entry that is none does not count.
    expect(await indices('1,-1,0')).toEqual([1]);
    expect(await indices('GPU-')).toEqual([]);
  });

  it('is said to be nothing where it is', async () => {
    const findings = await found('MIG-aaaa');
    expect(findings.cards).toEqual([]);
    expect(findings.driverProblem).toBe('CUDA_VISIBLE_DEVICES="MIG-aaaa" leaves none of the 2 cards to this process');
    const environment = { CUDA_VISIBLE_DEVICES: '' };
    await expect(resolveDevices('cuda', { ...good, environment })).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('leaves none'),
    });
  });

  it.runIf(process.platform === 'linux')('may lack nvidia-smi, or nodes that are open to us', async () => {
    const nodes = join(folder, 'dev');
    mkdirSync(nodes);
    // In a container the one card may have any number, and uvm is made by whoever needs it first.
    for (const name of ['nvidiactl', 'nvidia3']) writeFileSync(join(nodes, name), '');
    expect((await found(undefined, { deviceFolder: nodes })).closedNodes).toEqual([]);
    rmSync(join(nodes, 'nvidiactl'));
    expect((await found(undefined, { deviceFolder: nodes })).closedNodes).toEqual([join(nodes, 'nvidiactl')]);
    vi.stubEnv('PATH', folder);
    const { driverProblem } = await discoverCuda({ ...good, deviceFolder: nodes });
    expect(driverProblem).toMatch(/no nvidia-smi; a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility/);
    expect((await discoverCuda({ ...good, deviceFolder: folder })).driverProblem).toBeNull();
  });
});

describe('devices of a machine', () => {
  it('share the cores, and half of the free memory unless they are given an amount', async () => {
    const devices = await resolveDevices('cpu:2', good);
    expect(devices).toMatchObject([
      { id: 'cpu:0', memoryBytes: 4e9, threads: 2, overlap: true },
      { id: 'cpu:1', memoryBytes: 4e9, threads: 2 },
    ]);
    expect(await resolveDevices('cpu:2@1GB', good)).toMatchObject([{ memoryBytes: 1e9 }, { memoryBytes: 1e9 }]);
    expect(await resolveDevices('cpu@1GB,cpu', { ...good, cores: 1 })).toMatchObject([
      { id: 'cpu:0', memoryBytes: 1e9, threads: 1 },
      { id: 'cpu:1', memoryBytes: 8e9, threads: 1 },
    ]);
    expect(
      (await resolveDevices('emulated:2@1GB,emulated:1@2GB', good)).map(({ id, memoryBytes }) => [id, memoryBytes]),
    ).toEqual([
      ['emulated:0', 1e9],
      ['emulated:1', 1e9],
      ['emulated:2', 2e9],
    ]);
  });

  it('are by default every usable card, else a processor and one more for every 8 cores', async () => {
    cards(TWO_CARDS);
    expect((await resolveDevices('auto', good)).map(({ id, uuid }) => [id, uuid])).toEqual([
      ['cuda:0', 'GPU-aaaa'],
      ['cuda:1', 'GPU-bbbb'],
    ]);
    const notices: string[] = [];
    const onNotice = (message: string): void => void notices.push(message);
    const one = await resolveDevices('auto', {
      ...good,
      onNotice,
      probe: ({ index }) =>
        Promise.resolve(index === 1 ? { usable: true, startMs: 1 } : { usable: false, reason: 'it is on fire' }),
    });
    expect(one.map(({ id }) => id)).toEqual(['cuda:1']);
    expect(notices).toEqual(['NVIDIA H200 is not used: it is on fire']);
    const none = { ...good, librariesInstalled: false };
    expect((await resolveDevices('auto', none)).map(({ id }) => id)).toEqual(['cpu:0']);
    expect(await resolveDevices('auto', { ...none, cores: 16 })).toHaveLength(3);
  });

  it('leave a reserve, and the context of the worker, on a card', async () => {
    cards(TWO_CARDS);
    const [device] = await resolveDevices('cuda:1', { ...good, reserveBytes: 1e9 });
    expect(device!.memoryBytes).toBe(20000 * 2 ** 20 - 600e6 - 1e9);
    expect((await resolveDevices('cuda:1@8GB', good))[0]!.memoryBytes).toBe(8e9);
  });

  it('only probe the cards that were asked for', async () => {
    cards(TWO_CARDS);
    const probed: string[] = [];
    await resolveDevices('cuda:1', {
      ...good,
      probe: ({ id }) => {
        probed.push(id);
        return Promise.resolve({ usable: true, startMs: 1 });
      },
    });
    expect(probed).toEqual(['cuda:1']);
  });

  it.each([
    ['cuda:7', {}, 'USAGE', /no CUDA card 7/],
    ['cuda:0@200GB', {}, 'USAGE', /has 151 GB, less than the 200 GB/],
    ['cuda:0', { librariesInstalled: false }, 'USAGE', /gpufaas setup cuda/],
    ['cuda:0', { supported: false }, 'USAGE', /Linux on x86-64 only/],
    [
      'cuda',
      { probe: () => Promise.resolve({ usable: false, reason: 'no luck' }) },
      'USAGE',
      /none of the 2 CUDA cards.*no luck/,
    ],
    ['dml', { platform: 'linux' }, 'USAGE', /on Windows only/],
    ['coreml', { platform: 'linux' }, 'USAGE', /on macOS only/],
  ])('%s that the machine lacks is refused with the reason', async (spec, options, code, message) => {
    cards(TWO_CARDS);
    await expect(resolveDevices(spec, { ...good, ...(options as ResolveOptions) })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('pass DirectML and CoreML through on their platforms', async () => {
    expect(await resolveDevices('dml', { ...good, platform: 'win32' })).toMatchObject([
      { id: 'dml:0', memoryBytes: 8e9 },
    ]);
    expect(await resolveDevices('coreml,cpu', { ...good, platform: 'darwin' })).toMatchObject([
      { id: 'coreml:0', memoryBytes: 4e9 },
      { id: 'cpu:0', memoryBytes: 4e9, threads: 4 },
    ]);
  });

  it('say why a partitioned or full card is not used', async () => {
    cards(
      '0, GPU-aaaa, A100, 40000, 40000, 570.86, 8.0, Enabled, Default\n' +
        '1, GPU-bbbb, A100, 40000, 100, 570.86, 8.0, Disabled, Default\n' +
        '2, GPU-cccc, A100, 40000, 40000, 570.86, 8.0, Disabled, Prohibited\n' +
        '3, GPU-dddd, GB10, [N/A], [N/A], 580.95, 12.1, [N/A], Default\n',
    );
    const findings = await discoverCuda(good);
    expect(findings.cards.map(({ device }) => device)).toEqual([null, null, null, null]);
    expect(findings.cards.map(({ problem }) => problem)).toEqual([
      expect.stringMatching(/MIG/),
      expect.stringMatching(/other processes leave no memory/),
      expect.stringMatching(/compute mode forbids/),
      expect.stringMatching(/does not tell how much memory/),
    ]);
  });
});
