// Says how often the model is right on readings that training never drew: node evaluate.ts [--rows 20000] [--seed 1000]

import { parseArgs } from 'node:util';

import { InferenceSession, Tensor } from 'onnxruntime-node';

import { seededRandom } from '../../../src/random.ts';
import { CLASSES, COLUMNS } from '../columns.ts';
import { drawReading } from './data.ts';

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '20000' }, seed: { type: 'string', default: '1000' } },
});
const random = seededRandom(Number(values.seed));
const readings = Array.from({ length: Number(values.rows) }, () => drawReading(random));
const session = await InferenceSession.create(new URL('../model/pumps.onnx', import.meta.url).pathname);
const input = Float32Array.from(readings.flatMap((row) => row.values));
const { probabilities } = await session.run({ rows: new Tensor('float32', input, [readings.length, COLUMNS.length]) });
const chances = probabilities!.data as Float32Array;

// counts[truth][answer]
const counts = CLASSES.map(() => CLASSES.map(() => 0));
readings.forEach(({ label }, row) => {
  const own = chances.subarray(row * CLASSES.length, (row + 1) * CLASSES.length);
  counts[label]![own.indexOf(Math.max(...own))]!++;
});
console.log(`${'is \\ said'.padEnd(12)}${CLASSES.map((name) => name.padStart(12)).join('')}`);
counts.forEach((row, label) => {
  console.log(`${CLASSES[label]!.padEnd(12)}${row.map((count) => String(count).padStart(12)).join('')}`);
});
const right = counts.reduce((sum, row, label) => sum + row[label]!, 0);
console.log(`${right} of ${readings.length} right, ${((100 * right) / readings.length).toFixed(2)}%`);
