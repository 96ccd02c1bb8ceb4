// Trains the model of this template and writes model/shapes.onnx, first classes, then places:
//   node train.ts --steps 1800 --seed 1 --place 2 && node train.ts --resume --steps 1200 --seed 2 --place 4
// Needs the gpufaas repository around it; about 15 minutes on two free cores.

import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

import { createNetwork, exportNetwork, importParameters } from '../../../scripts/training/network.ts';
import type { Layer } from '../../../scripts/training/network.ts';
import { scheduledRate, Trainer } from '../../../scripts/training/trainer.ts';
import type { Batch } from '../../../scripts/training/trainer.ts';
import { seededRandom } from '../../../src/random.ts';
import { CELL, CHANNELS, CLASSES } from '../boxes.ts';
import { SIZE } from '../picture.ts';

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '1800' },
    seed: { type: 'string', default: '1' },
    place: { type: 'string', default: '4' },
    resume: { type: 'boolean', default: false },
  },
});
const steps = Number(values.steps);
const seed = Number(values.seed);

const MODEL = new URL('../model/shapes.onnx', import.meta.url);
const BATCH = 16;
const GRID = SIZE / CELL;

const LAYERS: readonly Layer[] = [
  { kind: 'conv', from: 3, to: 12, size: 3 },
  { kind: 'relu' },
  { kind: 'pool' },
  { kind: 'conv', from: 12, to: 24, size: 3 },
  { kind: 'relu' },
  { kind: 'pool' },
  { kind: 'conv', from: 24, to: 32, size: 3 },
  { kind: 'relu' },
  { kind: 'pool' },
  { kind: 'conv', from: 32, to: 48, size: 3 },
  { kind: 'relu' },
  { kind: 'conv', from: 48, to: 48, size: 3 },
  { kind: 'relu' },
  { kind: 'conv', from: 48, to: 48, size: 3 },
  { kind: 'relu' },
  { kind: 'conv', from: 48, to: CHANNELS, size: 1 },
];

const random = seededRandom(seed);
const network = createNetwork(LAYERS, [3, SIZE, SIZE], [CHANNELS, GRID, GRID], random);
// Most cells are empty: start from there.
network.parameters.at(-1)!.data[0] = -3;
if (values.resume) importParameters(network, readFileSync(MODEL));
const trainer = await Trainer.create(network, { kind: 'mixed', linear: [3, 4] }, 2);
const started = performance.now();
// While one batch is trained on, the next is drawn.
const worker = new Worker(new URL('./draw-worker.ts', import.meta.url), {
  workerData: { seed, rows: BATCH, placeWeight: Number(values.place) },
});
let next = once(worker, 'message');
worker.postMessage('next');
let recent = 0;
for (let step = 0; step < steps; step++) {
  const batch = (await next)[0] as Batch;
  next = once(worker, 'message');
  worker.postMessage('next');
  recent += await trainer.step(batch, scheduledRate(3e-3, step / steps), 0.01);
  if ((step + 1) % 100 === 0) {
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`step ${step + 1} of ${steps}, loss ${(recent / 100).toFixed(3)}, ${seconds} s`);
    recent = 0;
  }
}
await worker.terminate();
await trainer.release();
const command = `train.ts --steps ${steps} --seed ${seed} --place ${values.place}${values.resume ? ' --resume' : ''}`;
const metadata = { classes: CLASSES.join(' '), training: command };
const model = exportNetwork(network, { input: 'picture', output: 'cells', activation: 'none', metadata });
writeFileSync(MODEL, model);
console.log(`model/shapes.onnx: ${model.length} bytes`);
