// Whether a worker stays as large as it is over many evictions and loads:
//   node bench/evict-cycles.ts [--cycles 500] [--megabytes 20] [--original]
// Prints the resident set after every tenth of the cycles; exits 1 if the last is more than 10% above that after 50.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Device } from '../src/devices/types.ts';
import { assessModel } from '../src/models/assess.ts';
import { buildNetwork, NETWORK_INPUT_ROW } from '../src/onnx/networks.ts';
import { inspectOnnx } from '../src/onnx/inspect.ts';
import type { Tensor } from '../src/tensors.ts';
import { formatSize } from '../src/units.ts';
import { processBytes } from '../src/workers/native-process.ts';
import { createRunner } from '../src/workers/runner.ts';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '500' },
    megabytes: { type: 'string', default: '20' },
    original: { type: 'boolean' },
  },
});
const cycles = Number(values.cycles);
const device: Device = { id: 'cpu:0', kind: 'cpu', index: 0, name: '', memoryBytes: 4e9, threads: 1, overlap: true };
const shape = [1, ...NETWORK_INPUT_ROW.cnn];
const image = (): Tensor[] => [
  { name: 'input', datatype: 'FP32', shape, data: new Uint8Array(shape.reduce((a, b) => a * b) * 4) },
];

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
const runner = createRunner(
  device,
  {},
  { onReady: () => undefined, onLost: (reason) => console.error(`lost: ${reason}`), onNotice: () => undefined },
);
try {
  const models = [];
  for (const seed of [1, 2, 3]) {
    const path = join(folder, `${seed}.onnx`);
    const bytes = buildNetwork({ kind: 'cnn', megabytes: Number(values.megabytes), seed }).encode();
    writeFileSync(path, bytes);
    const signature = inspectOnnx(path);
    const sha256 = String(seed).padEnd(64, '0');
    const { preparedPath } =
      values.original === true
        ? { preparedPath: null }
        : await assessModel(
            { sha256, path, bytes: bytes.byteLength, ...signature },
            { folder: join(folder, 'prepared'), device, budgetBytes: 4e9, maxRows: 1 },
          );
    models.push({
      id: sha256,
      path: preparedPath ?? path,
      prepared: preparedPath !== null,
      inputs: signature.inputs,
      outputs: signature.outputs,
    });
  }
  await runner.start();
  const sizes: number[] = [];
  // Two are resident at any time; each cycle evicts the older one and loads the third.
  for (const model of models.slice(0, 2)) await runner.load(model);
  for (let cycle = 1; cycle <= cycles; cycle++) {
    await runner.evict(models[(cycle - 1) % 3]!.id);
    const next = models[(cycle + 1) % 3]!;
    await runner.load(next);
    await runner.run(next.id, image());
    const bytes = processBytes(runner.pid!, 'VmRSS') ?? 0;
    sizes.push(bytes);
    if (cycle === 50 || cycle % Math.ceil(cycles / 10) === 0) console.log(`after ${cycle}: ${formatSize(bytes)}`);
  }
  // Around the mark, because a thread that is just starting or ending shows in a single reading.
  const around = (at: number): number => Math.min(...sizes.slice(Math.max(0, at - 10), at));
  const growth = around(cycles) / around(Math.min(50, cycles)) - 1;
  console.log(`growth since the 50th: ${(100 * growth).toFixed(1)}%`);
  process.exitCode = growth <= 0.1 ? 0 : 1;
} finally {
  await runner.stop();
  rmSync(folder, { recursive: true, force: true });
}
