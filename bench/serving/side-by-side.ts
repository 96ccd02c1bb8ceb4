// Runs side by side against runs one at a time: sixteen clients of one model, and one client, on two daemons with one CPU device each
// that take turns. One daemon has the policy `locality`, which makes instances for a crowd; the other one `lalbo3`, which differs
// in nothing else while there is one model on one device.
//   node bench/serving/side-by-side.ts [--kind cnn|mlp --megabytes 20 --clients 16 --seconds 3 --rounds 6 --json]

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { GpufaasClient } from '../../src/client/client.ts';
import { createHome, resolveHome } from '../../src/home.ts';
import { buildNetwork, NETWORK_INPUT_ROW } from '../../src/onnx/networks.ts';
import { startDaemonChild, type Child } from '../children.ts';
import { deployModel, functionFolder } from '../deploy.ts';
import { binaryShot, quantile, throughput, type Shot } from './load.ts';

const { values } = parseArgs({
  options: {
    kind: { type: 'string', default: 'cnn' },
    megabytes: { type: 'string', default: '20' },
    clients: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '6' },
    json: { type: 'boolean', default: false },
  },
});
const kind = values.kind === 'mlp' ? 'mlp' : 'cnn';
const clients = Number(values.clients);
const seconds = Number(values.seconds);
/** So long a crowd is there before anything is measured: code is compiled, instances are made. */
const WARM_UP_SECONDS = 6;

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
const agent = new Agent({ keepAlive: true, maxSockets: 2 * clients });
const children: Child[] = [];

interface Side {
  readonly shot: Shot;
  readonly client: GpufaasClient;
}

async function start(policy: string, onnx: Uint8Array): Promise<Side> {
  const home = resolveHome({ GPUFAAS_HOME: join(folder, policy) });
  createHome(home);
  const child = await startDaemonChild(home.root, 'cpu:1@2GB', policy);
  children.push(child);
  // Some would be batched else, without being asked to.
  await deployModel(child.line, home, functionFolder(home.root, 'net', onnx, 'batching: false\n'));
  const shape = [1, ...NETWORK_INPUT_ROW[kind]];
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, index) => (index % 31) / 31);
  return {
    shot: binaryShot(child.line, 'net', shape, data),
    client: new GpufaasClient({ url: child.line, token: readFileSync(home.token, 'utf8').trim() }),
  };
}

/** Requests per second of both, turn and turn about. */
async function compare(a: Side, b: Side, count: number): Promise<{ a: number; b: number }[]> {
  const pairs: { a: number; b: number }[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const rates = new Map<Side, number>();
    for (const side of round % 2 === 0 ? [a, b] : [b, a]) {
      rates.set(side, await throughput(agent, side.shot, count, seconds));
    }
    pairs.push({ a: rates.get(a)!, b: rates.get(b)! });
  }
  return pairs;
}

try {
  const onnx = buildNetwork({ kind, megabytes: Number(values.megabytes), seed: 1 }).encode();
  const together = await start('locality', onnx);
  const apart = await start('lalbo3', onnx);
  for (const { shot } of [together, apart]) await throughput(agent, shot, clients, WARM_UP_SECONDS);
  const crowd = await compare(together, apart, clients);
  const [device] = (await together.client.ps()).devices;
  const alone = await compare(together, apart, 1);
  const ratio = (pairs: readonly { a: number; b: number }[]): number =>
    quantile(
      pairs.map(({ a, b }) => a / b),
      0.5,
    );
  const instances = device?.resident[0]?.instances ?? 0;
  const memory = { accounted: device?.usedBytes ?? 0, measured: device?.measuredBytes ?? 0 };
  if (values.json) {
    console.log(
      JSON.stringify({ crowd, alone, crowdRatio: ratio(crowd), aloneRatio: ratio(alone), instances, memory }),
    );
  } else {
    for (const { a, b } of crowd) {
      console.log(
        `${clients} clients  side by side ${a.toFixed(1)}/s   one at a time ${b.toFixed(1)}/s   ${(a / b).toFixed(3)}`,
      );
    }
    console.log(`median ratio ${ratio(crowd).toFixed(3)}, with one client ${ratio(alone).toFixed(3)}`);
    const [accounted, measured] = [memory.accounted, memory.measured].map((bytes) => (bytes / 1e6).toFixed(0));
    console.log(`${instances} instances beside the first; ${accounted} MB accounted, ${measured} MB measured`);
  }
} finally {
  agent.destroy();
  for (const child of children) await child.end();
  rmSync(folder, { recursive: true, force: true });
}
