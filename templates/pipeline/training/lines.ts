// Makes pictures of lines of digits, in fonts and by pen, with marks between them that are none, and where each digit stands.

import type { DigitFont } from '../../../scripts/training/glyphs.ts';
import { boundsOf, createCanvas, distort, mapShape, paint, strokeShape } from '../../../scripts/training/shapes.ts';
import type { Shape } from '../../../scripts/training/shapes.ts';
import { randomInteger, randomNormal } from '../../../src/random.ts';
import type { Random } from '../../../src/random.ts';
import { penned, penWidth, soil } from '../../digits/training/data.ts';
import type { Box } from '../ink.ts';
import type { Picture } from '../paper.ts';

/** A picture of a line and what stands in it, from left to right. */
export interface DrawnLine {
  readonly picture: Picture;
  readonly text: string;
  readonly boxes: readonly Box[];
}

/** A random line of up to `most` digits. */
export function drawLine(fonts: readonly (readonly DigitFont[])[], most: number, random: Random): DrawnLine {
  const digits = Array.from({ length: 1 + randomInteger(random, most) }, () => randomInteger(random, 10));
  const glyphs = random() < 0.3 ? penGlyphs(digits, random) : fontGlyphs(digits, fonts, random);
  const height = 14 + random() ** 2 * 30;
  const tight = random() < 0.2;
  const spacing = tight ? 0 : random() * 0.35;
  const slope = randomNormal(random) * 0.015;
  const margin = height * (0.2 + random() * 0.8);
  const shapes: Shape[] = [];
  const marks: Shape[] = [];
  let x = margin;
  for (const glyph of glyphs) {
    const bounds = boundsOf(glyph);
    const rise = slope * (x - margin) + (random() < 0.3 ? randomNormal(random) * 0.03 * height : 0);
    shapes.push(mapShape(glyph, (u, v) => [(u - bounds.left) * height + x, (v + 1) * height + margin + rise]));
    x += (bounds.right - bounds.left) * height + height * (0.08 + spacing * (0.7 + 0.6 * random()));
    if (tight) x -= height * 0.06;
    if (random() < 0.12) {
      const mark = drawMark(x, margin + rise, height, random);
      marks.push(mark.shape);
      x += mark.width;
    } else if (random() < 0.1) x += height * 0.5;
  }
  const whole = boundsOf(shapes.flat());
  const width = Math.ceil(x + margin);
  const canvas = createCanvas(width, Math.ceil(Math.max(whole.bottom, margin + height) + margin));
  if (random() < 0.12) {
    const y = margin + height * (1.25 + 0.2 * random());
    marks.push(
      strokeShape(
        [
          [0, y],
          [width, y + slope * width],
        ],
        () => Math.max(1, height * 0.03),
      ),
    );
  }
  for (const shape of [...shapes, ...marks]) paint(canvas, shape);
  return { picture: soil(canvas, random), text: digits.join(''), boxes: shapes.map(boundsOf) };
}

/** Digits 1 high whose baseline is 0. */
function fontGlyphs(digits: readonly number[], fonts: readonly (readonly DigitFont[])[], random: Random): Shape[] {
  const family = fonts[randomInteger(random, fonts.length)]!;
  const font = family[randomInteger(random, family.length)]!;
  const { top } = boundsOf(font.digits[8]!);
  const strength = random() < 0.5 ? 0 : 0.5;
  return digits.map((digit) => {
    const shape = font.digits[digit]!;
    if (strength === 0) return mapShape(shape, (x, y) => [x / -top, y / -top]);
    const { left, right, top: own, bottom } = boundsOf(shape);
    // Bending moves the shape to its middle; it goes back to where it stood.
    const bent = distort(shape, { rotation: strength, shear: 0, stretch: 0, wobble: strength }, random);
    return mapShape(bent, (x, y) => [(x + (left + right) / 2) / -top, (y + (own + bottom) / 2) / -top]);
  });
}

function penGlyphs(digits: readonly number[], random: Random): Shape[] {
  const width = penWidth(random);
  return digits.map((digit) => {
    const shape = penned(digit, random, width);
    const { top, bottom } = boundsOf(shape);
    const size = 1 + randomNormal(random) * 0.08;
    return mapShape(shape, (x, y) => [(x / (bottom - top)) * size, ((y - bottom) / (bottom - top)) * size]);
  });
}

/** What stands between digits and is none: a dash, a dot, a slash, a comma. */
function drawMark(x: number, top: number, height: number, random: Random): { shape: Shape; width: number } {
  const thick = height * (0.06 + 0.08 * random());
  const kind = randomInteger(random, 4);
  const at = (u: number, v: number): [number, number] => [x + u * height, top + v * height];
  if (kind === 0) return { shape: strokeShape([at(0.05, 0.6), at(0.35, 0.6)], () => thick), width: height * 0.5 };
  if (kind === 1)
    return { shape: strokeShape([at(0.1, 0.95), at(0.11, 0.95)], () => thick * 1.4), width: height * 0.28 };
  if (kind === 2) return { shape: strokeShape([at(0.05, 1.05), at(0.4, -0.05)], () => thick), width: height * 0.55 };
  return { shape: strokeShape([at(0.13, 0.93), at(0.08, 1.12)], () => thick), width: height * 0.3 };
}
