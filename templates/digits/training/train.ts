// Trains the model of this template and writes model/digits.onnx:
//   npm install && node train.ts [--steps 7000] [--seed 1]
// Needs the gpufaas repository around it; about 15 minutes on two cores. The held-out fonts of the tests are not used.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

import { createNetwork, exportNetwork } from '../../../scripts/training/network.ts';
import type { Layer } from '../../../scripts/training/network.ts';
import { oneHot, scheduledRate, Trainer } from '../../../scripts/training/trainer.ts';
import { randomInteger, seededRandom } from '../../../src/random.ts';
import { SIZE } from '../digit.ts';

const { values } = parseArgs({
  options: { steps: { type: 'string', default: '7000' }, seed: { type: 'string', default: '1' } },
});
const steps = Number(values.steps);
const seed = Number(values.seed);

const BATCH = 64;
const CHUNK = 4000;
const STEPS_PER_CHUNK = 250;
const PEAK_RATE = 2e-3;
const WEIGHT_DECAY = 0.02;
const PIXELS = SIZE * SIZE;

const LAYERS: readonly Layer[] = [
  { kind: 'conv', from: 1, to: 16, size: 3 },
  { kind: 'relu' },
  { kind: 'pool' },
  { kind: 'conv', from: 16, to: 32, size: 3 },
  { kind: 'relu' },
  { kind: 'conv', from: 32, to: 32, size: 3 },
  { kind: 'relu' },
  { kind: 'pool' },
  { kind: 'conv', from: 32, to: 64, size: 3 },
  { kind: 'relu' },
  { kind: 'pool' },
  { kind: 'flatten' },
  { kind: 'dense', from: 64 * 9, to: 128 },
  { kind: 'relu' },
  { kind: 'dense', from: 128, to: 10 },
];

interface Chunk {
  readonly labels: Uint8Array;
  readonly pixels: Uint8Array;
}

const chunkCount = Math.ceil(steps / STEPS_PER_CHUNK);
const worker = new Worker(new URL('./draw-worker.ts', import.meta.url), {
  workerData: { seed, chunks: chunkCount, chunkSize: CHUNK },
});
const chunks = Array.from({ length: chunkCount }, () => Promise.withResolvers<Chunk>());
let drawn = 0;
worker.on('message', (chunk: Chunk) => chunks[drawn++]!.resolve(chunk));
worker.on('error', (error) => chunks.forEach(({ reject }) => reject(error)));

const random = seededRandom(seed);
const network = createNetwork(LAYERS, [1, SIZE, SIZE], [10], random);
const trainer = await Trainer.create(network, { kind: 'softmax' });
const pool: Chunk[] = [];
const started = performance.now();
let recent = 0;
for (let step = 0; step < steps; step++) {
  if (step % STEPS_PER_CHUNK === 0) pool.push(await chunks[pool.length]!.promise);
  const labels = new Uint8Array(BATCH);
  const x = new Float32Array(BATCH * PIXELS);
  for (let row = 0; row < BATCH; row++) {
    const chunk = pool[randomInteger(random, pool.length)]!;
    const at = randomInteger(random, CHUNK);
    labels[row] = chunk.labels[at]!;
    for (let i = 0; i < PIXELS; i++) x[row * PIXELS + i] = chunk.pixels[at * PIXELS + i]! / 255;
  }
  const rate = scheduledRate(PEAK_RATE, step / steps);
  recent += await trainer.step({ rows: BATCH, x, target: oneHot(labels, 10) }, rate, WEIGHT_DECAY);
  if ((step + 1) % 250 === 0) {
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`step ${step + 1} of ${steps}, loss ${(recent / 250).toFixed(4)}, ${seconds} s`);
    recent = 0;
  }
}
await trainer.release();
const metadata = { classes: '0 1 2 3 4 5 6 7 8 9', training: `train.ts --steps ${steps} --seed ${seed}` };
const model = exportNetwork(network, { input: 'input', output: 'logits', activation: 'none', metadata });
writeFileSync(new URL('../model/digits.onnx', import.meta.url), model);
console.log(`model/digits.onnx: ${model.length} bytes`);
