// Trains the model of this template and writes model/pumps.onnx and samples/: node train.ts [--seed 1]
// Needs the gpufaas repository around it; under a minute.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { createNetwork, exportNetwork } from '../../../scripts/training/network.ts';
import { oneHot, scheduledRate, Trainer } from '../../../scripts/training/trainer.ts';
import { seededRandom } from '../../../src/random.ts';
import { CLASSES, COLUMNS } from '../columns.ts';
import { drawReading } from './data.ts';

const { values } = parseArgs({ options: { seed: { type: 'string', default: '1' } } });
const seed = Number(values.seed);
const STEPS = 6000;
const BATCH = 128;
const WIDTH = COLUMNS.length;

const random = seededRandom(seed);
const example = Array.from({ length: 5000 }, () => drawReading(random).values);
const mean = COLUMNS.map((_, i) => average(example.map((row) => row[i]!)));
const deviation = COLUMNS.map((_, i) => Math.sqrt(average(example.map((row) => (row[i]! - mean[i]!) ** 2))));

const network = createNetwork(
  [
    { kind: 'dense', from: WIDTH, to: 48 },
    { kind: 'relu' },
    { kind: 'dense', from: 48, to: 48 },
    { kind: 'relu' },
    { kind: 'dense', from: 48, to: CLASSES.length },
  ],
  [WIDTH],
  [CLASSES.length],
  random,
);
const trainer = await Trainer.create(network, { kind: 'softmax' });
let recent = 0;
for (let step = 0; step < STEPS; step++) {
  const readings = Array.from({ length: BATCH }, () => drawReading(random));
  const x = Float32Array.from(
    readings.flatMap((row) => row.values.map((value, i) => (value - mean[i]!) / deviation[i]!)),
  );
  const target = oneHot(
    readings.map(({ label }) => label),
    CLASSES.length,
  );
  recent += await trainer.step({ rows: BATCH, x, target }, scheduledRate(5e-3, step / STEPS), 1e-3);
  if ((step + 1) % 1000 === 0) {
    console.log(`step ${step + 1} of ${STEPS}, loss ${(recent / 1000).toFixed(4)}`);
    recent = 0;
  }
}
await trainer.release();
foldScaling();
const model = exportNetwork(network, {
  input: 'rows',
  output: 'probabilities',
  activation: 'softmax',
  metadata: { columns: COLUMNS.join(' '), classes: CLASSES.join(' '), training: `train.ts --seed ${seed}` },
});
writeFileSync(new URL('../model/pumps.onnx', import.meta.url), model);
console.log(`model/pumps.onnx: ${model.length} bytes`);
writeSamples();

/** Into the first layer goes what was done to the columns, so that the model takes readings as they are. */
function foldScaling(): void {
  const [weight, bias] = [network.parameters[0]!.data, network.parameters[1]!.data];
  for (let row = 0; row < WIDTH; row++) {
    for (let unit = 0; unit < bias.length; unit++) {
      const scaled = weight[row * bias.length + unit]! / deviation[row]!;
      weight[row * bias.length + unit] = scaled;
      bias[unit]! -= mean[row]! * scaled;
    }
  }
}

/** One clear case of each class, and the same as CSV. */
function writeSamples(): void {
  const draw = seededRandom(99);
  const rows = CLASSES.map((_, label) => {
    for (;;) {
      const reading = drawReading(draw);
      if (reading.label === label) return reading.values.map((value) => Number(value.toPrecision(4)));
    }
  });
  const objects = rows.map((row) => Object.fromEntries(COLUMNS.map((column, i) => [column, row[i]])));
  const lines = objects.map((row) => `  ${JSON.stringify(row)}`).join(',\n');
  writeFileSync(new URL('../samples/pumps.json', import.meta.url), `[\n${lines}\n]\n`);
  const csv = [COLUMNS.join(','), ...rows.map((row) => row.join(','))].join('\n');
  writeFileSync(new URL('../samples/pumps.csv', import.meta.url), `${csv}\n`);
}

function average(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
