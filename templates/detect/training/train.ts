// Trains the model of this template and writes model/shapes.onnx: node train.ts
// Needs the gpufaas repository around it; about 20 minutes. `--minutes 4` stops after that time and keeps a checkpoint beside
// this file; called again it goes on from there, to the same model as without a pause.

import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

import { createNetwork, exportNetwork } from '../../../scripts/training/network.ts';
import type { Layer } from '../../../scripts/training/network.ts';
import { scheduledRate, Trainer } from '../../../scripts/training/trainer.ts';
import type { Batch } from '../../../scripts/training/trainer.ts';
import { seededRandom } from '../../../src/random.ts';
import { CELL, CHANNELS, CLASSES } from '../boxes.ts';
import { SIZE } from '../picture.ts';

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '9000' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: 'Infinity' },
  },
});
const steps = Number(values.steps);
const seed = Number(values.seed);

const MODEL = new URL('../model/shapes.onnx', import.meta.url);
const CHECKPOINT = new URL('./checkpoint.bin', import.meta.url);
const BATCH = 16;
const GRID = SIZE / CELL;
const PEAK_RATE = 2.5e-3;
const WEIGHT_DECAY = 0.01;

// The last layers see 99 pixels around each cell: more than the largest object.
const LAYERS: readonly Layer[] = [
  { kind: 'conv', from: 3, to: 16, size: 3, stride: 2 },
  { kind: 'relu' },
  { kind: 'conv', from: 16, to: 28, size: 3, stride: 2 },
  { kind: 'relu' },
  { kind: 'conv', from: 28, to: 40, size: 3 },
  { kind: 'pool' },
  { kind: 'relu' },
  { kind: 'conv', from: 40, to: 64, size: 3 },
  { kind: 'relu' },
  { kind: 'conv', from: 64, to: 64, size: 3, dilation: 2 },
  { kind: 'relu' },
  { kind: 'conv', from: 64, to: 64, size: 3, dilation: 2 },
  { kind: 'relu' },
  { kind: 'conv', from: 64, to: CHANNELS, size: 1 },
];

const network = createNetwork(LAYERS, [3, SIZE, SIZE], [CHANNELS, GRID, GRID], seededRandom(seed));
// Most cells are empty: start from there.
network.parameters.at(-1)!.data[0] = -3;
const trainer = await Trainer.create(network, { kind: 'mixed', linear: [1, 2, 3, 4] });
if (existsSync(CHECKPOINT)) trainer.restore(readFileSync(CHECKPOINT));
const first = trainer.steps;
const started = performance.now();
const minutes = (): number => (performance.now() - started) / 60_000;
// While one batch is trained on, the next is drawn.
const worker = new Worker(new URL('./draw-worker.ts', import.meta.url), { workerData: { seed, rows: BATCH } });
const draw = (step: number): Promise<unknown[]> => {
  const drawn = once(worker, 'message');
  worker.postMessage(step);
  return drawn;
};
let next = draw(first);
let recent = 0;
for (let step = first; step < steps && minutes() < Number(values.minutes); step++) {
  const batch = (await next)[0] as Batch;
  next = draw(step + 1);
  recent += await trainer.step(batch, scheduledRate(PEAK_RATE, step / steps), WEIGHT_DECAY);
  if ((step + 1) % 100 === 0) {
    const done = `step ${step + 1} of ${steps}, ${minutes().toFixed(1)} min`;
    console.log(`${done}, loss ${(recent / Math.min(100, step + 1 - first)).toFixed(3)}`);
    recent = 0;
  }
}
await worker.terminate();
if (trainer.steps < steps) {
  writeFileSync(CHECKPOINT, trainer.checkpoint());
  console.log(`paused after step ${trainer.steps} of ${steps}; call it again to go on`);
} else {
  const metadata = { classes: CLASSES.join(' '), training: `train.ts --steps ${steps} --seed ${seed}` };
  const model = exportNetwork(network, { input: 'picture', output: 'cells', activation: 'none', metadata });
  writeFileSync(MODEL, model);
  rmSync(CHECKPOINT, { force: true });
  console.log(`model/shapes.onnx: ${model.length} bytes`);
}
await trainer.release();
