// Checks of one device through a whole daemon: models measured in lent memory, answers over HTTP, reloads from the host
// cache, evictions, two functions at once, and nothing left on the device when the daemon has ended.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deployModel } from '../../bench/deploy.ts';
import type { DeployResult } from '../../src/api/schemas.ts';
import { GpufaasClient } from '../../src/client/client.ts';
import { startDaemon } from '../../src/daemon/daemon.ts';
import { CONTEXT_BYTES } from '../../src/devices/discover.ts';
import { askCardMemory } from '../../src/devices/nvidia.ts';
import type { Device } from '../../src/devices/types.ts';
import { type Home, resolveHome } from '../../src/home.ts';
import { formatSize } from '../../src/units.ts';
import type { RunnerOptions } from '../../src/workers/runner.ts';
import type { LoadableModel } from '../../src/workers/types.ts';
import type { Checks, Seen } from './checks.ts';
import { differenceOf, inputOf, numbersOf } from './networks.ts';
import { LITTLE_BYTES } from './worker-checks.ts';

/** With TF32, as users have it: each layer rounds to 10 bits. */
const TOLERANCE = 3e-2;
const CALLS = 20;
const SETTLE_MS = 200;
const PATIENCE_MS = 20_000;

export async function checkDaemon(
  checks: Checks,
  device: Device,
  models: readonly LoadableModel[],
  answers: ReadonlyMap<string, Float32Array>,
  folder: string,
  workers: RunnerOptions,
): Promise<void> {
  const before = device.uuid === undefined ? null : await askCardMemory(device.uuid);
  const home = resolveHome({ GPUFAAS_HOME: join(folder, `home-${device.kind}-${device.index}`) });
  // So little that what is resident has to make room for a measurement.
  const memoryBytes = Math.min(device.memoryBytes, (device.kind === 'cuda' ? CONTEXT_BYTES : 0) + 300e6);
  const small = { ...device, memoryBytes };
  const isUp = await checks.check('a daemon serves on it', () => serve(checks, small, models, answers, home, workers));
  if (!isUp || before === null) return;
  await checks.check('nothing stays on it when the daemon has ended', async () => {
    const after = await askCardMemory(device.uuid!);
    const kept = after === null ? Infinity : before.freeBytes - after.freeBytes;
    return { passed: kept < LITTLE_BYTES, saw: `${formatSize(Math.max(0, kept))} more in use than before` };
  });
}

async function serve(
  checks: Checks,
  device: Device,
  models: readonly LoadableModel[],
  answers: ReadonlyMap<string, Float32Array>,
  home: Home,
  workers: RunnerOptions,
): Promise<Seen> {
  const startMs = performance.now();
  const daemon = await startDaemon({ home, devices: [device], port: 0, workers });
  const saw = `up after ${Math.round(performance.now() - startMs)} ms`;
  try {
    const client = new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() });
    const visit = new Visit(client, daemon.url, home, answers);
    for (const { id, path } of models) {
      const isThere = await checks.check(`${id}: is measured on it in lent memory`, () => visit.deploy(id, path));
      if (!isThere) return { passed: true, saw };
      await checks.check(`${id}: answers over HTTP as the CPU does`, () => visit.compare(id));
      await checks.check(`${id}: is reloaded from the host cache`, () => visit.reload(id));
    }
    await checks.check('two functions are called at once', () => visit.callTogether(models.map(({ id }) => id)));
  } finally {
    await daemon.close();
  }
  return { passed: true, saw };
}

class Visit {
  readonly #client: GpufaasClient;
  readonly #url: string;
  readonly #home: Home;
  readonly #answers: ReadonlyMap<string, Float32Array>;

  constructor(client: GpufaasClient, url: string, home: Home, answers: ReadonlyMap<string, Float32Array>) {
    this.#client = client;
    this.#url = url;
    this.#home = home;
    this.#answers = answers;
  }

