// Trains the model of this template and writes model/shapes.onnx: node train.ts
// Needs the gpufaas repository around it; about 25 minutes. `--minutes 4` stops after that time and keeps a checkpoint beside
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
  options: { seed: { type: 'string', default: '1' }, minutes: { type: 'string', default: 'Infinity' } },
});
const seed = Number(values.seed);

/** First what there is, then where exactly: a fresh optimiser each, and scenes that no earlier step saw. */
const PHASES = [
  { steps: 9000, peakRate: 2.5e-3, placeWeight: 4 },
  { steps: 2600, peakRate: 1e-3, placeWeight: 24 },
] as const;
const WEIGHT_DECAY = 0.01;

const MODEL = new URL('../model/shapes.onnx', import.meta.url);
const checkpointOf = (phase: number): URL => new URL(`./checkpoint-${phase}.bin`, import.meta.url);
const BATCH = 16;
const GRID = SIZE / CELL;

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
const started = performance.now();
const minutes = (): number => (performance.now() - started) / 60_000;
const worker = new Worker(new URL('./draw-worker.ts', import.meta.url), { workerData: { seed, rows: BATCH } });
const begun = PHASES.findLastIndex((_, phase) => existsSync(checkpointOf(phase)));
let isDone = true;
for (let phase = Math.max(0, begun); isDone && phase < PHASES.length; phase++) isDone = await train(phase);
await worker.terminate();
if (isDone) {
  const metadata = { classes: CLASSES.join(' '), training: `train.ts --seed ${seed}` };
  const model = exportNetwork(network, { input: 'picture', output: 'cells', activation: 'none', metadata });
  writeFileSync(MODEL, model);
  PHASES.forEach((_, phase) => rmSync(checkpointOf(phase), { force: true }));
  console.log(`model/shapes.onnx: ${model.length} bytes`);
} else {
  console.log('paused; call it again to go on');
}

/** Trains from the phase's checkpoint, if there is one, to its end; false if the time was up before. */
async function train(phase: number): Promise<boolean> {
  const { steps, peakRate, placeWeight } = PHASES[phase]!;
  const trainer = await Trainer.create(network, { kind: 'mixed', linear: [1, 2, 3, 4] });
  if (existsSync(checkpointOf(phase))) trainer.restore(readFileSync(checkpointOf(phase)));
  const before = PHASES.slice(0, phase).reduce((sum, earlier) => sum + earlier.steps, 0);
  // While one batch is trained on, the next is drawn.
  const draw = (step: number): Promise<unknown[]> => {
    const drawn = once(worker, 'message');
    worker.postMessage({ step: before + step, placeWeight });
    return drawn;
  };
  let next = draw(trainer.steps);
  let [recent, counted] = [0, 0];
  while (trainer.steps < steps && minutes() < Number(values.minutes)) {
    const batch = (await next)[0] as Batch;
    next = draw(trainer.steps + 1);
    recent += await trainer.step(batch, scheduledRate(peakRate, trainer.steps / steps), WEIGHT_DECAY);
    counted++;
    if (trainer.steps % 100 !== 0) continue;
    const done = `phase ${phase + 1}, step ${trainer.steps} of ${steps}, ${minutes().toFixed(1)} min`;
    console.log(`${done}, loss ${(recent / counted).toFixed(3)}`);
    [recent, counted] = [0, 0];
  }
  await next;
  writeFileSync(checkpointOf(phase), trainer.checkpoint());
  await trainer.release();
  return trainer.steps === steps;
}
