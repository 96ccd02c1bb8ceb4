// Trains the model that finds digits and writes model/finder.onnx: node train.ts [--steps 1800] [--seed 1]
// Needs the gpufaas repository around it, and the fonts of templates/digits/training (npm install there). About 15 minutes.
// The model that reads is the one of the template digits.

import { copyFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { createNetwork, exportNetwork } from '../../../scripts/training/network.ts';
import type { Layer } from '../../../scripts/training/network.ts';
import { scheduledRate, Trainer } from '../../../scripts/training/trainer.ts';
import { randomInteger, seededRandom } from '../../../src/random.ts';
import { loadTrainingFamilies } from '../../digits/training/data.ts';
import { CELL, CHANNELS, USUAL_SIZE } from '../grid.ts';
import { inkOf } from '../ink.ts';
import type { Box } from '../ink.ts';
import { fitLine, LINE_HEIGHT } from '../line.ts';
import { drawLine } from './lines.ts';

const { values } = parseArgs({
  options: { steps: { type: 'string', default: '1800' }, seed: { type: 'string', default: '1' } },
});
const steps = Number(values.steps);
const seed = Number(values.seed);

const BATCH = 16;
const WIDTH = 160;
const [COLUMNS, ROWS] = [WIDTH / CELL, LINE_HEIGHT / CELL];
const OBJECT_WEIGHT = 4;
const PLACE_WEIGHT = 2;

const LAYERS: readonly Layer[] = [
  { kind: 'conv', from: 1, to: 12, size: 3 },
  { kind: 'relu' },
  { kind: 'pool' },
  { kind: 'conv', from: 12, to: 24, size: 3 },
  { kind: 'relu' },
  { kind: 'pool' },
  { kind: 'conv', from: 24, to: 40, size: 3 },
  { kind: 'relu' },
  { kind: 'conv', from: 40, to: 40, size: 3 },
  { kind: 'relu' },
  { kind: 'conv', from: 40, to: 40, size: 3 },
  { kind: 'relu' },
  { kind: 'conv', from: 40, to: 40, size: 3 },
  { kind: 'relu' },
  { kind: 'conv', from: 40, to: CHANNELS, size: 1 },
];

const random = seededRandom(seed);
const families = loadTrainingFamilies();
const network = createNetwork(LAYERS, [1, LINE_HEIGHT, WIDTH], [CHANNELS, ROWS, COLUMNS], random);
// Most cells are empty: start from there.
network.parameters.at(-1)!.data[0] = -4;
const trainer = await Trainer.create(network, { kind: 'mixed', linear: [3, 4] });
const started = performance.now();
let recent = 0;
for (let step = 0; step < steps; step++) {
  const x = new Float32Array(BATCH * LINE_HEIGHT * WIDTH);
  const target = new Float32Array(BATCH * CHANNELS * ROWS * COLUMNS);
  const weight = new Float32Array(target.length);
  for (let row = 0; row < BATCH; row++) {
    const part = [row * CHANNELS * ROWS * COLUMNS, (row + 1) * CHANNELS * ROWS * COLUMNS] as const;
    const input = x.subarray(row * LINE_HEIGHT * WIDTH, (row + 1) * LINE_HEIGHT * WIDTH);
    fill(input, target.subarray(...part), weight.subarray(...part));
  }
  recent += await trainer.step({ rows: BATCH, x, target, weight }, scheduledRate(3e-3, step / steps), 0.01);
  if ((step + 1) % 100 === 0) {
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`step ${step + 1} of ${steps}, loss ${(recent / 100).toFixed(3)}, ${seconds} s`);
    recent = 0;
  }
}
await trainer.release();
const model = exportNetwork(network, {
  input: 'line',
  output: 'cells',
  activation: 'none',
  metadata: { training: `train.ts --steps ${steps} --seed ${seed}` },
  inputRow: [1, LINE_HEIGHT, 'width'],
  outputRow: [CHANNELS, ROWS, 'columns'],
});
writeFileSync(new URL('../model/finder.onnx', import.meta.url), model);
copyFileSync(
  new URL('../../digits/model/digits.onnx', import.meta.url),
  new URL('../model/digits.onnx', import.meta.url),
);
console.log(`model/finder.onnx: ${model.length} bytes`);

/** One example: a window of a random line, and what each cell should say of it. */
function fill(x: Float32Array, target: Float32Array, weight: Float32Array): void {
  for (;;) {
    const drawn = drawLine(families, 9, random);
    const ink = inkOf(drawn.picture);
    const line = ink && fitLine(ink);
    if (line === null) continue;
    const from = randomInteger(random, Math.max(1, (line.width - WIDTH) / CELL + 1)) * CELL;
    for (let y = 0; y < LINE_HEIGHT; y++) {
      const row = line.input.subarray(y * line.width + from, y * line.width + Math.min(line.width, from + WIDTH));
      x.set(row, y * WIDTH);
    }
    weight.fill(1, 0, ROWS * COLUMNS);
    for (const box of drawn.boxes) aim(line.toInput(box), from, target, weight);
    return;
  }
}

function aim(box: Box, from: number, target: Float32Array, weight: Float32Array): void {
  const plane = ROWS * COLUMNS;
  const [x, y] = [((box.left + box.right) / 2 - from) / CELL, (box.top + box.bottom) / 2 / CELL];
  if (x < 0 || y < 0 || x >= COLUMNS || y >= ROWS) return;
  const cell = Math.floor(y) * COLUMNS + Math.floor(x);
  // What the window cuts in half is neither there nor not there.
  const cut = box.left < from || box.right > from + WIDTH;
  const set = (channel: number, value: number, counts: number): void => {
    target[channel * plane + cell] = value;
    weight[channel * plane + cell] = cut ? 0 : counts;
  };
  set(0, 1, OBJECT_WEIGHT);
  set(1, x - Math.floor(x), PLACE_WEIGHT);
  set(2, y - Math.floor(y), PLACE_WEIGHT);
  set(3, Math.log((box.right - box.left) / USUAL_SIZE[0]), PLACE_WEIGHT);
  set(4, Math.log((box.bottom - box.top) / USUAL_SIZE[1]), PLACE_WEIGHT);
}
