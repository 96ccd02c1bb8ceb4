// Serving compared, paired in one run:
//   1. a hit through HTTP (binary tensors, 600 KB) against the same run in this process, and against HTTP alone: the same body
//      sent to a bare node:http server that only reads it;
//   2. gpufaas against a plain Fastify + onnxruntime-node server, one client and sixteen; with one client also against a bare relay to
//      another process (relay-server.ts), which shows what of the difference is the way there.
//   npm run bench:serving [-- --seconds 4 --rounds 5 --kind cnn --megabytes 20]
// Prints a table and, with --json, the figures.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { createHome, resolveHome } from '../../src/home.ts';
import { buildNetwork, NETWORK_INPUT_ROW, type NetworkKind } from '../../src/onnx/networks.ts';
import { startChild, startDaemonChild, type Child } from '../children.ts';
import { deployModel } from '../deploy.ts';
import { binaryShot, quantile, shoot, throughput, type Shot } from './load.ts';
import { buildWide } from './wide.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    kind: { type: 'string', default: 'cnn' },
    megabytes: { type: 'string', default: '20' },
    shots: { type: 'string', default: '400' },
    json: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const shots = Number(values.shots);
if (values.kind !== 'cnn' && values.kind !== 'mlp') throw new Error(`--kind is cnn or mlp, not ${values.kind}.`);
const kind: NetworkKind = values.kind;

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
createHome(home);
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const children: Child[] = [];
/** Before each turn, and the calls that begin it. */
const PAUSE_MS = 150;
const WARM_UP = 3;
const TURN = 25;
/** Calls of each side before anything is measured, of one client and of sixteen: code is compiled, instances are made. */
const COMPILED_AFTER = 1_000;
const COMPILED_AFTER_CROWD = 2_000;

async function start(script: string, ...args: string[]): Promise<string> {
  const child = await startChild(new URL(script, import.meta.url), args);
  children.push(child);
  return child.line;
}

/**
 * Milliseconds of each call of each side; they take turns of `TURN` calls. The first calls of a turn are not counted: before them the
 * machine is left alone for a moment, since threads of a session that just ran spin for some time and would take the others' cores.
 */
async function alternate(...sides: readonly (() => Promise<unknown>)[]): Promise<number[][]> {
  // Servers that have run for a while are compared: their code is compiled by then.
  for (const work of sides) for (let index = 0; index < COMPILED_AFTER; index++) await work();
  const times: number[][] = sides.map(() => []);
  while (times.at(-1)!.length < shots) {
    for (const [side, work] of sides.entries()) {
      await setTimeout(PAUSE_MS);
      for (let index = -WARM_UP; index < TURN; index++) {
        const startMs = performance.now();
        await work();
        if (index >= 0) times[side]!.push(performance.now() - startMs);
      }
    }
  }
  return times;
}

async function hitOverhead(url: string) {
  const path = join(folder, 'wide.onnx');
  writeFileSync(path, buildWide(150_000));
  await deployModel(url, home, path, 'wide');
  const data = Float32Array.from({ length: 150_000 }, (_, index) => (index % 97) / 97);
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1 });
  const shot = binaryShot(url, 'wide', [1, 150_000], data);
  const [hit, inProcess] = await alternate(
    () => shoot(agent, shot),
    () => session.run({ input: new Tensor('float32', data, [1, 150_000]) }),
  );
  await session.release();
  const sink: Shot = { ...shot, url: new URL(await start('./sink-server.ts')) };
  const [beside, httpAlone] = await alternate(
    () => shoot(agent, shot),
    () => shoot(agent, sink),
  );
  return {
    throughHttpMs: quantile(hit!, 0.5),
    inProcessMs: quantile(inProcess!, 0.5),
    besideHttpAloneMs: quantile(beside!, 0.5),
    httpAloneMs: quantile(httpAlone!, 0.5),
    bodyBytes: shot.body.byteLength,
  };
}

