// Shapes as closed polygons: distorted, and painted with soft edges onto grey canvases. What the trainers draw with.

import { randomNormal } from '../../src/random.ts';
import type { Random } from '../../src/random.ts';

/** Closed contours of points; y points down. What winds around a point is inside. */
export type Shape = readonly (readonly (readonly [number, number])[])[];

/** A grey picture: 0 is background, 1 full ink. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly data: Float32Array;
}

/** An empty canvas. */
export function createCanvas(width: number, height: number): Canvas {
  return { width, height, data: new Float32Array(width * height) };
}

/** Moves every point of a shape. */
export function mapShape(shape: Shape, move: (x: number, y: number) => [number, number]): Shape {
  return shape.map((contour) => contour.map(([x, y]) => move(x, y)));
}

/** The box around a shape. */
export function boundsOf(shape: Shape): { left: number; top: number; right: number; bottom: number } {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const contour of shape) {
    for (const [x, y] of contour) {
      left = Math.min(left, x);
      top = Math.min(top, y);
      right = Math.max(right, x);
      bottom = Math.max(bottom, y);
    }
  }
  return { left, top, right, bottom };
}

/** How far a distortion goes; 1 is what a hurried hand does. */
export interface Distortion {
  readonly rotation: number;
  readonly shear: number;
  readonly stretch: number;
  readonly wobble: number;
}

/** A shape of about unit size, turned, slanted, stretched and bent at random around its middle. */
export function distort(shape: Shape, by: Distortion, random: Random): Shape {
  const { left, top, right, bottom } = boundsOf(shape);
  const [centreX, centreY] = [(left + right) / 2, (top + bottom) / 2];
  const angle = randomNormal(random) * 0.12 * by.rotation;
  const shear = randomNormal(random) * 0.15 * by.shear;
  const stretch = Math.exp(randomNormal(random) * 0.15 * by.stretch);
  const waves = Array.from({ length: 4 }, () => ({
    frequencyX: (random() - 0.5) * 10,
    frequencyY: (random() - 0.5) * 10,
    phase: random() * 2 * Math.PI,
    strength: randomNormal(random) * 0.012 * by.wobble,
  }));
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return mapShape(shape, (x, y) => {
    let dx = (x - centreX) * stretch;
    let dy = (y - centreY) / stretch;
    waves.forEach(({ frequencyX, frequencyY, phase, strength }, i) => {
      const wave = strength * Math.sin(frequencyX * x + frequencyY * y + phase);
      if (i % 2 === 0) dx += wave;
      else dy += wave;
    });
    dx += shear * dy;
    return [cos * dx - sin * dy, sin * dx + cos * dy];
  });
}

/** A line through points drawn with a round pen of a width that may change along the way, as a shape. */
export function strokeShape(points: readonly (readonly [number, number])[], width: (along: number) => number): Shape {
  const shape: [number, number][][] = [];
  points.forEach(([x, y], i) => {
    const radius = width(i / Math.max(1, points.length - 1)) / 2;
    const next = points[i + 1];
    shape.push(
      Array.from({ length: 10 }, (_, k) => {
        const angle = (k / 10) * 2 * Math.PI;
        return [x + Math.cos(angle) * radius, y + Math.sin(angle) * radius];
      }),
    );
    if (next === undefined) return;
    const length = Math.hypot(next[0] - x, next[1] - y) || 1;
    const nextRadius = width((i + 1) / Math.max(1, points.length - 1)) / 2;
    const [normalX, normalY] = [-(next[1] - y) / length, (next[0] - x) / length];
    // Wound like the circles, so that overlaps add up instead of cancelling.
    shape.push([
      [x - normalX * radius, y - normalY * radius],
      [next[0] - normalX * nextRadius, next[1] - normalY * nextRadius],
      [next[0] + normalX * nextRadius, next[1] + normalY * nextRadius],
      [x + normalX * radius, y + normalY * radius],
    ]);
  });
  return shape;
}

// Rows of sample lines in each pixel; across, coverage is exact.
const LINES = 4;