  async deploy(name: string, path: string): Promise<Seen> {
    const folder = join(this.#home.root, '..', `function-${name}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'model.onnx'), readFileSync(path));
    writeFileSync(join(folder, 'function.yaml'), `name: ${name}\nmodels:\n  m: { path: model.onnx }\n`);
    const evictedBefore = await this.#evictions();
    const startMs = performance.now();
    const { models }: DeployResult = await deployModel(this.#url, this.#home, folder);
    const tookMs = performance.now() - startMs;
    const profile = models[0]!.profiles?.[0];
    if (profile === undefined) return { passed: false, saw: 'no figures of this device' };
    const [status] = (await this.#client.ps()).devices;
    const evicted = (await this.#evictions()) - evictedBefore;
    const figures = `load ${profile.loadMs} ms, run ${profile.runMs} ms, ${formatSize(profile.memoryBytes)}`;
    const given = status!.reservedBytes === 0;
    return {
      passed: !profile.estimated && given && profile.memoryBytes > 0,
      saw: `${profile.estimated ? 'ESTIMATES: ' : ''}${figures}; deployed in ${Math.round(tookMs)} ms, ${evicted} evicted for it, ${given ? 'all' : 'not all'} given back`,
    };
  }

  async compare(name: string): Promise<Seen> {
    const { numbers, timing } = await this.#call(name, 1);
    const worst = differenceOf(numbers, this.#answers.get(`${name} 1`)!);
    return { passed: worst < TOLERANCE, saw: `${timing}; largest difference ${worst.toExponential(1)}` };
  }

  async reload(name: string): Promise<Seen> {
    const cache = async () => (await this.#client.ps()).hostCache;
    if ((await cache()) === undefined) return { passed: true, saw: 'there is no host cache on this system' };
    const isCached = async () => (await this.#client.function(name)).modelDetails[0]!.hostCache?.cached === true;
    for (const untilMs = performance.now() + PATIENCE_MS; !(await isCached()) && performance.now() < untilMs;) {
      await new Promise((resolve) => void setTimeout(resolve, SETTLE_MS));
    }
    const hits = (await cache())!.hits;
    await this.#client.unload(name);
    const { numbers, timing } = await this.#call(name, 1);
    const worst = differenceOf(numbers, this.#answers.get(`${name} 1`)!);
    const { hostLoadMs, diskLoadMs } = (await this.#client.function(name)).modelDetails[0]!.hostCache!;
    const ms = (value: number | null): string => (value === null ? 'unknown' : `${Math.round(value)} ms`);
    return {
      passed: (await cache())!.hits === hits + 1 && worst < TOLERANCE,
      saw: `load with first run ${ms(hostLoadMs)} from it, ${ms(diskLoadMs)} from disk; ${timing}`,
    };
  }

  async callTogether(names: readonly string[]): Promise<Seen> {
    const startMs = performance.now();
    const calls = names.flatMap((name) =>
      Array.from({ length: CALLS }, () => this.#call(name, 1).then((y) => [name, y] as const)),
    );
    let worst = 0;
    for (const [name, { numbers }] of await Promise.all(calls)) {
      worst = Math.max(worst, differenceOf(numbers, this.#answers.get(`${name} 1`)!));
    }
    const tookMs = Math.round(performance.now() - startMs);
    return {
      passed: worst < TOLERANCE,
      saw: `${calls.length} calls in ${tookMs} ms, ${await this.#evictions()} evictions so far, largest difference ${worst.toExponential(1)}`,
    };
  }

  async #call(name: string, rows: number): Promise<{ readonly numbers: readonly number[]; readonly timing: string }> {
    const [input] = inputOf(name, rows);
    const data = Array.from(numbersOf([input!]));
    const answer = await fetch(`${this.#url}/function/${name}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape: input!.shape, data }] }),
    });
    if (!answer.ok) throw new Error(`${name} answered ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
    const body = (await answer.json()) as { readonly outputs: readonly { readonly data: readonly number[] }[] };
    const timing = `${answer.headers.get('x-gpufaas-cache')} on ${answer.headers.get('x-gpufaas-device')}, ${answer.headers.get('server-timing')}`;
    return { numbers: body.outputs[0]!.data, timing };
  }

  async #evictions(): Promise<number> {
    const text = await (await fetch(`${this.#url}/metrics`)).text();
    const counts = text.matchAll(/^gpufaas_evictions_total\{[^}]*\} (\d+)$/gm);
    return Array.from(counts, ([, count]) => Number(count)).reduce((sum, count) => sum + count, 0);
  }
}
