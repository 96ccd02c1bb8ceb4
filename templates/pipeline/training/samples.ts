// Draws samples/: written numbers as they stand on forms: node samples.ts

import sharp from 'sharp';

import { boundsOf, mapShape, strokeShape } from '../../../scripts/training/shapes.ts';
import type { Shape } from '../../../scripts/training/shapes.ts';
import { seededRandom } from '../../../src/random.ts';
import { penned } from '../../digits/training/data.ts';

const SAMPLES = [
  { name: 'account', text: '4711-0815', paper: '#f7f3e8', ink: '#1d3c8f', seed: 7 },
  { name: 'date', text: '24.12.1998', paper: '#ffffff', ink: '#202020', seed: 11 },
] as const;
const HEIGHT = 90;

for (const { name, text, paper, ink, seed } of SAMPLES) {
  const random = seededRandom(seed);
  let x = 40;
  const shapes = Array.from(text, (character): Shape => {
    if (character === '-' || character === '.') {
      const [from, y] = [x, character === '-' ? 30 + HEIGHT * 0.55 : 30 + HEIGHT * 0.97];
      const to = character === '-' ? from + 30 : from + 1;
      x = to + 24;
      return strokeShape(
        [
          [from, y],
          [to, y],
        ],
        () => HEIGHT * 0.07,
      );
    }
    const shape = penned(Number(character), random, 0.07);
    const { left, top, right, bottom } = boundsOf(shape);
    const scale = (HEIGHT * (0.92 + 0.16 * random())) / (bottom - top);
    const start = x;
    const rise = 30 + (random() - 0.5) * 8;
    x += (right - left) * scale + 14 + random() * 12;
    return mapShape(shape, (u, v) => [(u - left) * scale + start, (v - top) * scale + rise]);
  });
  const path = shapes
    .flat()
    .map((contour) => `M${contour.map(([u, v]) => `${u.toFixed(1)} ${v.toFixed(1)}`).join('L')}Z`);
  const background = `<rect width="100%" height="100%" fill="${paper}"/>`;
  const drawing = `<path d="${path.join('')}" fill="${ink}"/>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${Math.ceil(x + 30)}" height="160">${background}${drawing}</svg>`;
  await sharp(Buffer.from(svg))
    .png({ palette: true })
    .toFile(new URL(`../samples/${name}.png`, import.meta.url).pathname);
}