async function againstPlain(url: string) {
  const path = join(folder, 'net.onnx');
  writeFileSync(path, buildNetwork({ kind, megabytes: Number(values.megabytes), seed: 1 }).encode());
  await deployModel(url, home, path, 'net');
  const plainUrl = await start('./plain-server.ts', path);
  const shape = [1, ...NETWORK_INPUT_ROW[kind]];
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, index) => (index % 31) / 31);
  const ours = binaryShot(url, 'net', shape, data);
  const plain: Shot = {
    url: new URL(`${plainUrl}/infer`),
    headers: { 'content-type': 'application/octet-stream', 'x-shape': shape.join(',') },
    body: new Uint8Array(data.buffer),
  };
  const relayed: Shot = { ...plain, url: new URL(await start('./relay-server.ts', path)) };
  const one = await alternate(
    () => shoot(agent, ours),
    () => shoot(agent, plain),
    () => shoot(agent, relayed),
  );
  const [gpufaasP50Ms, plainP50Ms, relayP50Ms] = one.map((times) => quantile(times, 0.5));
  const firstOurs = await throughput(agent, ours, 16, Infinity, COMPILED_AFTER_CROWD);
  const firstPlain = await throughput(agent, plain, 16, Infinity, COMPILED_AFTER_CROWD);
  const sixteen: { ours: number; plain: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    // Turn and turn about, the first one changing, so that drift hits both alike.
    const first = round % 2 === 0 ? ours : plain;
    const second = round % 2 === 0 ? plain : ours;
    await setTimeout(PAUSE_MS);
    const a = await throughput(agent, first, 16, seconds);
    await setTimeout(PAUSE_MS);
    const b = await throughput(agent, second, 16, seconds);
    sixteen.push(round % 2 === 0 ? { ours: a, plain: b } : { ours: b, plain: a });
  }
  return {
    oneClient: { gpufaasP50Ms: gpufaasP50Ms!, plainP50Ms: plainP50Ms!, relayP50Ms: relayP50Ms! },
    firstOfSixteen: { calls: COMPILED_AFTER_CROWD, ours: firstOurs, plain: firstPlain },
    sixteenClients: sixteen,
    medianRatio: quantile(
      sixteen.map((pair) => pair.ours / pair.plain),
      0.5,
    ),
  };
}

try {
  const daemon = await startDaemonChild(home.root);
  children.push(daemon);
  const daemonUrl = daemon.line;
  const overhead = await hitOverhead(daemonUrl);
  const plain = await againstPlain(daemonUrl);
  if (values.json) console.log(JSON.stringify({ overhead, plain }, null, 2));
  else {
    const ms = (value: number): string => `${value.toFixed(3)} ms`;
    console.log(`hit through HTTP, ${overhead.bodyBytes} bytes   p50 ${ms(overhead.throughHttpMs)}`);
    console.log(`the same run in process            p50 ${ms(overhead.inProcessMs)}`);
    console.log(`difference                             ${ms(overhead.throughHttpMs - overhead.inProcessMs)}`);
    console.log(
      `HTTP alone, the same body              ${ms(overhead.httpAloneMs)} (beside it the hit: ${ms(overhead.besideHttpAloneMs)})\n`,
    );
    console.log(
      `one client       gpufaas p50 ${ms(plain.oneClient.gpufaasP50Ms)}   plain p50 ${ms(plain.oneClient.plainP50Ms)}   bare relay p50 ${ms(plain.oneClient.relayP50Ms)}`,
    );
    const rates = (what: string, { ours, plain: other }: { ours: number; plain: number }): string =>
      `${what}  gpufaas ${ours.toFixed(1)}/s   plain ${other.toFixed(1)}/s   ratio ${(ours / other).toFixed(3)}`;
    for (const pair of plain.sixteenClients) console.log(rates('sixteen clients', pair));
    console.log(rates(`before that, the first ${plain.firstOfSixteen.calls} calls`, plain.firstOfSixteen));
    console.log(`median ratio     ${plain.medianRatio.toFixed(3)}`);
  }
} finally {
  agent.destroy();
  for (const child of children) await child.end();
  rmSync(folder, { recursive: true, force: true });
}
