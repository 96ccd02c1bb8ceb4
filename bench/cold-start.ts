// What preparing a model is worth: its load and its runs against a session made from the original file, in turns in one
// worker, so that both see the same machine.
//   node bench/cold-start.ts [--megabytes 100,500] [--kinds cnn,mlp] [--rounds 5] [--json]

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Device } from '../src/devices/types.ts';
import { coreCount } from '../src/devices/host-memory.ts';
import { assessModel } from '../src/models/assess.ts';
import { median } from '../src/models/profile.ts';
import { buildNetwork, NETWORK_INPUT_ROW, type NetworkKind } from '../src/onnx/networks.ts';
import { inspectOnnx } from '../src/onnx/inspect.ts';
import type { Tensor } from '../src/tensors.ts';
import { createRunner, type DeviceRunner } from '../src/workers/runner.ts';
import type { LoadableModel } from '../src/workers/types.ts';

interface Timing {
  /** The load as the caller waits for it, milliseconds. */
  readonly loadMs: number;
  /** The session's own part of it. */
  readonly sessionMs: number;
  readonly firstRunMs: number;
  readonly hitMs: number;
}

interface Row {
  readonly kind: NetworkKind;
  readonly megabytes: number;
  readonly mode: string;
  readonly assessMs: number;
  readonly original: Timing;
  readonly prepared: Timing;
  readonly loadRatio: number;
  readonly coldRatio: number;
  readonly hitRatio: number;
}

const HITS = 15;

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '100,500' },
    kinds: { type: 'string', default: 'cnn,mlp' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean' },
  },
});
const device: Device = {
  id: 'cpu:0',
  kind: 'cpu',
  index: 0,
  name: '',
  memoryBytes: 8e9,
  threads: coreCount(),
  overlap: true,
};

function input(kind: NetworkKind): Tensor[] {
  const shape = [1, ...NETWORK_INPUT_ROW[kind]];
  const numbers = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i));
  return [{ name: 'input', datatype: 'FP32', shape, data: new Uint8Array(numbers.buffer) }];
}

async function time(runner: DeviceRunner, model: LoadableModel, kind: NetworkKind): Promise<Timing> {
  const startMs = performance.now();
  const { loadMs: sessionMs } = await runner.load(model);
  const loadMs = performance.now() - startMs;
  const { runMs: firstRunMs } = await runner.run(model.id, input(kind));
  const hits: number[] = [];
  for (let i = 0; i < HITS; i++) hits.push((await runner.run(model.id, input(kind))).runMs);
  await runner.evict(model.id);
  return { loadMs, sessionMs, firstRunMs, hitMs: median(hits) };
}

const medians = (timings: readonly Timing[]): Timing => ({
  loadMs: median(timings.map(({ loadMs }) => loadMs)),
  sessionMs: median(timings.map(({ sessionMs }) => sessionMs)),
  firstRunMs: median(timings.map(({ firstRunMs }) => firstRunMs)),
  hitMs: median(timings.map(({ hitMs }) => hitMs)),
});

async function measure(kind: NetworkKind, megabytes: number, folder: string): Promise<Row> {
  const path = join(folder, `${kind}-${megabytes}.onnx`);
  const bytes = buildNetwork({ kind, megabytes, seed: 1 }).encode();
  writeFileSync(path, bytes);
  const { inputs, outputs } = inspectOnnx(path);
  const startMs = performance.now();
  const sha256 = `${kind}${megabytes}`.padEnd(64, '0');
  const { preparedPath, mode } = await assessModel(
    { sha256, path, bytes: bytes.byteLength, inputs, outputs },
    { folder: join(folder, 'prepared'), device, budgetBytes: device.memoryBytes },
  );
  const assessMs = performance.now() - startMs;
  const runner = createRunner(
    device,
    {},
    { onReady: () => undefined, onLost: (reason) => console.error(reason), onNotice: () => undefined },
  );
  const original: Timing[] = [];
  const prepared: Timing[] = [];
  try {
    await runner.start();
    for (let round = 0; round < Number(values.rounds); round++) {
      original.push(await time(runner, { id: 'original', path, prepared: false, inputs, outputs }, kind));
      prepared.push(
        await time(
          runner,
          { id: 'prepared', path: preparedPath ?? path, prepared: preparedPath !== null, inputs, outputs },
          kind,
        ),
      );
    }
  } finally {
    await runner.stop();
  }
  const [from, to] = [medians(original), medians(prepared)];
  return {
    kind,
    megabytes,
    mode,
    assessMs,
    original: from,
    prepared: to,
    loadRatio: to.loadMs / from.sessionMs,
    coldRatio: (to.loadMs + to.firstRunMs) / (from.sessionMs + from.firstRunMs),
    hitRatio: to.hitMs / from.hitMs,
  };
}

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
const rows: Row[] = [];
try {
  for (const kind of values.kinds.split(',') as NetworkKind[]) {
    for (const megabytes of values.megabytes.split(',').map(Number)) {
      const row = await measure(kind, megabytes, folder);
      rows.push(row);
      if (values.json === true) continue;
      const show = ({ loadMs, firstRunMs, hitMs }: Timing): string =>
        `load ${loadMs.toFixed(1)} ms, first run ${firstRunMs.toFixed(1)} ms, hit ${hitMs.toFixed(1)} ms`;
      console.log(`${kind} ${megabytes} MB (assessed in ${(row.assessMs / 1000).toFixed(1)} s, ${row.mode})`);
      console.log(`  original  ${show(row.original)}`);
      console.log(`  prepared  ${show(row.prepared)}`);
      console.log(
        `  load ${row.loadRatio.toFixed(3)}x, cold start ${row.coldRatio.toFixed(3)}x, hit ${row.hitRatio.toFixed(2)}x of the original`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (values.json === true)
  console.log(
    JSON.stringify({ context: { node: process.version, cpu: cpus()[0]?.model, cores: coreCount() }, rows }, null, 2),
  );
