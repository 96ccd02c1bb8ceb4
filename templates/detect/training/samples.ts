// Draws samples/: scenes of a kind that training never drew: node samples.ts

import sharp from 'sharp';

import { seededRandom } from '../../../src/random.ts';
import { drawScene } from './scenes.ts';

for (const [name, width, height, seed] of [
  ['table', 480, 360, 4304],
  ['tall', 300, 420, 4312],
] as const) {
  const { rgb } = drawScene(width, height, seededRandom(seed), 'held-out');
  const path = new URL(`../samples/${name}.jpg`, import.meta.url).pathname;
  await sharp(rgb, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 88 })
    .toFile(path);
}
