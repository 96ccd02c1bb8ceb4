// Makes pictures of shapes lying on a table, and where they lie. Everything follows from the random source.
// What is held out is of a kind that training never draws: other colours, another table.

import { boundsOf, createCanvas, mapShape, paint, strokeShape } from '../../../scripts/training/shapes.ts';
import type { Shape } from '../../../scripts/training/shapes.ts';
import { randomInteger, randomNormal } from '../../../src/random.ts';
import type { Random } from '../../../src/random.ts';
import { CLASSES } from '../boxes.ts';
import type { Found } from '../boxes.ts';
import { drawTable } from './table.ts';
import type { Colour, Purpose } from './table.ts';

type Object = Pick<Found, 'label' | 'box'>;

/** Pixels, three bytes each, and what there is to find in them. */
export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
  readonly objects: readonly Object[];
}

// Shapes may touch; none hides more of another's box than this share of the smaller one.
const MOST_HIDDEN = 0.15;
// Of 255: what is to be seen differs that much from the table in at least one colour channel.
const CONTRAST = 70;

/** A random scene of that many pixels; objects measure a tenth to a half of its longer side. */
export function drawScene(width: number, height: number, random: Random, purpose: Purpose): Scene {
  const side = Math.max(width, height);
  const table = randomColour(random, purpose);
  const picture = drawTable(width, height, table, random, purpose);
  for (let i = randomInteger(random, 4); i > 0; i--) {
    cover(picture, width, height, scratch(width, height, random), randomColour(random, purpose));
  }
  const objects: Object[] = [];
  const wanted = 1 + randomInteger(random, 6);
  for (let attempt = 0; attempt < wanted * 4 && objects.length < wanted; attempt++) {
    const label = CLASSES[randomInteger(random, CLASSES.length)]!;
    const radius = side * (0.06 + 0.17 * random() ** 1.5);
    const [x, y] = [random() * width, random() * height];
    const shape = mapShape(outline(label, random), (u, v) => [x + u * radius, y + v * radius]);
    const { left, top, right, bottom } = boundsOf(shape);
    if (left < 0 || top < 0 || right > width || bottom > height) continue;
    const box = [left, top, right - left, bottom - top] as const;
    if (objects.some((other) => hidden(other.box, box) > MOST_HIDDEN)) continue;
    cover(picture, width, height, shape, contrasting(table, random, purpose));
    objects.push({ label, box });
  }
  return { width, height, rgb: withNoise(picture, random), objects };
}

/** The area that two boxes have in common, as a share of the smaller one. */
function hidden([ax, ay, aw, ah]: Found['box'], [bx, by, bw, bh]: Found['box']): number {
  const wide = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const high = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  return wide <= 0 || high <= 0 ? 0 : (wide * high) / Math.min(aw * ah, bw * bh);
}

/** A shape of radius 1 around the origin, turned at random. */
function outline(label: Found['label'], random: Random): Shape {
  const turn = random() * 2 * Math.PI;
  const corners = { circle: 32, square: 4, triangle: 3, star: 10 }[label];
  const contour = Array.from({ length: corners }, (_, i): [number, number] => {
    const angle = turn + (i / corners) * 2 * Math.PI;
    const radius = label === 'star' && i % 2 === 1 ? 0.42 : 1;
    return [Math.cos(angle) * radius, Math.sin(angle) * radius];
  });
  return [contour];
}

/** A line that is no object. */
function scratch(width: number, height: number, random: Random): Shape {
  const points = [0, 1].map((): [number, number] => [random() * width, random() * height]);
  const thick = Math.max(width, height) * (0.005 + 0.015 * random());
  return strokeShape(points, () => thick);
}

function randomColour(random: Random, purpose: Purpose): Colour {
  for (;;) {
    const colour: Colour = [random() * 255, random() * 255, random() * 255];
    if (isHeldOut(colour) === (purpose === 'held-out')) return colour;
  }
}

/** The colour cube in 4 x 4 x 4 blocks: every fourth, along each channel, is kept from training. */
export function isHeldOut(colour: Colour): boolean {
  return colour.reduce((sum, value) => sum + Math.min(3, Math.floor(value / 64)), 0) % 4 === 3;
}

function contrasting(from: Colour, random: Random, purpose: Purpose): Colour {
  for (;;) {
    const colour = randomColour(random, purpose);
    if (Math.max(...colour.map((value, i) => Math.abs(value - from[i]!))) > CONTRAST) return colour;
  }
}

/** Lays a shape of one colour over the picture. */
function cover(picture: Float32Array, width: number, height: number, shape: Shape, colour: Colour): void {
  const bounds = boundsOf(shape);
  const [left, top] = [Math.max(0, Math.floor(bounds.left)), Math.max(0, Math.floor(bounds.top))];
  const [right, bottom] = [Math.min(width, Math.ceil(bounds.right)), Math.min(height, Math.ceil(bounds.bottom))];
  if (right <= left || bottom <= top) return;
  const mask = createCanvas(right - left, bottom - top);
  paint(
    mask,
    mapShape(shape, (x, y) => [x - left, y - top]),
  );
  for (let y = 0; y < mask.height; y++) {
    for (let x = 0; x < mask.width; x++) {
      const covered = mask.data[y * mask.width + x]!;
      if (covered === 0) continue;
      const at = ((y + top) * width + x + left) * 3;
      for (let channel = 0; channel < 3; channel++) {
        picture[at + channel]! += covered * (colour[channel]! - picture[at + channel]!);
      }
    }
  }
}

/** To bytes, with the noise of a camera: a few hundred normal samples in random order, since millions take long to draw. */
function withNoise(picture: Float32Array, random: Random): Uint8Array {
  const strength = random() * 10;
  const samples = Float32Array.from({ length: 256 }, () => randomNormal(random) * strength);
  const bytes = new Uint8ClampedArray(picture.length);
  for (let i = 0; i < picture.length; i++) bytes[i] = picture[i]! + samples[Math.floor(random() * 256)]!;
  return new Uint8Array(bytes.buffer);
}
