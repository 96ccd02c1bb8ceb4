// Many models on devices that can't hold them all: real models, a real daemon, requests by Zipf popularity, every answer
// checked against ONNX Runtime in this process. Workers may be killed on the way.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { PsResponse } from '../../src/api/schemas.ts';
import { GpufaasClient } from '../../src/client/client.ts';
import { resolveHome } from '../../src/home.ts';
import { buildNetwork, NETWORK_INPUT_ROW, type NetworkKind } from '../../src/onnx/networks.ts';
import { type Random, seededRandom } from '../../src/random.ts';
import { startDaemonChild, type Child } from '../children.ts';
import { deployModel } from '../deploy.ts';
import { shoot, type Shot } from '../serving/load.ts';

/** The models of a comparison. */
export interface CacheModels {
  readonly models: number;
  readonly megabytes: number;
  /** Default: cnn. Of an mlp, callers share runs. */
  readonly kind?: NetworkKind;
}

/** One run over them. */
export interface CacheRun {
  /** A devices specification; `{memory}` is replaced by the room for `fit` models of the largest measured size. */
  readonly devices: string;
  readonly fit: number;
  readonly policy: string;
  readonly requests: number;
  readonly clients: number;
  readonly skew: number;
  readonly seed: number;
  /** How many times a worker is killed, and how long before each; requests go on until then. */
  readonly kills: number;
  readonly killEveryMs: number;
  /** Answers of emulated devices are zeros: only their shape is checked. */
  readonly check: 'values' | 'shape';
  /** Waited before memory is read at the end. */
  readonly settleMs: number;
}

export interface CacheRunResult {
  readonly policy: string;
  readonly right: number;
  readonly wrong: number;
  readonly failed: readonly string[];
  readonly misses: number;
  readonly hits: number;
  readonly kills: number;
  /** The highest share of any device's budget that was ever accounted. */
  readonly peakShare: number;
  /** Per device once warm: accounted bytes, and the growth of the worker as the system measures it. */
  readonly memory: readonly { readonly device: string; readonly accounted: number; readonly measured: number | null }[];
  readonly seconds: number;
}

const VARIANTS = 4;

interface Case {
  readonly name: string;
  readonly shot: Shot;
  readonly expected: Float32Array;
}

/** Deploys the models once and makes every run on a daemon of its own over them; all is ended and removed in the end. */
export async function cacheRuns(
  { models, megabytes, kind = 'cnn' }: CacheModels,
  runs: readonly CacheRun[],
): Promise<CacheRunResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-cache-'));
  const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
  mkdirSync(home.root);
  let daemon: Child | null = null;
  try {
    // Deployed with ample memory to learn what a model takes, then served with the memory a run is about.
    daemon = await startDaemonChild(home.root, 'cpu:1@20GB');
    const cases: (readonly Case[])[] = [];
    let largest = 0;
    for (let index = 0; index < models; index++) {
      const path = join(folder, `net-${index}.onnx`);
      writeFileSync(path, buildNetwork({ kind, megabytes, seed: index + 1 }).encode());
      const deployed = await deployModel(daemon.line, home, path, `net-${index}`);
      largest = Math.max(largest, deployed.models[0]!.memoryBytes);
      cases.push(await makeCases(path, `net-${index}`, kind, index));
      rmSync(path);
    }
    await daemon.end();
    const results: CacheRunResult[] = [];
    for (const run of runs) {
      const memory = `${Math.ceil((largest * (run.fit + 0.5)) / 1e6)}MB`;
      daemon = await startDaemonChild(home.root, run.devices.replace('{memory}', memory), run.policy);
      const client = new GpufaasClient({ url: daemon.line, token: readFileSync(home.token, 'utf8').trim() });
      const agent = new Agent({ keepAlive: true, maxSockets: run.clients });
      try {
        results.push(await drive(run, client, daemon.line, cases, agent));
      } finally {
        agent.destroy();
        await daemon.end();
      }
    }
    return results;
  } finally {
    await daemon?.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Requests of other numbers each, with their answers: in a run that they share none may get another's. */
async function makeCases(path: string, name: string, kind: NetworkKind, index: number): Promise<Case[]> {
  const random = seededRandom(1000 + index);
  const session = await InferenceSession.create(path);
  const cases: Case[] = [];
  for (let variant = 0; variant < VARIANTS; variant++) {
    cases.push(await makeCase(session, name, [1, ...NETWORK_INPUT_ROW[kind]], random));
  }
  await session.release();
  return cases;
}

async function makeCase(
  session: InferenceSession,
  name: string,
  shape: readonly number[],
  random: Random,
): Promise<Case> {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random() * 2 - 1);
  const results = await session.run({ input: new Tensor('float32', data, shape) });
  const expected = Float32Array.from(results['output']!.data as Float32Array);
  const header = JSON.stringify({
    inputs: [{ name: 'input', shape, datatype: 'FP32', parameters: { binary_data_size: data.byteLength } }],
    parameters: { binary_data_output: true },
  });
  const body = Buffer.concat([Buffer.from(header), Buffer.from(data.buffer)]);
  const headers = {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(header.length),
  };
  return { name, shot: { url: new URL(`http://placeholder/v2/models/${name}/infer`), headers, body }, expected };
}

