// What gathering requests is worth: throughput of one function with batching and of its twin without, in turns against one
// daemon, so that both see the same machine.
//   npm run bench:batching [-- --kinds mlp,cnn --megabytes 20 --clients 16 --seconds 3 --rounds 3 --size 8] [--json]

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { GpufaasClient } from '../src/client/client.ts';
import { createHome, resolveHome } from '../src/home.ts';
import { median } from '../src/models/profile.ts';
import { buildNetwork, NETWORK_INPUT_ROW, type NetworkKind } from '../src/onnx/networks.ts';
import { startDaemonChild } from './children.ts';
import { deployModel } from './deploy.ts';
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

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
createHome(home);
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const daemon = await startDaemonChild(home.root, 'cpu:1@2GB', 'locality');
const url = daemon.line;

/** Deploys a network as a function without handler; gives what a run takes by rows. */
async function deploy(name: string, kind: NetworkKind, seed: number, more: string): Promise<readonly number[] | null> {
  const source = join(folder, name);
  mkdirSync(source);
  const network = buildNetwork({ kind, megabytes: Number(values.megabytes), seed });
  writeFileSync(join(source, 'model.onnx'), network.encode());
  writeFileSync(
    join(source, 'function.yaml'),
    `name: ${name}\nconcurrency: ${clients}\nmodels:\n  m: { path: model.onnx }\n${more}`,
  );
  await deployModel(url, home, source);
  const client = new GpufaasClient({ url, token: readFileSync(home.token, 'utf8').trim() });
  return (await client.function(name)).modelDetails[0]!.runMsByRows;
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
  const batching = `batching: { maxSize: ${values.size}, maxDelay: 5ms }\n`;
  const runMsByRows = await deploy(`${kind}-with`, kind, 1, batching);
  const runMsByRowsWithout = await deploy(`${kind}-without`, kind, 2, '');
  const together = shotAt(`${kind}-with`, kind);
  const single = shotAt(`${kind}-without`, kind);
  for (const shot of [together, single]) await throughput(agent, shot, clients, 0.5);
  const pairs: { with: number; without: number }[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    // The first one changes, so that drift hits both alike.
    const order = round % 2 === 0 ? [together, single] : [single, together];
    const rates = new Map<Shot, number>();
    for (const shot of order) rates.set(shot, await throughput(agent, shot, clients, seconds));
    pairs.push({ with: rates.get(together)!, without: rates.get(single)! });
  }
  return { kind, runMsByRows, runMsByRowsWithout, pairs, ratio: median(pairs.map((pair) => pair.with / pair.without)) };
}

try {
  const results = [];
  for (const kind of values.kinds.split(',') as NetworkKind[]) results.push(await compare(kind));
  const context = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg()[0] };
  if (values.json) console.log(JSON.stringify({ context, clients, results }, null, 2));
  else {
    console.log(
      `${clients} clients, at most ${values.size} rows a run, load of the machine ${context.load!.toFixed(1)}`,
    );
    const listed = (times: readonly number[] | null): string => times?.map((ms) => ms.toFixed(1)).join(', ') ?? '?';
    for (const { kind, runMsByRows, runMsByRowsWithout, pairs, ratio } of results) {
      console.log(`${kind}: a run takes ${listed(runMsByRows)} ms by rows`);
      console.log(`  as prepared without batching: ${listed(runMsByRowsWithout)} ms`);
      for (const pair of pairs) {
        console.log(`  with ${pair.with.toFixed(0)}/s   without ${pair.without.toFixed(0)}/s`);
      }
      console.log(`  ratio ${ratio.toFixed(2)} (median)`);
    }
  }
} finally {
  agent.destroy();
  await daemon.end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
