// The host cache through a daemon: on an emulated device that copies, where the times can be seen, and on a stand-in for a
// card, where the files can.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { deployModel } from '../../../bench/deploy.ts';
import { GpufaasClient } from '../../../src/client/client.ts';
import { startDaemon, type Daemon, type DaemonOptions } from '../../../src/daemon/daemon.ts';
import { resolveHome } from '../../../src/home.ts';
import { memoryFolderRoom } from '../../../src/models/memory-folder.ts';
import { buildNetwork, NETWORK_INPUT_ROW } from '../../../src/onnx/networks.ts';
import { cpuDevice, emulatedDevice } from '../../helpers/workers.ts';

const MIB = 2 ** 20;
const LIMIT = { timeout: 60_000 };
let root: string;
let daemon: Daemon;
let client: GpufaasClient;

afterEach(async () => {
  await daemon.close();
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
}, 60_000);

async function start(options: (root: string) => Omit<DaemonOptions, 'home'>): Promise<void> {
  root = mkdtempSync(join(tmpdir(), 'gpufaas-host-tier-'));
  const home = resolveHome({ GPUFAAS_HOME: join(root, 'home') });
  daemon = await startDaemon({ home, port: 0, ...options(root) });
  client = new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() });
}

/** Each name has a model of its own. */
async function deploy(name: string): Promise<void> {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  const model = buildNetwork({ kind: 'mlp', megabytes: 1, seed: name.charCodeAt(0) });
  writeFileSync(join(folder, 'm.onnx'), model.encode());
  writeFileSync(join(folder, 'function.yaml'), `name: ${name}\nmodels:\n  m: { path: m.onnx }\n`);
  await deployModel(daemon.url, resolveHome({ GPUFAAS_HOME: join(root, 'home') }), folder);
}

/** Calls a function; gives the milliseconds it waited for a load. */
async function call(name: string): Promise<number> {
  const shape = [1, ...NETWORK_INPUT_ROW.mlp];
  const data = Array.from({ length: shape.reduce((a, b) => a * b) }, () => 0.5);
  const answer = await fetch(`${daemon.url}/function/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape, data }] }),
  });
  expect(answer.status).toBe(200);
  await answer.text();
  return Number(/load;dur=([\d.]+)/.exec(answer.headers.get('server-timing') ?? '')?.[1]);
}

const hostCache = async () => (await client.ps()).hostCache;

describe('the host cache of an emulated device that copies', () => {
  const profile = { loadMs: 1000, hostLoadMs: 40, runMs: 2, memoryBytes: 100e6, device: 'emulated' };

  it('makes the second load fast, within its budget, and tells the scheduler', LIMIT, async () => {
    await start(() => ({
      devices: [emulatedDevice({ memoryBytes: 100e6 })],
      assess: () => Promise.resolve({ preparedPath: null, profile }),
      hostCacheBytes: 250e6,
    }));
    for (const name of ['a', 'b', 'c']) await deploy(name);
    // The device holds one model: each call of another evicts it. What a wait oversleeps comes off the next one.
    expect(await call('a')).toBeGreaterThan(500);
    await expect.poll(hostCache).toMatchObject({ models: 1, bytes: 100e6, hits: 0, misses: 1 });
    expect(await call('b')).toBeGreaterThan(500);
    await expect.poll(hostCache).toMatchObject({ models: 2 });
    const reload = await call('a');
    expect(reload).toBeLessThan(500);
    expect(await hostCache()).toEqual({ bytes: 200e6, budgetBytes: 250e6, models: 2, hits: 1, misses: 2 });
    const { hostCache: shown } = (await client.function('a')).modelDetails[0]!;
    expect(shown).toMatchObject({ cached: true });
    expect(shown!.hostLoadMs).toBeLessThan(shown!.diskLoadMs! / 2);
    expect(await call('c')).toBeGreaterThan(500);
    await expect.poll(async () => (await client.function('c')).modelDetails[0]!.hostCache!.cached).toBe(true);
    // "a" was used twice: "b" had to go.
    expect((await client.function('b')).modelDetails[0]!.hostCache!.cached).toBe(false);
    expect(await hostCache()).toMatchObject({ bytes: 200e6, models: 2 });
    const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
    expect(metrics).toMatch(/^gpufaas_host_cache_bytes 200000000$/m);
    expect(metrics).toMatch(/^gpufaas_host_cache_hits_total 1$/m);
    expect(metrics).toMatch(/^gpufaas_host_cache_misses_total 3$/m);
  });

  it('is not there unless somebody asks for it', LIMIT, async () => {
    await start(() => ({
      devices: [emulatedDevice({ memoryBytes: 100e6 })],
      assess: () => Promise.resolve({ preparedPath: null, profile }),
    }));
    await deploy('a');
    await call('a');
    expect(await hostCache()).toBeUndefined();
    expect((await client.function('a')).modelDetails[0]!.hostCache).toBeUndefined();
    expect(await (await fetch(`${daemon.url}/metrics`)).text()).not.toMatch(/^gpufaas_host_cache_bytes \d/m);
  });
});

describe.runIf(memoryFolderRoom() !== null)('the host cache of a card', () => {
  it('holds the files in memory, and leaves nothing behind', LIMIT, async () => {
    const smi = fileURLToPath(new URL('../../fixtures/nvidia-smi', import.meta.url));
    const backend = new URL('../../fixtures/backends/fake-card.ts', import.meta.url).href;
    await start((place) => {
      const memory = join(place, 'memory-GPU-aaaa');
      writeFileSync(memory, '4000, 3000\n');
      vi.stubEnv('PATH', `${smi}${delimiter}${process.env['PATH']}`);
      vi.stubEnv('FAKE_NVIDIA', place);
      vi.stubEnv('FAKE_CARD', memory);
      return {
        devices: [cpuDevice({ id: 'cuda:0', kind: 'cuda', uuid: 'GPU-aaaa', memoryBytes: 900 * MIB })],
        workers: { backend },
        hostCacheBytes: 1.5e6,
      };
    });
    const loads = (): string[][] =>
      readFileSync(join(root, 'memory-GPU-aaaa.loads'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split(' '));
    await deploy('a');
    await client.load('a');
    await expect.poll(hostCache).toMatchObject({ models: 1, hits: 0, misses: 1 });
    await client.unload('a');
    await client.load('a');
    const [fromDisk, fromHost] = loads().slice(-2);
    expect(fromHost![0]).toBe(fromDisk![0]);
    expect(fromDisk![1]).toContain(join(root, 'home', 'prepared'));
    expect(fromHost![1]).toMatch(/^\/dev\/shm\//);
    const { bytes, hits } = (await hostCache())!;
    expect(hits).toBe(1);
    expect(bytes).toBeGreaterThan(Number(fromHost![0]));
    // The budget has room for one.
    await deploy('b');
    await client.load('b');
    await expect.poll(async () => (await client.function('b')).modelDetails[0]!.hostCache!.cached).toBe(true);
    const folder = dirname(dirname(fromHost![1]!));
    expect(readdirSync(folder)).toHaveLength(1);
    expect((await hostCache())!.bytes).toBeLessThanOrEqual(1.5e6);
    // What others removed is read from disk.
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
    await client.unload('b');
    await client.load('b');
    expect(loads().at(-1)![1]).toContain(join(root, 'home', 'prepared'));
    await client.remove('b');
    await client.removeModel((await client.models()).find(({ functions }) => functions.length === 0)!.sha256);
    await expect.poll(hostCache).toMatchObject({ models: 0, bytes: 0 });
    await daemon.close();
    expect(existsSync(folder)).toBe(false);
  });
});