/** Paints a shape (in pixels) onto the canvas; ink covers what was there by `ink` times its coverage. */
export function paint(canvas: Canvas, shape: Shape, ink = 1): void {
  const { width, height, data } = canvas;
  const bounds = boundsOf(shape);
  const firstRow = Math.max(0, Math.floor(bounds.top));
  const lastRow = Math.min(height, Math.ceil(bounds.bottom));
  const firstColumn = Math.max(0, Math.floor(bounds.left));
  const lastColumn = Math.min(width, Math.ceil(bounds.right));
  const edges = edgesOf(shape);
  const row = new Float32Array(width);
  for (let y = firstRow; y < lastRow; y++) {
    row.fill(0, firstColumn, lastColumn);
    for (let line = 0; line < LINES; line++) coverLine(edges, y + (line + 0.5) / LINES, row);
    for (let x = firstColumn; x < lastColumn; x++) {
      const covered = Math.min(1, row[x]! / LINES) * ink;
      data[y * width + x]! += covered * (1 - data[y * width + x]!);
    }
  }
}

/** All edges that cross some horizontal line, and room for where one line crosses them. Flat, since this is the hot loop. */
interface Edges {
  readonly count: number;
  readonly ends: Float64Array;
  readonly crossings: Float64Array;
  readonly windings: Int8Array;
}

function edgesOf(shape: Shape): Edges {
  const most = shape.reduce((sum, contour) => sum + contour.length, 0);
  const ends = new Float64Array(most * 4);
  let count = 0;
  for (const contour of shape) {
    let from = contour.at(-1)!;
    for (const to of contour) {
      if (from[1] !== to[1]) {
        ends.set(from, count * 4);
        ends.set(to, count * 4 + 2);
        count++;
      }
      from = to;
    }
  }
  return { count, ends, crossings: new Float64Array(most), windings: new Int8Array(most) };
}

/** Adds to each pixel of a row how much of it lies inside the edges along one line. */
function coverLine({ count, ends, crossings, windings }: Edges, y: number, row: Float32Array): void {
  let found = 0;
  for (let edge = 0; edge < count * 4; edge += 4) {
    const fromY = ends[edge + 1]!;
    const toY = ends[edge + 3]!;
    if (fromY <= y === toY <= y) continue;
    const fromX = ends[edge]!;
    const x = fromX + ((y - fromY) / (toY - fromY)) * (ends[edge + 2]! - fromX);
    // Kept in order from left to right; there are few.
    let place = found++;
    for (; place > 0 && crossings[place - 1]! > x; place--) {
      crossings[place] = crossings[place - 1]!;
      windings[place] = windings[place - 1]!;
    }
    crossings[place] = x;
    windings[place] = fromY <= y ? 1 : -1;
  }
  let winding = 0;
  for (let i = 0; i + 1 < found; i++) {
    winding += windings[i]!;
    if (winding !== 0) coverSpan(row, crossings[i]!, crossings[i + 1]!);
  }
}

function coverSpan(row: Float32Array, from: number, to: number): void {
  const start = Math.max(0, from);
  const end = Math.min(row.length, to);
  for (let x = Math.floor(start); x < end; x++) row[x]! += Math.min(end, x + 1) - Math.max(start, x);
}

/** Blurs by a small binomial kernel, mixed in by `amount` (0 to 1). */
export function blur(canvas: Canvas, amount: number): void {
  const { width, height, data } = canvas;
  const pass = (step: number, length: number, at: (line: number, i: number) => number, lines: number): void => {
    for (let line = 0; line < lines; line++) {
      let before = data[at(line, 0)]!;
      for (let i = 0; i < length; i++) {
        const index = at(line, i);
        const here = data[index]!;
        const after = i + 1 < length ? data[index + step]! : here;
        data[index] = here + amount * ((before + 2 * here + after) / 4 - here);
        before = here;
      }
    }
  };
  pass(1, width, (line, i) => line * width + i, height);
  pass(width, height, (line, i) => i * width + line, width);
}
