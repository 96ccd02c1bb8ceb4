// The whole daemon with devices on which chosen models hang or kill their worker: what is stuck is seen and cleared, what is
// guilty is put aside and says so, and everybody else goes on.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { deployModel } from '../../bench/deploy.ts';
import type { PsResponse } from '../../src/api/schemas.ts';
import { renderCache } from '../../src/cli/render/cache.ts';
import { GpufaasClient } from '../../src/client/client.ts';
import { startDaemon, type Daemon } from '../../src/daemon/daemon.ts';
import type { GpufaasError } from '../../src/errors.ts';
import { resolveHome } from '../../src/home.ts';
import type { Haunting } from '../fixtures/backends/haunted.ts';
import { tinyModel } from '../helpers/models.ts';
import { emulatedDevice } from '../helpers/workers.ts';

const LOAD_LIMIT_MS = 2500;
const folder = mkdtempSync(join(tmpdir(), 'gpufaas-supervision-'));
const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
const hauntings = join(folder, 'haunted.json');
const keys = new Map<string, string>();
let daemon: Daemon;
let client: GpufaasClient;

/** Says how models go wrong from now on, by the name of their function. */
function haunt(chosen: Readonly<Record<string, Haunting>>): void {
  const byKey = Object.entries(chosen).map(([name, haunting]) => [keys.get(name)!, haunting]);
  writeFileSync(hauntings, JSON.stringify(Object.fromEntries(byKey)));
}

async function deploy(name: string): Promise<void> {
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, tinyModel(name.charCodeAt(0)).bytes);
  const { models } = await deployModel(daemon.url, home, path, name);
  keys.set(name, models[0]!.sha256);
}

beforeAll(async () => {
  haunt({});
  daemon = await startDaemon({
    home,
    port: 0,
    policy: 'locality',
    devices: [emulatedDevice({ memoryBytes: 1e9 })],
    workers: {
      backend: new URL('../fixtures/backends/haunted.ts', import.meta.url).href,
      environment: { HAUNTED: hauntings },
      loadLimitMs: LOAD_LIMIT_MS,
      runLimitMs: LOAD_LIMIT_MS,
      backoffMs: [0, 50],
      crashLimit: 50,
    },
    // Models of emulated devices need no measuring here.
    assess: async () => ({
      preparedPath: null,
      profile: { loadMs: 20, runMs: 2, memoryBytes: 100e6, device: 'emulated' },
    }),
  });
  client = new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() });
  for (const name of ['good', 'bad']) await deploy(name);
});
afterEach(async () => {
  haunt({});
  await client.load('bad');
});
afterAll(async () => {
  await daemon.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Called {
  readonly status: number;
  readonly code: string | null;
  readonly cache: string | null;
  readonly ms: number;
}

async function call(name: string): Promise<Called> {
  const sinceMs = performance.now();
  const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }];
  const answer = await fetch(new URL(`/function/${name}`, daemon.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs }),
  });
  const { code = null } = (await answer.json()) as { code?: string };
  return {
    status: answer.status,
    code,
    cache: answer.headers.get('x-gpufaas-cache'),
    ms: performance.now() - sinceMs,
  };
}

/** The device serves (again). */
async function ready(): Promise<void> {
  await expect.poll(async () => (await client.devices())[0]!.state).toBe('ready');
}

const unloaded = async (name: string): Promise<PsResponse> => {
  await client.unload(name);
  return client.ps();
};

