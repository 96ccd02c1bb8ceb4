// Makes pictures of shapes lying on a table, and where they lie. Everything follows from the random source.

import { boundsOf, createCanvas, mapShape, paint, strokeShape } from '../../../scripts/training/shapes.ts';
import type { Shape } from '../../../scripts/training/shapes.ts';
import { randomInteger, randomNormal } from '../../../src/random.ts';
import type { Random } from '../../../src/random.ts';
import { CLASSES, overlap } from '../boxes.ts';
import type { Found } from '../boxes.ts';

/** Pixels, three bytes each, and what there is to find in them. */
export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
  readonly objects: readonly Pick<Found, 'label' | 'box'>[];
}

type Colour = readonly [number, number, number];

/** A random scene of that many pixels; objects measure a tenth to a half of its longer side. */
export function drawScene(width: number, height: number, random: Random): Scene {
  const side = Math.max(width, height);
  const table = randomColour(random);
  const picture = tableTop(width, height, table, random);
  for (let i = randomInteger(random, 4); i > 0; i--) scratch(picture, width, height, side, random);
  const objects: Pick<Found, 'label' | 'box'>[] = [];
  const wanted = 1 + randomInteger(random, 6);
  for (let attempt = 0; attempt < wanted * 4 && objects.length < wanted; attempt++) {
    const label = CLASSES[randomInteger(random, CLASSES.length)]!;
    const radius = side * (0.06 + 0.17 * random() ** 1.5);
    const [x, y] = [random() * width, random() * height];
    const shape = mapShape(outline(label, random), (u, v) => [x + u * radius, y + v * radius]);
    const { left, top, right, bottom } = boundsOf(shape);
    if (left < 0 || top < 0 || right > width || bottom > height) continue;
    const box = [left, top, right - left, bottom - top] as const;
    if (objects.some((other) => overlap(other.box, box) > 0.05)) continue;
    cover(picture, width, height, shape, contrasting(table, random));
    objects.push({ label, box });
  }
  const noise = random() * 10;
  const rgb = Uint8Array.from(picture, (value) => Math.min(255, Math.max(0, value + randomNormal(random) * noise)));
  return { width, height, rgb, objects };
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

function randomColour(random: Random): Colour {
  return [random() * 255, random() * 255, random() * 255];
}

function contrasting(from: Colour, random: Random): Colour {
  for (;;) {
    const colour = randomColour(random);
    if (Math.max(...colour.map((value, i) => Math.abs(value - from[i]!))) > 70) return colour;
  }
}

/** A surface lit from one side. */
function tableTop(width: number, height: number, colour: Colour, random: Random): Float32Array {
  const [lightX, lightY] = [randomNormal(random) * 25, randomNormal(random) * 25];
  const picture = new Float32Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const light = lightX * (x / width - 0.5) + lightY * (y / height - 0.5);
      for (let channel = 0; channel < 3; channel++) picture[(y * width + x) * 3 + channel] = colour[channel]! + light;
    }
  }
  return picture;
}

/** A line that is no object. */
function scratch(picture: Float32Array, width: number, height: number, side: number, random: Random): void {
  const points = [0, 1].map((): [number, number] => [random() * width, random() * height]);
  const thick = side * (0.005 + 0.015 * random());
  cover(
    picture,
    width,
    height,
    strokeShape(points, () => thick),
    randomColour(random),
  );
}

function cover(picture: Float32Array, width: number, height: number, shape: Shape, colour: Colour): void {
  const mask = createCanvas(width, height);
  paint(mask, shape);
  mask.data.forEach((covered, pixel) => {
    if (covered === 0) return;
    for (let channel = 0; channel < 3; channel++) {
      const at = pixel * 3 + channel;
      picture[at] = picture[at]! + covered * (colour[channel]! - picture[at]!);
    }
  });
}
