// What gathering requests is worth: throughput of one function that asks for batching, of a twin that says nothing of it, and of one that
// refuses it, in turns against one daemon, so that all see the same machine.
//   npm run bench:batching [-- --kinds mlp,cnn --megabytes 20 --clients 16 --seconds 3 --rounds 3 --size 8] [--json]

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent } from 'node:http';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { GpufaasClient } from '../src/client/client.ts';
import { createHome, resolveHome } from '../src/home.ts';
import { median } from '../src/models/profile.ts';
import { buildNetwork, NETWORK_INPUT_ROW, type NetworkKind } from '../src/onnx/networks.ts';
import { startDaemonChild } from './children.ts';
import { deployModel, functionFolder } from './deploy.ts';
import { throughput, type Shot } from './serving/load.ts';

const { values } = parseArgs({
  options: {
    kinds: { type: 'string', default: 'mlp,cnn' },
    megabytes: { type: 'string', default: '20' },
    clients: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    size: { type: 'string', default: '8' },
    json: { type: 'boolean', default: false },
  },
});
const clients = Number(values.clients);
const seconds = Number(values.seconds);
/** Calls of each side before anything is measured. */
const COMPILED_AFTER = 2_000;

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
createHome(home);
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const daemon = await startDaemonChild(home.root, 'cpu:1@2GB', 'locality');
const url = daemon.line;

/** What function.yaml says of batching, and what the sides are called. */
const SIDES = {
  asked: `batching: { maxSize: ${values.size}, maxDelay: 5ms }\n`,
  unasked: '',
  without: 'batching: false\n',
} as const;
type Side = keyof typeof SIDES;
const NAMES = Object.keys(SIDES) as Side[];

/** Deploys a network as a function without handler; gives what a run takes by rows, and whether it is batched. */
async function deploy(kind: NetworkKind, side: Side) {
  const name = `${kind}-${side}`;
  const onnx = buildNetwork({ kind, megabytes: Number(values.megabytes), seed: 1 + NAMES.indexOf(side) }).encode();
  await deployModel(url, home, functionFolder(folder, name, onnx, `concurrency: ${clients}\n${SIDES[side]}`));
  const client = new GpufaasClient({ url, token: readFileSync(home.token, 'utf8').trim() });
  const { runMsByRows, batching } = (await client.function(name)).modelDetails[0]!;
  return { shot: shotAt(name, kind), runMsByRows, isBatched: batching !== null };
}

/** One row for a network, in the binary form. */
function shotAt(name: string, kind: NetworkKind): Shot {
  const shape = [1, ...NETWORK_INPUT_ROW[kind]];
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, index) => (index % 31) / 31);
  const input = { name: 'input', datatype: 'FP32', shape, parameters: { binary_data_size: data.byteLength } };
  const head = Buffer.from(JSON.stringify({ inputs: [input], parameters: { binary_data_output: true } }));
  return {
    url: new URL(`${url}/v2/models/${name}/infer`),
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(head.byteLength),
    },
    body: Buffer.concat([head, new Uint8Array(data.buffer)]),
  };
}

async function compare(kind: NetworkKind) {
  const sides = {} as Record<Side, Awaited<ReturnType<typeof deploy>>>;
  for (const side of NAMES) sides[side] = await deploy(kind, side);
  for (const { shot } of Object.values(sides)) await throughput(agent, shot, clients, Infinity, COMPILED_AFTER);
  const rounds: Record<Side, number>[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    // Another one begins each time, so that drift hits all alike.
    const order = NAMES.map((_, index) => NAMES[(index + round) % NAMES.length]!);
    const rates = {} as Record<Side, number>;
    for (const side of order) rates[side] = await throughput(agent, sides[side].shot, clients, seconds);
    rounds.push(rates);
  }
  const ratio = (side: Side): number => median(rounds.map((rates) => rates[side] / rates.without));
  return {
    kind,
    runMsByRows: { asked: sides.asked.runMsByRows, unasked: sides.unasked.runMsByRows },
    isBatchedUnasked: sides.unasked.isBatched,
    rounds,
    ratios: { asked: ratio('asked'), unasked: ratio('unasked') },
  };
}

try {
  const results = [];
  for (const kind of values.kinds.split(',') as NetworkKind[]) results.push(await compare(kind));
  const context = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg()[0] };
  if (values.json) console.log(JSON.stringify({ context, clients, results }, null, 2));
  else {
    console.log(
      `${clients} clients, at most ${values.size} rows a run where it is asked for, load of the machine ${context.load!.toFixed(1)}`,
    );
    const listed = (times: readonly number[] | null): string => times?.map((ms) => ms.toFixed(1)).join(', ') ?? '?';
    for (const { kind, runMsByRows, isBatchedUnasked, rounds, ratios } of results) {
      console.log(`${kind}: a run takes ${listed(runMsByRows.asked)} ms by rows`);
      console.log(`  unasked: ${listed(runMsByRows.unasked)} ms, ${isBatchedUnasked ? 'batched' : 'not batched'}`);
      for (const rates of rounds) {
        console.log(`  ${NAMES.map((side) => `${side} ${rates[side].toFixed(0)}/s`).join('   ')}`);
      }
      console.log(
        `  ratio to without: asked ${ratios.asked.toFixed(2)}, unasked ${ratios.unasked.toFixed(2)} (medians)`,
      );
    }
  }
} finally {
  agent.destroy();
  await daemon.end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
