// Finds the one digit in a picture and makes of it what the model reads: 28 x 28, ink 1 on 0, as large as fits, centred.
// Knows nothing of files: pixels in, numbers out. Dark on light or light on dark, any colour, any place, any size.

import { distanceFromPaper } from './paper.ts';
import type { Picture } from './paper.ts';

/** Width and height of the model's input. */
export const SIZE = 28;

// The digit's longer side; the rest is margin.
const DIGIT_SIZE = 22;
// Below this difference from the background (of 255) there is nothing to see.
const LEAST_CONTRAST = 20;
// A piece smaller than this part of the largest is dirt, not a stroke.
const LEAST_PIECE = 0.04;

/** The model's input for a picture, or null if the picture shows nothing but background. */
export function findDigit(picture: Picture): Float32Array | null {
  const ink = distanceFromPaper(picture);
  const threshold = otsu(ink);
  if (threshold === null) return null;
  const box = boxOfPieces(ink, picture.width, picture.height, threshold);
  return box && scaled(ink, picture.width, picture.height, box, threshold);
}

/** The ink that best parts background from digit (Otsu's method), or null if there are no two sides. */
function otsu(ink: Uint8Array): number | null {
  const histogram = new Float64Array(256);
  for (const value of ink) histogram[value]!++;
  let total = 0;
  for (let value = 0; value < 256; value++) total += value * histogram[value]!;
  let [below, sumBelow, best, threshold] = [0, 0, 0, 0];
  for (let value = 0; value < 255; value++) {
    below += histogram[value]!;
    sumBelow += value * histogram[value]!;
    const above = ink.length - below;
    if (below === 0 || above === 0) continue;
    const difference = (total - sumBelow) / above - sumBelow / below;
    const spread = below * above * difference ** 2;
    if (spread > best && difference >= LEAST_CONTRAST) [best, threshold] = [spread, value + 1];
  }
  return best === 0 ? null : threshold;
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** The box around all connected pieces of ink that are no dirt; right and bottom are exclusive. */
function boxOfPieces(ink: Uint8Array, width: number, height: number, threshold: number): Box | null {
  const seen = new Uint8Array(ink.length);
  const pieces: { area: number; box: Box }[] = [];
  const stack: number[] = [];
  const visit = (pixel: number): void => {
    if (seen[pixel] === 1 || ink[pixel]! < threshold) return;
    seen[pixel] = 1;
    stack.push(pixel);
  };
  for (let start = 0; start < ink.length; start++) {
    visit(start);
    if (stack.length === 0) continue;
    const box: Box = { left: width, top: height, right: 0, bottom: 0 };
    let area = 0;
    for (let pixel = stack.pop(); pixel !== undefined; pixel = stack.pop()) {
      area++;
      const x = pixel % width;
      const y = (pixel - x) / width;
      grow(box, { left: x, top: y, right: x + 1, bottom: y + 1 });
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) visit(ny * width + nx);
      }
    }
    pieces.push({ area, box });
  }
  const largest = pieces.reduce((most, { area }) => Math.max(most, area), 0);
  const whole: Box = { left: width, top: height, right: 0, bottom: 0 };
  for (const { area, box } of pieces) if (area >= largest * LEAST_PIECE) grow(whole, box);
  return largest === 0 ? null : whole;
}

function grow(box: Box, by: Box): void {
  box.left = Math.min(box.left, by.left);
  box.top = Math.min(box.top, by.top);
  box.right = Math.max(box.right, by.right);
  box.bottom = Math.max(box.bottom, by.bottom);
}

/** The box scaled to the model's input, ink from 0 to 1 whatever the contrast was. */
function scaled(ink: Uint8Array, width: number, height: number, box: Box, threshold: number): Float32Array {
  const full = fullInk(ink, threshold);
  const faint = full * 0.2;
  const at = (x: number, y: number): number => {
    if (x < 0 || y < 0 || x >= width || y >= height) return 0;
    return Math.min(1, Math.max(0, (ink[y * width + x]! - faint) / (full - faint)));
  };
  const between = (x: number, y: number): number => {
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [right, low] = [x - left, y - top];
    const upper = at(left, top) * (1 - right) + at(left + 1, top) * right;
    return upper * (1 - low) + (at(left, top + 1) * (1 - right) + at(left + 1, top + 1) * right) * low;
  };
  const step = Math.max(box.right - box.left, box.bottom - box.top) / DIGIT_SIZE;
  const left = (box.left + box.right - step * SIZE) / 2;
  const top = (box.top + box.bottom - step * SIZE) / 2;
  // Enough samples in each target pixel that no thin stroke falls between them.
  const samples = Math.ceil(step);
  const result = new Float32Array(SIZE * SIZE);
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      let sum = 0;
      for (let j = 0; j < samples; j++) {
        const sourceY = top + (y + (j + 0.5) / samples) * step - 0.5;
        for (let i = 0; i < samples; i++) sum += between(left + (x + (i + 0.5) / samples) * step - 0.5, sourceY);
      }
      result[y * SIZE + x] = sum / samples ** 2;
    }
  }
  return result;
}

/** The ink of a stroke's middle: the mean of what lies above the threshold. */
function fullInk(ink: Uint8Array, threshold: number): number {
  let [sum, count] = [0, 0];
  for (const value of ink) {
    if (value < threshold) continue;
    sum += value;
    count++;
  }
  return sum / count;
}