describe('a load that never returns', () => {
  it('is seen and cleared within its limit, while hits on the same device go on', { timeout: 60_000 }, async () => {
    await call('good');
    await unloaded('bad');
    const { pid } = (await client.devices())[0]!;
    haunt({ bad: 'hang-load' });
    const stuck = call('bad');
    const sinceMs = performance.now();
    let hits = 0;
    let slowest = 0;
    // Well inside the limit: the worker has not been killed yet.
    while (performance.now() - sinceMs < LOAD_LIMIT_MS * 0.5) {
      const { status, cache, ms } = await call('good');
      expect({ status, cache }, `after ${hits} hits, ${ms} ms`).toEqual({ status: 200, cache: 'hit' });
      hits++;
      slowest = Math.max(slowest, ms);
    }
    expect(hits).toBeGreaterThan(5);
    expect(slowest).toBeLessThan(LOAD_LIMIT_MS / 2);
    await expect.poll(async () => (await client.devices())[0]!.pid).not.toBe(pid);
    // Tried once more, wedged once more, then put aside: the caller hears of it, and not by a timeout.
    expect(await stuck).toMatchObject({ status: 503, code: 'QUARANTINED' });
    expect(await call('good')).toMatchObject({ status: 200 });
  });

  it('counts against the model alone, however much else was under way', { timeout: 60_000 }, async () => {
    await unloaded('bad');
    haunt({ bad: 'hang-load' });
    let running = true;
    const callers = Array.from({ length: 3 }, async () => {
      while (running) expect(await call('good')).toMatchObject({ status: 200 });
    });
    expect(await call('bad')).toMatchObject({ code: 'QUARANTINED' });
    running = false;
    await Promise.all(callers);
    expect((await client.function('good')).status).toBe('ready');
  });
});

describe('a run that never returns', () => {
  it('is cleared within its limit, tried once more, and answered with an error', { timeout: 60_000 }, async () => {
    await client.load('bad');
    haunt({ bad: 'hang-run' });
    const { status, code, ms } = await call('bad');
    expect(['WORKER_DIED', 'QUARANTINED']).toContain(code);
    expect([502, 503]).toContain(status);
    expect(ms).toBeGreaterThan(LOAD_LIMIT_MS);
    expect(await call('good')).toMatchObject({ status: 200 });
  });
});

describe('a model that kills its worker twice in a row', () => {
  it('is quarantined, and ps, ls and describe say so', { timeout: 60_000 }, async () => {
    await unloaded('bad');
    haunt({ bad: 'die-load' });
    expect(await call('bad')).toMatchObject({ status: 503, code: 'QUARANTINED' });
    const ps = await client.ps();
    expect(ps.quarantined).toEqual(['bad']);
    expect(renderCache(ps, Date.now())).toContain('bad is quarantined');
    expect((await client.functions()).map(({ name, status }) => [name, status])).toEqual([
      ['bad', 'quarantined'],
      ['good', 'ready'],
    ]);
    expect((await client.function('bad')).modelDetails[0]).toMatchObject({ quarantined: true });
    await ready();
    // Refused at once: no worker dies of it any more.
    const { pid } = (await client.devices())[0]!;
    expect(await call('bad')).toMatchObject({ code: 'QUARANTINED' });
    expect((await client.devices())[0]!.pid).toBe(pid);
  });

  it(
    'is tried again by load: while it kills, that says so; when it is well, it serves',
    { timeout: 60_000 },
    async () => {
      await unloaded('bad');
      haunt({ bad: 'die-load' });
      expect(await client.load('bad').catch((error: GpufaasError) => error.code)).toBe('QUARANTINED');
      haunt({});
      await client.load('bad');
      expect((await client.ps()).quarantined).toEqual([]);
      expect(await call('bad')).toMatchObject({ status: 200, cache: 'hit' });
    },
  );

  it('is tried again by the next deploy', { timeout: 60_000 }, async () => {
    await unloaded('bad');
    haunt({ bad: 'die-run' });
    const first = await call('bad');
    expect(['WORKER_DIED', 'QUARANTINED']).toContain(first.code);
    expect(await call('bad')).toMatchObject({ code: 'QUARANTINED' });
    haunt({});
    await deploy('bad');
    expect((await client.ps()).quarantined).toEqual([]);
    expect(await call('bad')).toMatchObject({ status: 200 });
  });
});
