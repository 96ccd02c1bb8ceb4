// What the way to a worker and back costs: a run of 600 KB through a worker against the same run in this process, in turns.
//   node bench/run-hop.ts [--shots 400] [--gap 0]
// `--gap` leaves the machine alone for so many milliseconds before each run: sleeping threads take longer to wake.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { buildWide } from './serving/wide.ts';
import { quantile } from './serving/load.ts';
import { createRunner } from '../src/workers/runner.ts';

const { values } = parseArgs({
  options: { shots: { type: 'string', default: '400' }, gap: { type: 'string', default: '0' } },
});
const shots = Number(values.shots);
const gapMs = Number(values.gap);
const WARM_UP = 50;
const COUNT = 150_000;

const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
const path = join(folder, 'wide.onnx');
writeFileSync(path, buildWide(COUNT));
const runner = createRunner(
  { id: 'cpu:0', kind: 'cpu', index: 0, name: 'CPU', memoryBytes: 4e9, overlap: true, threads: 1 },
  {},
  { onReady: () => undefined, onLost: () => undefined, onNotice: () => undefined },
);
try {
  await runner.start();
  await runner.load({ id: 'wide', path, prepared: false, inputs: [], outputs: [] });
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1 });
  const numbers = Float32Array.from({ length: COUNT }, (_, index) => (index % 97) / 97);
  const shape = [1, COUNT];
  const data = new Uint8Array(numbers.buffer);
  const there: number[] = [];
  const here: number[] = [];
  for (let index = -WARM_UP; index < shots; index++) {
    for (const [times, run] of [
      [there, () => runner.run('wide', [{ name: 'input', datatype: 'FP32', shape, data }])],
      [here, () => session.run({ input: new Tensor('float32', numbers, shape) })],
    ] as const) {
      if (gapMs > 0) await setTimeout(gapMs);
      const startMs = performance.now();
      await run();
      if (index >= 0) times.push(performance.now() - startMs);
    }
  }
  await session.release();
  const show = (times: readonly number[]): string => `p50 ${quantile(times, 0.5).toFixed(3)} ms`;
  console.log(`through a worker  ${show(there)}\nin this process   ${show(here)}`);
} finally {
  await runner.stop(true);
  rmSync(folder, { recursive: true, force: true });
}
