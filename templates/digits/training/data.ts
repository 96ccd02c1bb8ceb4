// Makes the pictures that the digits are learned from: glyphs of many fonts and strokes of a pen, distorted, soiled, and
// sent through the function's own preprocessing. Everything follows from the seed and the list of fonts.

import { readdirSync } from 'node:fs';

import { loadFamily } from '../../../scripts/training/glyphs.ts';
import type { DigitFont } from '../../../scripts/training/glyphs.ts';
import {
  blur,
  boundsOf,
  createCanvas,
  distort,
  mapShape,
  paint,
  strokeShape,
} from '../../../scripts/training/shapes.ts';
import type { Canvas, Shape } from '../../../scripts/training/shapes.ts';
import { randomInteger, randomNormal } from '../../../src/random.ts';
import type { Random } from '../../../src/random.ts';
import { findDigit } from '../digit.ts';
import { SKELETONS } from './strokes.ts';
import type { Skeleton } from './strokes.ts';

// The part of pictures that are written with the pen; the rest is set in fonts.
const PEN_PART = 0.25;

/** The families to learn from, each with its weights and styles. Installed by `npm install` in this folder. */
export function loadTrainingFamilies(): DigitFont[][] {
  const folder = new URL('./node_modules/@fontsource/', import.meta.url).pathname;
  return readdirSync(folder)
    .sort()
    .map((name) => loadFamily(`${folder}${name}`))
    .filter((fonts) => fonts.length > 0);
}

/** A labelled input of the model. */
export interface Example {
  readonly label: number;
  readonly input: Float32Array;
}

/** One random example. */
export function drawExample(families: readonly (readonly DigitFont[])[], random: Random): Example {
  for (;;) {
    const label = randomInteger(random, 10);
    const shape = random() < PEN_PART ? penned(label, random) : typeset(label, families, random);
    const input = findDigit(soil(place(shape, random), random));
    // Noise can drown a faint digit; such a picture teaches nothing.
    if (input !== null) return { label, input };
  }
}

function typeset(label: number, families: readonly (readonly DigitFont[])[], random: Random): Shape {
  const fonts = families[randomInteger(random, families.length)]!;
  const font = fonts[randomInteger(random, fonts.length)]!;
  // A third stays as it was designed, as most digits on screens are.
  const strength = random() < 0.35 ? 0 : 0.4 + random();
  return distort(
    font.digits[label]!,
    { rotation: strength, shear: strength, stretch: strength, wobble: strength },
    random,
  );
}

/** The width of a pen, for digits that are 1 high. */
export function penWidth(random: Random): number {
  return 0.04 + random() ** 2 * 0.2;
}

/** A digit as a pen writes it, 1 high, around the origin. */
export function penned(label: number, random: Random, width?: number): Shape {
  const ways = SKELETONS[label]!;
  const way: Skeleton = ways[randomInteger(random, ways.length)]!;
  const thick = width ?? penWidth(random);
  const pressure = random() * 0.4;
  const phase = random() * 6;
  const shaken = way.map((stroke) =>
    stroke.map(([x, y]): [number, number] => [
      x * 0.62 + randomNormal(random) * 0.012,
      y + randomNormal(random) * 0.012,
    ]),
  );
  const lines = shaken.map((stroke) => smooth(stroke));
  // Bent before the pen follows, so that the pen's own width stays even.
  const bent = distort(lines, { rotation: 1, shear: 1.6, stretch: 1.4, wobble: 3 }, random);
  return bent.flatMap((line) => strokeShape(line, (along) => thick * (1 + pressure * Math.sin(phase + along * 5))));
}

/** Rounds corners by cutting them twice (Chaikin), keeping the ends. */
function smooth(points: readonly (readonly [number, number])[]): [number, number][] {
  let line = points.map(([x, y]): [number, number] => [x, y]);
  for (let round = 0; round < (points.length > 8 ? 1 : 2); round++) {
    const cut: [number, number][] = [line[0]!];
    for (let i = 0; i + 1 < line.length; i++) {
      const [[x, y], [nextX, nextY]] = [line[i]!, line[i + 1]!];
      cut.push([0.8 * x + 0.2 * nextX, 0.8 * y + 0.2 * nextY], [0.2 * x + 0.8 * nextX, 0.2 * y + 0.8 * nextY]);
    }
    line = [...cut, line.at(-1)!];
  }
  return line;
}

/** The shape somewhere on a canvas, from a few pixels high to large. */
function place(shape: Shape, random: Random): Canvas {
  const bounds = boundsOf(shape);
  const [wide, high] = [bounds.right - bounds.left, bounds.bottom - bounds.top];
  const size = 10 + random() ** 2 * 60;
  const scale = size / Math.max(wide, high);
  const margin = (): number => (random() < 0.15 ? randomInteger(random, 2) : size * random() * 0.6 + 1);
  const [left, top] = [margin(), margin()];
  const canvas = createCanvas(Math.ceil(wide * scale + left + margin()), Math.ceil(high * scale + top + margin()));
  paint(
    canvas,
    mapShape(shape, (x, y) => [(x - bounds.left) * scale + left, (y - bounds.top) * scale + top]),
  );
  return canvas;
}

/** Colours the canvas and does to it what cameras and scanners do. */
export function soil(canvas: Canvas, random: Random): { width: number; height: number; rgba: Uint8Array } {
  const { width, height, data } = canvas;
  for (let rounds = random() < 0.5 ? 0 : 1 + randomInteger(random, 2); rounds > 0; rounds--) blur(canvas, random());
  const paper = random() * 255;
  const contrast = 50 + random() * 205;
  const ink = paper > 127 ? Math.max(0, paper - contrast) : Math.min(255, paper + contrast);
  const noise = random() < 0.4 ? 0 : random() ** 2 * 0.12 * Math.abs(ink - paper);
  const lightX = random() < 0.6 ? 0 : randomNormal(random) * 0.1 * Math.abs(ink - paper);
  const lightY = lightX === 0 ? 0 : randomNormal(random) * 0.1 * Math.abs(ink - paper);
  const rgba = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const light = lightX * (x / width - 0.5) + lightY * (y / height - 0.5);
      const grain = noise === 0 ? 0 : randomNormal(random) * noise;
      const value = Math.min(255, Math.max(0, paper + (ink - paper) * data[at]! + light + grain));
      rgba.fill(value, at * 4, at * 4 + 3);
      rgba[at * 4 + 3] = 255;
    }
  }
  return { width, height, rgba };
}
