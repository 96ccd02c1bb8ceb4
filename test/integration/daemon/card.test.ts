// A daemon on a card with memory of its own, as far as that goes without one: a fake nvidia-smi and a backend that keeps its
// books. Models are measured on the card itself, in memory that the scheduler has lent.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { deployModel } from '../../../bench/deploy.ts';
import type { DeployResult } from '../../../src/api/schemas.ts';
import { GpufaasClient } from '../../../src/client/client.ts';
import { startDaemon, type Daemon } from '../../../src/daemon/daemon.ts';
import { resolveHome } from '../../../src/home.ts';
import { buildNetwork } from '../../../src/onnx/networks.ts';
import { cpuDevice } from '../../helpers/workers.ts';

const MIB = 2 ** 20;
const MODEL_BYTES = 300 * MIB;
const SMI = fileURLToPath(new URL('../../fixtures/nvidia-smi', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'gpufaas-card-'));
const home = resolveHome({ GPUFAAS_HOME: join(root, 'home') });
const NAMES = ['one', 'two', 'three', 'four'];
let daemon: Daemon;
let client: GpufaasClient;

beforeAll(async () => {
  writeFileSync(join(root, 'memory-GPU-aaaa'), '4000, 3000\n');
  vi.stubEnv('PATH', `${SMI}${delimiter}${process.env['PATH']}`);
  vi.stubEnv('FAKE_NVIDIA', root);
  vi.stubEnv('FAKE_CARD', join(root, 'memory-GPU-aaaa'));
  daemon = await startDaemon({
    home,
    port: 0,
    devices: [cpuDevice({ id: 'cuda:0', kind: 'cuda', uuid: 'GPU-aaaa', memoryBytes: 1400 * MIB })],
    workers: { backend: new URL('../../fixtures/backends/fake-card.ts', import.meta.url).href, backoffMs: [0] },
    assessLimits: { waitMs: 4_000 },
  });
  client = new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() });
}, 60_000);
afterAll(async () => {
  await daemon.close();
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
}, 60_000);

/** Each name has a model of its own; deploying one again finds it known. */
function deploy(name: string): Promise<DeployResult> {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  const seed = 1 + NAMES.indexOf(name);
  writeFileSync(join(folder, 'm.onnx'), buildNetwork({ kind: 'mlp', megabytes: 1, seed }).encode());
  writeFileSync(join(folder, 'function.yaml'), `name: ${name}\nmodels:\n  m: { path: m.onnx }\n`);
  return deployModel(daemon.url, home, folder);
}

const onCard = (estimated: boolean) => expect.objectContaining({ kind: 'cuda', device: 'cuda:0', estimated });

async function card() {
  const [device] = (await client.ps()).devices;
  return device!;
}

it('A model is measured on the card, and its memory given back', { timeout: 30_000 }, async () => {
  const { models } = await deploy('one');
  expect(models[0]!.profiles).toEqual([onCard(false)]);
  expect(models[0]!.memoryBytes).toBe(MODEL_BYTES);
  // The card is read every few seconds.
  const empty = { usedBytes: 0, reservedBytes: 0, measuredBytes: 1000 * MIB };
  await expect.poll(card).toMatchObject(empty);
  expect((await client.function('one')).modelDetails[0]!.profiles).toEqual([onCard(false)]);
});

it('What is resident makes room for a measurement, and comes back when it is called', { timeout: 60_000 }, async () => {
  for (const name of NAMES.slice(1, 3)) await deploy(name);
  for (const name of NAMES.slice(0, 3)) await client.load(name);
  expect(await card()).toMatchObject({ usedBytes: 3 * MODEL_BYTES });
  const { models } = await deploy('four');
  expect(models[0]!.profiles).toEqual([onCard(false)]);
  const metrics = await (await fetch(`${daemon.url}/metrics`)).text();
  const evicted = Number(/gpufaas_evictions_total\{device="cuda:0",reason="capacity"\} (\d+)/.exec(metrics)?.[1]);
  expect(evicted).toBeGreaterThan(0);
  const { usedBytes, reservedBytes } = await card();
  expect({ usedBytes, reservedBytes }).toEqual({ usedBytes: (3 - evicted) * MODEL_BYTES, reservedBytes: 0 });
  for (const name of NAMES) await client.load(name);
  expect(await card()).toMatchObject({ usedBytes: 4 * MODEL_BYTES });
});

it(
  'Where pinned models leave no room it is deployed with estimates, and measured the next time',
  { timeout: 60_000 },
  async () => {
    for (const name of NAMES.slice(0, 3)) await client.pin(name, true);
    await client.remove('four');
    await client.removeModel((await client.models()).find(({ functions }) => functions.length === 0)!.sha256);
    const { models } = await deploy('four');
    expect(models[0]!.profiles).toEqual([onCard(true)]);
    for (const name of NAMES.slice(0, 3)) await client.pin(name, false);
    const again = await deploy('four');
    expect(again.models[0]!.profiles).toEqual([onCard(false)]);
  },
);
