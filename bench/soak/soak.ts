// Mixed load while workers are killed (one every 5 s) and stopped (one every 20 s):
//   npm run soak -- --minutes 10
//   npm run soak -- --minutes 10 --devices 1 --room 12 --clients 24    (where a device has several cores: with runs side by side)
// Ends with 1 unless every answer was right or a documented failure, and memory, handles and processes are at the end what
// they were at the start. Linux only: it looks into /proc.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { GpufaasClient } from '../../src/client/client.ts';
import { resolveHome } from '../../src/home.ts';
import { seededRandom } from '../../src/random.ts';
import { startDaemonChild, type Child } from '../children.ts';
import { deployModel } from '../deploy.ts';
import { footprint, type Footprint } from './processes.ts';
import { ask, badAsks, handlerAsk, modelAsks, type Ask } from './traffic.ts';

const MODELS = 4;
const MEGABYTES = 8;
const KILL_EVERY_MS = 5_000;
const STOP_EVERY_MS = 20_000;
const WARM_UP_MS = 20_000;
/** How long the daemon may take to come to rest after the last request. */
const REST_MS = 15_000;

interface Tally {
  readonly right: Map<string, number>;
  readonly failed: Map<string, number>;
  readonly wrong: string[];
  kills: number;
  /** For every stopped worker the time until another process stood in its place, in milliseconds. */
  readonly recoveriesMs: number[];
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    clients: { type: 'string', default: '6' },
    devices: { type: 'string', default: '2' },
    /** How many models one device has room for. */
    room: { type: 'string', default: '2.5' },
    seed: { type: 'string', default: '1' },
  },
});
const durationMs = Number(values.minutes) * 60_000;
const folder = mkdtempSync(join(tmpdir(), 'gpufaas-soak-'));
const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
const agent = new Agent({ keepAlive: true, maxSockets: Number(values.clients) });
let daemon: Child | null = null;
try {
  // By default room for about two and a half of the models on each device: loads and evictions go on all the time.
  daemon = await startDaemonChild(home.root, 'cpu:1@4GB');
  const { asks, memoryBytes } = await deployAll(daemon.line);
  await daemon.end();
  const memory = `${Math.ceil((memoryBytes * Number(values.room)) / 1e6)}MB`;
  daemon = await startDaemonChild(home.root, `cpu:${values.devices}@${memory}`);
  process.exitCode = await soak(daemon, asks);
} finally {
  agent.destroy();
  await daemon?.end();
  rmSync(folder, { recursive: true, force: true });
}

async function deployAll(url: string): Promise<{ asks: Ask[]; memoryBytes: number }> {
  const asks: Ask[] = [];
  let memoryBytes = 0;
  for (let index = 0; index < MODELS; index++) {
    const name = `net-${index}`;
    asks.push(...(await modelAsks(folder, name, MEGABYTES, index + 1)));
    const { models } = await deployModel(url, home, join(folder, `${name}.onnx`), name);
    memoryBytes = Math.max(memoryBytes, models[0]!.memoryBytes);
  }
  const handler = handlerAsk(folder, 'twice', asks[0]!);
  const { copyFileSync } = await import('node:fs');
  copyFileSync(join(folder, 'net-0.onnx'), join(folder, 'twice', 'm.onnx'));
  await deployModel(url, home, join(folder, 'twice'));
  return { asks: [...asks, handler, handler, ...badAsks('net-0')], memoryBytes };
}

async function soak(child: Child, asks: readonly Ask[]): Promise<number> {
  const pid = child.process.pid!;
  const client = new GpufaasClient({ url: child.line, token: readFileSync(home.token, 'utf8').trim() });
  const tally: Tally = { right: new Map(), failed: new Map(), wrong: [], kills: 0, recoveriesMs: [] };
  await load(child.line, asks, performance.now() + WARM_UP_MS, tally);
  await pause(REST_MS);
  const before = footprint(pid);
  const endMs = performance.now() + durationMs;
  await Promise.all([load(child.line, asks, endMs, tally), kill(client, endMs, tally), stop(client, endMs, tally)]);
  await untilReady(client);
  // Once more all of it, undisturbed: what recovered serves, and memory is compared under the same conditions.
  await load(child.line, asks, performance.now() + WARM_UP_MS / 2, tally);
  await pause(REST_MS);
  return report(tally, before, footprint(pid));
}

