// The answer as a drawing.

import type { Found } from './boxes.ts';

const COLOURS: Readonly<Record<Found['label'], string>> = {
  circle: '#e6007a',
  square: '#0057ff',
  triangle: '#009e3d',
  star: '#ff7a00',
};

/** An SVG of the boxes alone, of the picture's size, to lay over it. */
export function drawBoxes(found: readonly Found[], width: number, height: number): string {
  const line = Math.max(1, Math.max(width, height) / 200);
  const letters = Math.max(8, line * 6);
  const parts = found.map(({ label, score, box: [x, y, w, h] }) => {
    const colour = COLOURS[label];
    const frame = `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="none" stroke="${colour}" stroke-width="${line}"/>`;
    const name = `${label} ${Math.round(score * 100)}%`;
    const baseline = y > letters * 1.3 ? y - letters * 0.35 : y + h + letters;
    const style = `font-family="sans-serif" font-size="${letters}" font-weight="bold" fill="${colour}"`;
    const halo = `stroke="white" stroke-width="${line}" paint-order="stroke"`;
    return `${frame}<text x="${x}" y="${baseline}" ${style} ${halo}>${name}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${parts.join('')}</svg>`;
}
