// Draws samples/: one written digit each, in different inks on different papers: node samples.ts

import sharp from 'sharp';

import { boundsOf, mapShape } from '../../../scripts/training/shapes.ts';
import { seededRandom } from '../../../src/random.ts';
import { penned } from './data.ts';

const NAMES = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
const STYLES = [
  { paper: '#ffffff', ink: '#1b1b1b' },
  { paper: '#f6f1e3', ink: '#1d3c8f' },
  { paper: '#22382c', ink: '#f2f4ee' },
  { paper: '#fff7c9', ink: '#a02020' },
  { paper: '#101010', ink: '#ffd24a' },
];
const HEIGHT = 120;

for (const [digit, name] of NAMES.entries()) {
  const random = seededRandom(40 + digit);
  const shape = penned(digit, random);
  const bounds = boundsOf(shape);
  const scale = HEIGHT / (bounds.bottom - bounds.top);
  const [marginX, marginY] = [40 + random() * 40, 30 + random() * 30];
  const placed = mapShape(shape, (x, y) => [(x - bounds.left) * scale + marginX, (y - bounds.top) * scale + marginY]);
  const width = Math.ceil((bounds.right - bounds.left) * scale + 120);
  const path = placed.map((contour) => `M${contour.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L')}Z`);
  const { paper, ink } = STYLES[digit % STYLES.length]!;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="200"><rect width="100%" height="100%" fill="${paper}"/><path d="${path.join('')}" fill="${ink}"/></svg>`;
  await sharp(Buffer.from(svg))
    .png({ palette: true })
    .toFile(new URL(`../samples/${name}.png`, import.meta.url).pathname);
}
