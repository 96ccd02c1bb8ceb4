// The outlines of digits from fonts of the @fontsource packages, as polygons.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

// oxlint-disable-next-line import/default -- CommonJS: Node gives the whole module as its default.
import opentype from 'opentype.js';
import type { PathCommand } from 'opentype.js';

import type { Shape } from './shapes.ts';
import { unpackWoff } from './woff.ts';

/** The ten digits of one font file, each as a shape whose em is 1 high. */
export interface DigitFont {
  readonly name: string;
  readonly digits: readonly Shape[];
  /** How far each digit moves the pen, in ems. */
  readonly advances: readonly number[];
}

const CURVE_STEPS = 6;

/**
 * The Latin fonts of an installed package (`folder` is the package's own): upright and italic, in up to four weights from
 * light to black. Fonts without all ten digits are left out.
 */
export function loadFamily(folder: string): DigitFont[] {
  const files = readdirSync(join(folder, 'files'))
    .filter((file) => /-latin-(300|400|700|900)-(normal|italic)\.woff$/u.test(file))
    .filter((file) => !file.includes('-latin-ext-'))
    .sort();
  return files.flatMap((file) => {
    const content = readFileSync(join(folder, 'files', file));
    const font = opentype.parse(unpackWoff(content));
    const glyphs = Array.from({ length: 10 }, (_, digit) => font.charToGlyph(String(digit)));
    if (glyphs.some(({ index }) => index === 0)) return [];
    const digits = glyphs.map((glyph) => flatten(glyph.getPath(0, 0, 1).commands));
    if (digits.some((shape) => shape.length === 0)) return [];
    const advances = glyphs.map(({ advanceWidth }) => advanceWidth / font.unitsPerEm);
    return [{ name: file.replace('.woff', ''), digits, advances }];
  });
}

/** Curves to short straight lines. */
function flatten(commands: readonly PathCommand[]): Shape {
  const shape: [number, number][][] = [];
  let contour: [number, number][] = [];
  for (const { type, x, y, x1, y1, x2, y2 } of commands) {
    if (type === 'Z') continue;
    if (type === 'M') {
      contour = [[x, y]];
      shape.push(contour);
      continue;
    }
    const [fromX, fromY] = contour.at(-1)!;
    const steps = type === 'L' ? 1 : CURVE_STEPS;
    for (let step = 1; step <= steps; step++) {
      const t = step / steps;
      const u = 1 - t;
      if (type === 'L') contour.push([x, y]);
      else if (type === 'Q') {
        contour.push([u * u * fromX + 2 * u * t * x1 + t * t * x, u * u * fromY + 2 * u * t * y1 + t * t * y]);
      } else {
        contour.push([
          u ** 3 * fromX + 3 * u * u * t * x1 + 3 * u * t * t * x2 + t ** 3 * x,
          u ** 3 * fromY + 3 * u * u * t * y1 + 3 * u * t * t * y2 + t ** 3 * y,
        ]);
      }
    }
  }
  return shape.filter((points) => points.length > 2);
}