async function load(url: string, asks: readonly Ask[], endMs: number, tally: Tally): Promise<void> {
  const caller = async (number: number): Promise<void> => {
    const random = seededRandom(Number(values.seed) * 100 + number);
    while (performance.now() < endMs) {
      const what = asks[Math.floor(random() * asks.length)]!;
      const { verdict, detail } = await ask(agent, url, what);
      if (verdict === 'wrong') tally.wrong.push(detail);
      else tally[verdict].set(detail, (tally[verdict].get(detail) ?? 0) + 1);
      // An open door for the scheduler: not all callers at every instant.
      await pause(random() * 20);
    }
  };
  await Promise.all(Array.from({ length: Number(values.clients) }, (_, number) => caller(number)));
}

async function kill(client: GpufaasClient, endMs: number, tally: Tally): Promise<void> {
  for (let turn = 0; performance.now() + KILL_EVERY_MS < endMs; turn++) {
    await pause(KILL_EVERY_MS);
    const devices = await client.devices();
    const victim = devices[turn % devices.length];
    if (victim?.pid == null || victim.state !== 'ready') continue;
    process.kill(victim.pid, 'SIGKILL');
    tally.kills++;
  }
}

async function stop(client: GpufaasClient, endMs: number, tally: Tally): Promise<void> {
  for (let turn = 0; performance.now() + STOP_EVERY_MS < endMs; turn++) {
    await pause(STOP_EVERY_MS);
    const devices = (await client.devices()).toReversed();
    const victim = devices[turn % devices.length];
    if (victim?.pid == null || victim.state !== 'ready') continue;
    process.kill(victim.pid, 'SIGSTOP');
    const sinceMs = performance.now();
    for (;;) {
      const now = (await client.devices()).find(({ id }) => id === victim.id);
      if (now?.pid !== victim.pid) break;
      await pause(100);
    }
    tally.recoveriesMs.push(Math.round(performance.now() - sinceMs));
  }
}

async function untilReady(client: GpufaasClient): Promise<void> {
  for (let look = 0; look < 300; look++) {
    if ((await client.devices()).every(({ state }) => state === 'ready')) return;
    await pause(100);
  }
}

function report({ right, failed, wrong, kills, recoveriesMs }: Tally, before: Footprint, after: Footprint): number {
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  const lines = [
    `right answers      ${sum(right)} (${list(right)})`,
    `documented failures ${sum(failed)} (${list(failed)})`,
    `wrong              ${wrong.length}${wrong.length === 0 ? '' : `: ${[...new Set(wrong)].slice(0, 10).join('; ')}`}`,
    `workers killed     ${kills}, stopped ${recoveriesMs.length} (replaced after ${recoveriesMs.join(', ')} ms)`,
    `memory of the daemon ${megabytes(before.daemonBytes)} → ${megabytes(after.daemonBytes)}, with its children ${megabytes(before.allBytes)} → ${megabytes(after.allBytes)}`,
    `handles            ${before.handles} → ${after.handles}`,
    `processes          ${before.processes} → ${after.processes}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  const problems = [
    ...(wrong.length > 0 ? ['wrong answers'] : []),
    ...(after.processes !== before.processes ? ['the number of processes changed'] : []),
    ...(after.handles > before.handles + 8 ? ['handles grew'] : []),
    ...(after.daemonBytes > before.daemonBytes * 1.25 + 30e6 ? ['the memory of the daemon grew'] : []),
    ...(after.allBytes > before.allBytes * 1.25 + 50e6 ? ['the memory of the workers grew'] : []),
    ...(recoveriesMs.some((ms) => ms > 10_000) ? ['a stopped worker was seen too late'] : []),
  ];
  process.stdout.write(problems.length === 0 ? 'All is as it was.\n' : `Not as it was: ${problems.join(', ')}.\n`);
  return problems.length === 0 ? 0 : 1;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

function list(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, count]) => `${what} ${count}`).join(', ');
}
