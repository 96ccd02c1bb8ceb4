// The daemon on emulated devices against the simulator, request by request: the same core, driven by real processes and
// by virtual time, must place every request alike.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { deployModel } from '../../bench/deploy.ts';
import type { PlatformEvent } from '../../src/api/events.ts';
import { GpufaasClient } from '../../src/client/client.ts';
import { startDaemon } from '../../src/daemon/daemon.ts';
import type { Device } from '../../src/devices/types.ts';
import { resolveHome } from '../../src/home.ts';
import { seededRandom, randomInteger } from '../../src/random.ts';
import { createScheduler } from '../../src/scheduling/scheduler.ts';
import type { ModelSpec } from '../../src/scheduling/types.ts';
import { simulate } from '../../src/simulation/kernel.ts';
import { timelineObserver, type TimelineRow } from '../../src/simulation/timeline.ts';
import { openWorkload } from '../../src/simulation/workloads.ts';
import { tinyModel } from '../helpers/models.ts';

const GB = 1e9;
const DEVICES = 12;
const REQUESTS = 70;
/** Two or three of these fit on a device of 8 GB. */
const MODELS: readonly ModelSpec[] = Array.from({ length: 8 }, (_, index) => ({
  id: `net-${index}`,
  memoryBytes: (2.4 + 0.25 * index) * GB,
  loadMs: 2000 + 200 * index,
  runMs: 1000,
}));

/** Requests so far apart that one ends before the next comes: what runs where depends on the policy alone. */
const SPACING_MS = 60_000;

function expectedTimeline(policy: string, order: readonly number[]): TimelineRow[] {
  const workload = openWorkload({
    kind: 'list',
    models: MODELS,
    atMs: Float64Array.from(order, (_, index) => index * SPACING_MS),
    model: Int32Array.from(order),
    rows: Int32Array.from(order, (_, index) => index),
    workingSet: MODELS.length,
  });
  const rows: TimelineRow[] = [];
  simulate({
    core: createScheduler({ policy }),
    devices: Array.from({ length: DEVICES }, (_, index) => ({
      id: `emulated:${index}`,
      memoryBytes: 8 * GB,
      overlap: true,
    })),
    workload,
    observer: timelineObserver(workload, (row) => rows.push(row)),
  });
  return rows;
}

async function startEmulated(policy: string) {
  const home = resolveHome({ GPUFAAS_HOME: mkdtempSync(join(tmpdir(), 'gpufaas-emulated-')) });
  const devices = Array.from({ length: DEVICES }, (_, index): Device => {
    const place = { id: `emulated:${index}`, kind: 'emulated', index, name: 'emulated' } as const;
    return { ...place, memoryBytes: 8 * GB, threads: 1, overlap: true, speed: 200 };
  });
  let deployed = 0;
  const daemon = await startDaemon({
    home,
    devices,
    policy,
    port: 0,
    assess: async () => {
      const { memoryBytes, loadMs, runMs } = MODELS[deployed++]!;
      return { profile: { memoryBytes, loadMs, runMs, device: 'emulated' }, preparedPath: null };
    },
  });
  onTestFinished(async () => {
    await daemon.close();
    rmSync(home.root, { recursive: true, force: true });
  });
  for (const [index, model] of MODELS.entries()) {
    const path = join(home.root, `${model.id}.onnx`);
    writeFileSync(path, tinyModel(index + 1).bytes);
    await deployModel(daemon.url, home, path, model.id);
  }
  return {
    daemon,
    client: new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() }),
    home,
  };
}

/** Every eviction the daemon announces, as `device model`. */
async function collectEvictions(url: string, token: string, into: string[], signal: AbortSignal): Promise<void> {
  const answer = await fetch(`${url}/api/v1/events`, { headers: { authorization: `Bearer ${token}` }, signal });
  let text = '';
  try {
    for await (const chunk of answer.body!) {
      text += Buffer.from(chunk).toString();
      const messages = text.split('\n\n');
      text = messages.pop()!;
      for (const message of messages) {
        const data = /^data: ?(.*)$/m.exec(message)?.[1];
        const event = data === undefined ? null : (JSON.parse(data) as PlatformEvent);
        if (event?.type === 'evict') into.push(`${event.device} ${event.functions[0]!}`);
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function requestOrder(): number[] {
  const random = seededRandom(7);
  return Array.from({ length: REQUESTS }, () => Math.min(randomInteger(random, 8), randomInteger(random, 8)));
}

it('asks for more than fits: under lb the simulator evicts', () => {
  expect(expectedTimeline('lb', requestOrder()).some((row) => row.kind === 'evict')).toBe(true);
});

describe.each(['lb', 'lalb', 'lalbo3'])('%s on 12 emulated devices', (policy) => {
  it('hits, misses and evicts as the simulator says, request by request', { timeout: 120_000 }, async () => {
    const order = requestOrder();
    const rows = expectedTimeline(policy, order);
    const { daemon, client, home } = await startEmulated(policy);
    const evictions: string[] = [];
    const listening = new AbortController();
    const token = readFileSync(home.token, 'utf8').trim();
    const listener = collectEvictions(daemon.url, token, evictions, listening.signal);
    const body = Buffer.from(
      JSON.stringify({ inputs: [{ name: 'input', shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] }] }),
    );
    const seen: string[] = [];
    for (const model of order) {
      const answer = await client.call(MODELS[model]!.id, { body, headers: { 'content-type': 'application/json' } });
      for await (const _ of answer.body);
      seen.push(`${MODELS[model]!.id} ${answer.headers['x-gpufaas-device']} ${answer.headers['x-gpufaas-cache']}`);
    }
    const loadedFor = new Set(rows.filter((row) => row.kind === 'load').map((row) => row.requests[0]));
    const runs = rows.filter((row) => row.kind === 'run').sort((a, b) => a.requests[0]! - b.requests[0]!);
    const expected = runs.map(
      (row) => `${row.model} emulated:${row.device} ${loadedFor.has(row.requests[0]) ? 'miss' : 'hit'}`,
    );
    expect(seen).toEqual(expected);
    const expectedEvictions = rows
      .filter((row) => row.kind === 'evict')
      .map((row) => `emulated:${row.device} ${row.model}`);
    await expect.poll(() => evictions.length).toBeGreaterThanOrEqual(expectedEvictions.length);
    listening.abort();
    await listener;
    expect(evictions).toEqual(expectedEvictions);
  });
});
