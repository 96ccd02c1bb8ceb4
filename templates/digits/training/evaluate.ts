// Says how often the model is right on pictures in fonts that training never saw: node evaluate.ts [--looks 3]
// The same pictures as in the repository's own test.

import { parseArgs } from 'node:util';

import { InferenceSession, Tensor } from 'onnxruntime-node';

import { heldOutDigitImages } from '../../../test/helpers/digit-images.ts';
import { findDigit, SIZE } from '../digit.ts';
import { decodePicture } from '../image.ts';

const { values } = parseArgs({ options: { looks: { type: 'string', default: '3' } } });

const session = await InferenceSession.create(new URL('../model/digits.onnx', import.meta.url).pathname);
const families = new Map<string, { right: number; all: number; wrong: string[] }>();
for (const { label, family, font, look, png } of await heldOutDigitImages(Number(values.looks))) {
  const tally = families.get(family) ?? { right: 0, all: 0, wrong: [] };
  families.set(family, tally);
  const picture = await decodePicture(png);
  const input = typeof picture === 'string' ? null : findDigit(picture);
  const answer = input === null ? 'nothing' : await read(input);
  tally.all++;
  if (answer === label) tally.right++;
  else tally.wrong.push(`${font} ${look}: ${label} read as ${answer}`);
}
let right = 0;
let all = 0;
for (const [family, tally] of families) {
  right += tally.right;
  all += tally.all;
  console.log(`${family.padEnd(20)} ${tally.right} of ${tally.all}`);
  for (const line of tally.wrong) console.log(`    ${line}`);
}
console.log(`${right} of ${all} right, ${((100 * right) / all).toFixed(2)}%`);

async function read(input: Float32Array): Promise<number> {
  const { logits } = await session.run({ input: new Tensor('float32', input, [1, 1, SIZE, SIZE]) });
  const scores = logits!.data as Float32Array;
  return scores.indexOf(Math.max(...scores));
}
