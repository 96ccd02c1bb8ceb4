// What the hint at a call's arrival is worth to a cold start: a handler that prepares its input for a while before it runs its
// model, called through HTTP with the model evicted. Two daemons in turns, one device each: `locality` loads from the arrival
// on, `lalbo3` knows no hints and loads when the handler asks; on one idle device nothing else tells them apart.
//   node bench/hint.ts [--megabytes 100] [--prepare 0,50] [--rounds 15] [--json]

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { GpufaasClient } from '../src/client/client.ts';
import { createHome, resolveHome } from '../src/home.ts';
import { median } from '../src/models/profile.ts';
import { buildNetwork, NETWORK_INPUT_ROW } from '../src/onnx/networks.ts';
import { startDaemonChild } from './children.ts';
import { deployModel } from './deploy.ts';
import { shoot } from './serving/load.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '100' },
    prepare: { type: 'string', default: '0,50' },
    rounds: { type: 'string', default: '15' },
    json: { type: 'boolean', default: false },
  },
});

/**
 * It computes for that time, as one that decodes a picture. To sleep would measure something else: after a pause of 50 ms a run is
 * slower on an idle machine, whatever is resident.
 */
const HANDLER = `import { defineHandler, tensor } from 'gpufaas';
export default defineHandler<'m'>(async (request, { models }) => {
  const bytes = request.bytes();
  const pixels = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  for (const end = performance.now() + Number(request.headers['x-prepare-ms']); performance.now() < end; );
  const { output } = await models.m.run<'output'>({ input: tensor('FP32', [1, 3, 64, 64], pixels) });
  return { first: output.data[0] };
});
`;
const NAME = 'prepares';
/** What the eviction gives back is given back behind the scenes. */
const SETTLE_MS = 200;

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
const source = join(folder, NAME);
mkdirSync(source);
const network = buildNetwork({ kind: 'cnn', megabytes: Number(values.megabytes), seed: 1 });
writeFileSync(join(source, 'model.onnx'), network.encode());
writeFileSync(join(source, 'handler.ts'), HANDLER);
writeFileSync(
  join(source, 'function.yaml'),
  `name: ${NAME}\nhandler: handler.ts\nmodels:\n  m: { path: model.onnx }\n`,
);
const size = NETWORK_INPUT_ROW.cnn.reduce((a, b) => a * b);
const body = new Uint8Array(Float32Array.from({ length: size }, (_, index) => Math.sin(index)).buffer);
const agent = new Agent({ keepAlive: true });

/** A daemon with the function on it. */
async function start(policy: string) {
  const home = resolveHome({ GPUFAAS_HOME: join(folder, policy) });
  createHome(home);
  const daemon = await startDaemonChild(home.root, 'cpu:1@4GB', policy);
  await deployModel(daemon.line, home, source);
  const client = new GpufaasClient({ url: daemon.line, token: readFileSync(home.token, 'utf8').trim() });
  return {
    end: () => daemon.end(),
    async coldMs(prepareMs: string): Promise<number> {
      await client.unload(NAME);
      await sleep(SETTLE_MS);
      const headers = { 'content-type': 'application/octet-stream', 'x-prepare-ms': prepareMs };
      const startMs = performance.now();
      await shoot(agent, { url: new URL(`${daemon.line}/function/${NAME}`), headers, body });
      return performance.now() - startMs;
    },
  };
}

const daemons = { hint: await start('locality'), none: await start('lalbo3') };
try {
  const rows = [];
  for (const prepare of values.prepare.split(',')) {
    const hint: number[] = [];
    const none: number[] = [];
    for (let round = -1; round < Number(values.rounds); round++) {
      // Always the one after the other: whoever follows itself would meet its own eviction.
      hint.push(await daemons.hint.coldMs(prepare));
      none.push(await daemons.none.coldMs(prepare));
      // The first one of each finds the page cache cold.
      if (round < 0) hint.length = none.length = 0;
    }
    const savedMs = median(none.map((ms, index) => ms - hint[index]!));
    rows.push({ prepareMs: Number(prepare), hintMs: median(hint), noHintMs: median(none), savedMs });
  }
  if (values.json) console.log(JSON.stringify({ load: loadavg()[0], megabytes: Number(values.megabytes), rows }));
  else {
    console.log(`load of the machine ${loadavg()[0]!.toFixed(1)}, cnn of ${values.megabytes} MB, medians`);
    for (const { prepareMs, hintMs, noHintMs, savedMs } of rows) {
      console.log(
        `prepares ${prepareMs} ms: cold ${hintMs.toFixed(1)} ms with the hint, ${noHintMs.toFixed(1)} ms without, ${savedMs.toFixed(1)} ms saved`,
      );
    }
  }
} finally {
  agent.destroy();
  await Promise.all(Object.values(daemons).map((daemon) => daemon.end()));
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
