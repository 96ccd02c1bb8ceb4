// Where there is ink in a picture, and which ink hangs together. Dark on light or light on dark, any colour.

import { distanceFromPaper } from './paper.ts';
import type { Picture } from './paper.ts';

/** Ink from 0 (background) to 1 (the middle of a stroke). */
export interface Ink {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** Edges of a rectangle; right and bottom are exclusive. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Pixels of ink that touch each other. */
export interface Piece {
  readonly box: Box;
  readonly pixels: readonly number[];
}

// Below this difference from the background (of 255) there is nothing to see.
const LEAST_CONTRAST = 20;

/** The ink of a picture, or null if it shows nothing but background. */
export function inkOf(picture: Picture): Ink | null {
  const { width, height } = picture;
  const distance = distanceFromPaper(picture);
  const threshold = otsu(distance);
  if (threshold === null) return null;
  let [sum, count] = [0, 0];
  for (const value of distance) {
    if (value < threshold) continue;
    sum += value;
    count++;
  }
  const full = sum / count;
  const faint = full * 0.2;
  const levels = Float32Array.from({ length: 256 }, (_, value) =>
    Math.min(1, Math.max(0, (value - faint) / (full - faint))),
  );
  const data = new Float32Array(distance.length);
  for (let i = 0; i < data.length; i++) data[i] = levels[distance[i]!]!;
  return { width, height, data };
}

/** The value that best parts background from ink (Otsu's method), or null if there are no two sides. */
function otsu(values: Uint8Array): number | null {
  const histogram = new Float64Array(256);
  for (const value of values) histogram[value]!++;
  let total = 0;
  for (let value = 0; value < 256; value++) total += value * histogram[value]!;
  let [below, sumBelow, best, threshold] = [0, 0, 0, 0];
  for (let value = 0; value < 255; value++) {
    below += histogram[value]!;
    sumBelow += value * histogram[value]!;
    const above = values.length - below;
    if (below === 0 || above === 0) continue;
    const difference = (total - sumBelow) / above - sumBelow / below;
    const spread = below * above * difference ** 2;
    if (spread > best && difference >= LEAST_CONTRAST) [best, threshold] = [spread, value + 1];
  }
  return best === 0 ? null : threshold;
}

/** All pieces of ink, in reading order of their first pixel. */
export function piecesOf({ width, height, data }: Ink): Piece[] {
  const seen = new Uint8Array(data.length);
  const pieces: Piece[] = [];
  for (let start = 0; start < data.length; start++) {
    if (seen[start] === 1 || data[start]! < 0.5) continue;
    seen[start] = 1;
    const pixels = [start];
    let [left, top, right, bottom] = [width, height, 0, 0];
    // The list grows while it is walked.
    for (const pixel of pixels) {
      const x = pixel % width;
      const y = (pixel - x) / width;
      [left, top, right, bottom] = [
        Math.min(left, x),
        Math.min(top, y),
        Math.max(right, x + 1),
        Math.max(bottom, y + 1),
      ];
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          const next = ny * width + nx;
          if (seen[next] === 1 || data[next]! < 0.5) continue;
          seen[next] = 1;
          pixels.push(next);
        }
      }
    }
    pieces.push({ box: { left, top, right, bottom }, pixels });
  }
  return pieces;
}

/** The smallest box around several; null without any. */
export function around(boxes: readonly Box[]): Box | null {
  if (boxes.length === 0) return null;
  return {
    left: Math.min(...boxes.map(({ left }) => left)),
    top: Math.min(...boxes.map(({ top }) => top)),
    right: Math.max(...boxes.map(({ right }) => right)),
    bottom: Math.max(...boxes.map(({ bottom }) => bottom)),
  };
}

/** A part of the ink at another size: `step` source pixels become one. Outside is background. */
export function resample(
  ink: Ink,
  left: number,
  top: number,
  step: number,
  width: number,
  height: number,
): Float32Array {
  const at = (x: number, y: number): number => {
    return x < 0 || y < 0 || x >= ink.width || y >= ink.height ? 0 : ink.data[y * ink.width + x]!;
  };
  const between = (x: number, y: number): number => {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    const [right, low] = [x - column, y - row];
    const upper = at(column, row) * (1 - right) + at(column + 1, row) * right;
    return upper * (1 - low) + (at(column, row + 1) * (1 - right) + at(column + 1, row + 1) * right) * low;
  };
  // Enough samples in each target pixel that no thin stroke falls between them.
  const samples = Math.ceil(step);
  const result = new Float32Array(width * height);
  for (let i = 0; i < result.length; i++) {
    let sum = 0;
    for (let j = 0; j < samples; j++) {
      const y = top + (Math.floor(i / width) + (j + 0.5) / samples) * step - 0.5;
      for (let k = 0; k < samples; k++) sum += between(left + ((i % width) + (k + 0.5) / samples) * step - 0.5, y);
    }
    result[i] = sum / samples ** 2;
  }
  return result;
}
