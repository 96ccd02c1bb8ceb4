// Says how well the model finds what is there: node evaluate.ts [--scenes 1000] [--seed 1000] [--misses misses.png]
// The scenes are of colours, tables and picture sizes that training never drew, sent as JPEG files of any quality. A box counts if
// its class is right and it shares at least half with the true one. `--misses` draws the first scenes with a mistake.

import { parseArgs } from 'node:util';

import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';

import { randomInteger, seededRandom } from '../../../src/random.ts';
import { CELL, CLASSES, overlap, readGrid, toPicture } from '../boxes.ts';
import type { Found } from '../boxes.ts';
import { drawBoxes } from '../draw.ts';
import { preparePicture, SIZE } from '../picture.ts';
import type { Prepared } from '../picture.ts';
import { drawScene } from './scenes.ts';
import type { Scene } from './scenes.ts';

const { values } = parseArgs({
  options: {
    scenes: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1000' },
    misses: { type: 'string' },
  },
});

/** Objects there, boxes given, how many of those are right, and the sum of what the right ones share with the truth. */
interface Tally {
  there: number;
  given: number;
  right: number;
  shared: number;
}

const session = await InferenceSession.create(new URL('../model/shapes.onnx', import.meta.url).pathname, {
  intraOpNumThreads: 1,
});
const random = seededRandom(Number(values.seed));
const tallies = new Map<string, Tally>();
const runsMs: number[] = [];
const mistakes: Buffer[] = [];
for (let i = 0; i < Number(values.scenes); i++) {
  const scene = drawScene(160 + randomInteger(random, 480), 160 + randomInteger(random, 320), random, 'held-out');
  const jpeg = await sharp(scene.rgb, { raw: { width: scene.width, height: scene.height, channels: 3 } })
    .jpeg({ quality: 60 + randomInteger(random, 36) })
    .toBuffer();
  const { input, width, height } = (await preparePicture(jpeg)) as Prepared;
  const started = performance.now();
  const { cells } = await session.run({ picture: new Tensor('float32', input, [1, 3, SIZE, SIZE]) });
  runsMs.push(performance.now() - started);
  const boxes = toPicture(readGrid(cells!.data as Float32Array, SIZE / CELL, SIZE / CELL), SIZE, width, height);
  const isRight = count(scene, boxes);
  if (!isRight && values.misses !== undefined && mistakes.length < 20) mistakes.push(await drawn(jpeg, scene, boxes));
}

/** Adds a scene to the tallies; true if everything was found and nothing else. */
function count(scene: Scene, boxes: readonly Found[]): boolean {
  const side = Math.max(scene.width, scene.height);
  const open = new Set(scene.objects);
  let right = 0;
  for (const { box } of scene.objects) {
    for (const name of ['all', sizeOf(box, side)]) tally(name).there++;
  }
  for (const object of scene.objects) tally(object.label).there++;
  for (const { label, box } of boxes) {
    const match = [...open].find((object) => object.label === label && overlap(object.box, box) >= 0.5);
    for (const name of ['all', label, sizeOf(match?.box ?? box, side)]) {
      const its = tally(name);
      its.given++;
      if (match === undefined) continue;
      its.right++;
      its.shared += overlap(match.box, box);
    }
    if (match === undefined) continue;
    open.delete(match);
    right++;
  }
  return open.size === 0 && right === boxes.length;
}

function tally(name: string): Tally {
  const known = tallies.get(name) ?? { there: 0, given: 0, right: 0, shared: 0 };
  tallies.set(name, known);
  return known;
}

function sizeOf([, , width, height]: Found['box'], side: number): string {
  const size = Math.max(width, height) / side;
  return size < 0.15 ? 'small' : size < 0.25 ? 'medium' : 'large';
}

/** What was given, beside what is there. */
async function drawn(jpeg: Buffer, { width, height, objects }: Scene, boxes: readonly Found[]): Promise<Buffer> {
  const truth = objects.map((object) => ({ ...object, score: 1 }));
  const sides = [boxes, truth].map((found, i) => ({
    input: Buffer.from(drawBoxes(found, width, height)),
    left: i * width,
    top: 0,
  }));
  const pair = await sharp(jpeg)
    .extend({ right: width, extendWith: 'repeat' })
    .composite([{ input: jpeg, left: width, top: 0 }, ...sides])
    .png()
    .toBuffer();
  return sharp(pair).resize(480, 200, { fit: 'contain' }).png().toBuffer();
}

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)}%`.padStart(10);
console.log(`${values.scenes} scenes   there    recall precision  boxes share`);
for (const name of ['all', 'small', 'medium', 'large', ...CLASSES]) {
  const { there, given, right, shared } = tally(name);
  const shares = [percent(right, there), percent(right, given), percent(shared, right)].join('');
  console.log(`${name.padEnd(10)}${String(there).padStart(10)}${shares}`);
}
const middle = runsMs.sort((a, b) => a - b)[Math.floor(runsMs.length / 2)]!;
console.log(`a run of the model takes ${middle.toFixed(1)} ms on one core (median)`);
if (values.misses !== undefined) {
  await sharp({ create: { width: 1920, height: 1000, channels: 3, background: '#fff' } })
    .composite(mistakes.map((input, i) => ({ input, left: (i % 4) * 480, top: Math.floor(i / 4) * 200 })))
    .png()
    .toFile(values.misses);
}