async function drive(
  options: CacheRun,
  client: GpufaasClient,
  url: string,
  cases: readonly (readonly Case[])[],
  agent: Agent,
): Promise<CacheRunResult> {
  const order = zipfOrder(options, cases.length);
  const failed: string[] = [];
  let right = 0;
  let wrong = 0;
  let next = 0;
  let peakShare = 0;
  let kills = 0;
  let running = true;
  const startMs = performance.now();

  const caller = async (): Promise<void> => {
    while (next < order.length || kills < options.kills) {
      const turn = next++;
      const chosen = cases[order[turn % order.length]!]![turn % VARIANTS]!;
      try {
        const answer = await shoot(agent, { ...chosen.shot, url: new URL(chosen.shot.url.pathname, url) });
        if (isRight(answer, chosen.expected, options.check)) right++;
        else wrong++;
      } catch (error) {
        failed.push(String(error));
      }
    }
  };
  const watcher = async (): Promise<void> => {
    while (running) {
      const { devices } = await client.ps();
      for (const device of devices) peakShare = Math.max(peakShare, device.usedBytes / device.memoryBytes);
      await pause(100);
    }
  };
  const killer = async (): Promise<void> => {
    while (running && kills < options.kills) {
      await pause(options.killEveryMs);
      const { devices } = await client.ps();
      const victim = devices.filter((device) => device.pid !== null && device.state === 'ready')[
        kills % devices.length
      ];
      if (!running || victim?.pid == null) continue;
      process.kill(victim.pid, 'SIGKILL');
      kills++;
    }
  };
  const helpers = Promise.all([watcher(), killer()]);
  await Promise.all(Array.from({ length: options.clients }, caller));
  running = false;
  await helpers;
  const seconds = (performance.now() - startMs) / 1000;
  const records = await client.invocations({ limit: right + wrong + failed.length });
  const misses = records.filter((record) => record.cache === 'miss').length;
  const ps = await warm(client, url, cases.flat(), agent, options.settleMs);
  return {
    policy: options.policy,
    right,
    wrong,
    failed,
    misses,
    hits: records.length - misses,
    kills,
    peakShare,
    memory: ps.devices.map((device) => ({
      device: device.id,
      accounted: device.usedBytes,
      measured: device.measuredBytes,
    })),
    seconds,
  };
}

/** Runs everything that is resident once more and waits for the next measurement. */
async function warm(
  client: GpufaasClient,
  url: string,
  cases: readonly Case[],
  agent: Agent,
  settleMs: number,
): Promise<PsResponse> {
  const resident = new Set(
    (await client.ps()).devices.flatMap((device) => device.resident.map((model) => model.model)),
  );
  for (const { name, shot } of cases)
    if (resident.has(name)) await shoot(agent, { ...shot, url: new URL(shot.url.pathname, url) });
  await pause(settleMs);
  return client.ps();
}

/** The tolerance that answers are held to: 1e-5, relative above 1. */
function isRight(answer: Buffer, expected: Float32Array, check: 'values' | 'shape'): boolean {
  const bytes = answer.subarray(answer.byteLength - expected.byteLength);
  if (bytes.byteLength !== expected.byteLength) return false;
  if (check === 'shape') return true;
  const values = new Float32Array(new Uint8Array(bytes).buffer);
  return values.every(
    (value, index) => Math.abs(value - expected[index]!) <= 1e-5 * Math.max(1, Math.abs(expected[index]!)),
  );
}

function zipfOrder({ requests, skew, seed }: CacheRun, models: number): number[] {
  const weights = Array.from({ length: models }, (_, rank) => 1 / (rank + 1) ** skew);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const random = seededRandom(seed);
  return Array.from({ length: requests }, () => {
    let left = random() * total;
    const index = weights.findIndex((weight) => (left -= weight) <= 0);
    return index === -1 ? models - 1 : index;
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
