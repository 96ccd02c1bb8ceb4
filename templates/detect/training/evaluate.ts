// Says how well the model finds what is there, on scenes that training never drew: node evaluate.ts [--scenes 500]
// A box counts if its class is right and it shares at least half with the true one.

import { parseArgs } from 'node:util';

import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';

import { seededRandom } from '../../../src/random.ts';
import { CELL, overlap, readGrid, toPicture } from '../boxes.ts';
import { preparePicture, SIZE } from '../picture.ts';
import { drawScene } from './scenes.ts';

const { values } = parseArgs({
  options: { scenes: { type: 'string', default: '500' }, seed: { type: 'string', default: '1000' } },
});
const random = seededRandom(Number(values.seed));
const session = await InferenceSession.create(new URL('../model/shapes.onnx', import.meta.url).pathname);
let [there, found, right, shared] = [0, 0, 0, 0];
for (let i = 0; i < Number(values.scenes); i++) {
  const [width, height] = [120 + Math.floor(random() * 300), 120 + Math.floor(random() * 200)];
  const scene = drawScene(width, height, random);
  const raw = { width, height, channels: 3 } as const;
  const { input } = (await preparePicture(await sharp(scene.rgb, { raw }).png().toBuffer()))!;
  const { cells } = await session.run({ picture: new Tensor('float32', input, [1, 3, SIZE, SIZE]) });
  const boxes = toPicture(readGrid(cells!.data as Float32Array, SIZE / CELL, SIZE / CELL), SIZE, width, height);
  there += scene.objects.length;
  found += boxes.length;
  const open = new Set(scene.objects);
  for (const { label, box } of boxes) {
    const match = [...open].find((object) => object.label === label && overlap(object.box, box) >= 0.5);
    if (match === undefined) continue;
    open.delete(match);
    right++;
    shared += overlap(match.box, box);
  }
}
const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)}%`;
console.log(`${there} objects in ${values.scenes} scenes`);
console.log(`found ${right}: ${percent(right, there)} of what is there (recall)`);
console.log(`given ${found}: ${percent(right, found)} of them right (precision)`);
console.log(`boxes share ${percent(shared, right)} with the true ones on average`);
