// Trains the model of this template and writes model/languages.onnx: node train.ts [--seed 1]
// Needs the gpufaas repository around it; about a minute.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { createNetwork, exportNetwork } from '../../../scripts/training/network.ts';
import { oneHot, scheduledRate, Trainer } from '../../../scripts/training/trainer.ts';
import { randomInteger, seededRandom } from '../../../src/random.ts';
import { LANGUAGES } from '../languages.ts';
import { BUCKETS, countRuns } from '../tokenizer.ts';
import { createCorpus } from './corpus.ts';

const { values } = parseArgs({ options: { seed: { type: 'string', default: '1' } } });
const seed = Number(values.seed);
const STEPS = 1500;
const BATCH = 64;

const random = seededRandom(seed);
const draw = createCorpus('learn');
// One layer: with inputs this telling, more would only learn the pieces by heart.
const network = createNetwork(
  [{ kind: 'dense', from: BUCKETS, to: LANGUAGES.length }],
  [BUCKETS],
  [LANGUAGES.length],
  random,
);
network.parameters[0]!.data.fill(0);
const trainer = await Trainer.create(network, { kind: 'softmax' });
let recent = 0;
for (let step = 0; step < STEPS; step++) {
  const labels = Array.from({ length: BATCH }, () => randomInteger(random, LANGUAGES.length));
  const x = new Float32Array(BATCH * BUCKETS);
  labels.forEach((label, row) => x.set(countRuns(draw(label, random))!, row * BUCKETS));
  const target = oneHot(labels, LANGUAGES.length);
  recent += await trainer.step({ rows: BATCH, x, target }, scheduledRate(0.05, step / STEPS), 0.02);
  if ((step + 1) % 250 === 0) {
    console.log(`step ${step + 1} of ${STEPS}, loss ${(recent / 250).toFixed(4)}`);
    recent = 0;
  }
}
await trainer.release();
const codes = LANGUAGES.map(({ code }) => code).join(' ');
const model = exportNetwork(network, {
  input: 'runs',
  output: 'probabilities',
  activation: 'softmax',
  metadata: { classes: codes, training: `train.ts --seed ${seed}` },
});
writeFileSync(new URL('../model/languages.onnx', import.meta.url), model);
console.log(`model/languages.onnx: ${model.length} bytes`);
