// A cold start as a caller sees it: a function with a handler, its model evicted, called through HTTP with the handler and the
// page cache warm; against creating a session from the original file and running it once in this process, in turns.
//   node bench/cold-http.ts [--megabytes 100,500] [--rounds 7] [--json]

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { GpufaasClient } from '../src/client/client.ts';
import { createHome, resolveHome } from '../src/home.ts';
import { median } from '../src/models/profile.ts';
import { buildNetwork, NETWORK_INPUT_ROW } from '../src/onnx/networks.ts';
import { startDaemonChild } from './children.ts';
import { deployModel } from './deploy.ts';
import { shoot } from './serving/load.ts';

process.env['ORT_DISABLE_TELEMETRY'] = '1';
const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '100,500' },
    rounds: { type: 'string', default: '7' },
    json: { type: 'boolean', default: false },
  },
});

const HANDLER = `import { defineHandler, tensor } from 'gpufaas';
export default defineHandler<'m'>(async (request, { models }) => {
  const bytes = request.bytes();
  const pixels = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const { output } = await models.m.run<'output'>({ input: tensor('FP32', [1, 3, 64, 64], pixels) });
  return { first: output.data[0] };
});
`;

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
createHome(home);
const agent = new Agent({ keepAlive: true });
const daemon = await startDaemonChild(home.root, 'cpu:1@4GB');
const url = daemon.line;
const shape = [1, ...NETWORK_INPUT_ROW.cnn];
const pixels = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, index) => Math.sin(index));

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

async function measure(megabytes: number) {
  const name = `cnn-${megabytes}`;
  const source = join(folder, name);
  mkdirSync(source);
  const model = join(source, 'model.onnx');
  writeFileSync(model, buildNetwork({ kind: 'cnn', megabytes, seed: 1 }).encode());
  writeFileSync(join(source, 'handler.ts'), HANDLER);
  writeFileSync(
    join(source, 'function.yaml'),
    `name: ${name}\nhandler: handler.ts\nmodels:\n  m: { path: model.onnx }\n`,
  );
  await deployModel(url, home, source);
  const client = new GpufaasClient({ url, token: readFileSync(home.token, 'utf8').trim() });
  const shot = {
    url: new URL(`${url}/function/${name}`),
    headers: { 'content-type': 'application/octet-stream' },
    body: new Uint8Array(pixels.buffer),
  };
  const call = (): Promise<unknown> => shoot(agent, shot);
  /** The time until there is an answer, in milliseconds; giving the memory back afterwards is not counted. */
  const createAndRun = async (): Promise<number> => {
    const startMs = performance.now();
    const session = await InferenceSession.create(model);
    await session.run({ input: new Tensor('float32', pixels, shape) });
    const tookMs = performance.now() - startMs;
    await session.release();
    return tookMs;
  };
  await call();
  await createAndRun();
  const cold: number[] = [];
  const ordinary: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    await client.unload(name);
    cold.push(await timed(call));
    ordinary.push(await createAndRun());
  }
  const pairs = cold.map((ms, index) => ms / ordinary[index]!);
  return { megabytes, coldMs: median(cold), ordinaryMs: median(ordinary), ratio: median(pairs) };
}

try {
  const rows = [];
  for (const megabytes of values.megabytes.split(',').map(Number)) rows.push(await measure(megabytes));
  if (values.json) console.log(JSON.stringify({ load: loadavg()[0], rows }, null, 2));
  else {
    console.log(`load of the machine ${loadavg()[0]!.toFixed(1)}`);
    for (const { megabytes, coldMs, ordinaryMs, ratio } of rows) {
      console.log(
        `cnn ${megabytes} MB: cold through HTTP ${coldMs.toFixed(1)} ms, create and run ${ordinaryMs.toFixed(1)} ms, ratio ${ratio.toFixed(3)} (medians)`,
      );
    }
  }
} finally {
  agent.destroy();
  await daemon.end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
