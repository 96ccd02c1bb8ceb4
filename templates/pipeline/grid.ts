// From the finder's grid to boxes. Each cell answers for digits whose middle lies in it.

import type { Box } from './ink.ts';

/** Pixels of the finder's input to a cell. */
export const CELL = 4;

/** Channels of a cell: is there a digit; its middle within the cell; its width and height as logarithms. */
export const CHANNELS = 5;

/** The width and height that count as 0 in the size channels, in pixels of the finder's input. */
export const USUAL_SIZE = [13, 21] as const;

// Two boxes that share more than this are one digit seen by two cells.
const SAME_DIGIT = 0.4;

/** Digits in a grid, in pixels of the finder's input, from left to right, none twice. */
export function readGrid(cells: Float32Array, columns: number, rows: number, leastScore = 0.5): Box[] {
  const found: { score: number; box: Box }[] = [];
  const plane = columns * rows;
  for (let cell = 0; cell < plane; cell++) {
    const at = (channel: number): number => cells[channel * plane + cell]!;
    const score = sigmoid(at(0));
    if (score < leastScore) continue;
    const [width, height] = [USUAL_SIZE[0] * Math.exp(clamp(at(3))), USUAL_SIZE[1] * Math.exp(clamp(at(4)))];
    const x = ((cell % columns) + sigmoid(at(1))) * CELL;
    const y = (Math.floor(cell / columns) + sigmoid(at(2))) * CELL;
    found.push({
      score,
      box: { left: x - width / 2, top: y - height / 2, right: x + width / 2, bottom: y + height / 2 },
    });
  }
  const kept: Box[] = [];
  for (const { box } of found.sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => overlap(other, box) < SAME_DIGIT)) kept.push(box);
  }
  return kept.sort((a, b) => a.left + a.right - b.left - b.right);
}

/** How much two boxes share: area in common over area in all. */
export function overlap(a: Box, b: Box): number {
  const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (wide <= 0 || high <= 0) return 0;
  const area = (box: Box): number => (box.right - box.left) * (box.bottom - box.top);
  return (wide * high) / (area(a) + area(b) - wide * high);
}

function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

function clamp(logarithm: number): number {
  return Math.min(2, Math.max(-2, logarithm));
}
