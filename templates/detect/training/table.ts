// What the shapes lie on: a lit surface with a pattern.

import { randomInteger, randomNormal } from '../../../src/random.ts';
import type { Random } from '../../../src/random.ts';

export type Colour = readonly [number, number, number];

/** What a picture is for. What measures the model is drawn in ways that what trains it never is. */
export type Purpose = 'training' | 'held-out';

/** How much brighter the pattern is at a point; coordinates are in parts of the longer side. */
type Pattern = (x: number, y: number) => number;

// Of 255; well below the contrast of the shapes.
const STRONGEST = 14;

/** A surface lit from one side: three numbers a pixel. */
export function drawTable(
  width: number,
  height: number,
  colour: Colour,
  random: Random,
  purpose: Purpose,
): Float32Array {
  const side = Math.max(width, height);
  const [lightX, lightY] = [randomNormal(random) * 25, randomNormal(random) * 25];
  const pattern = purpose === 'held-out' ? rings(random) : [plain, stripes, cloth][randomInteger(random, 3)]!(random);
  const picture = new Float32Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const light = lightX * (x / width - 0.5) + lightY * (y / height - 0.5) + pattern(x / side, y / side);
      for (let channel = 0; channel < 3; channel++) picture[(y * width + x) * 3 + channel] = colour[channel]! + light;
    }
  }
  return picture;
}

function plain(): Pattern {
  return () => 0;
}

function stripes(random: Random): Pattern {
  const [angle, waves, strength] = [random() * Math.PI, 10 + 90 * random(), STRONGEST * random()];
  const [across, along] = [Math.cos(angle) * waves, Math.sin(angle) * waves];
  return (x, y) => strength * Math.sin(x * across + y * along);
}

function cloth(random: Random): Pattern {
  const [warp, weft] = [stripes(random), stripes(random)];
  return (x, y) => (warp(x, y) + weft(x, y)) / 2;
}

/** Wood, cut across a bough: kept from training. */
function rings(random: Random): Pattern {
  const [middleX, middleY] = [random() * 1.4 - 0.2, random() * 1.4 - 0.2];
  const [waves, strength, bend] = [20 + 80 * random(), STRONGEST * random(), 0.05 * random()];
  return (x, y) => {
    const [dx, dy] = [x - middleX, y - middleY];
    return strength * Math.sin(waves * (Math.hypot(dx, dy) + bend * Math.sin(3 * Math.atan2(dy, dx))));
  };
}
