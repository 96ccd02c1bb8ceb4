// Draws batches beside the training: a message with the number of a step, and how much places count, brings that step's batch.

import { parentPort, workerData } from 'node:worker_threads';

import { seededRandom } from '../../../src/random.ts';
import { CELL, CHANNELS, CLASSES, USUAL_SIZE } from '../boxes.ts';
import { SIZE } from '../picture.ts';
import { drawScene } from './scenes.ts';
import type { Scene } from './scenes.ts';

const GRID = SIZE / CELL;
// Of 256 cells a few hold an object: those count more.
const OBJECT_WEIGHT = 4;
const CLASS_WEIGHT = 4;
// The cells around should know of the object too: nine times as much to learn from.
const NEIGHBOUR_SHARE = 0.25;
// Between two cells it is a toss-up which one answers. Neither should be punished much.
const NEAR_MIDDLE = 0.75;
const TOSS_UP_WEIGHT = 0.1;

const { seed, rows } = workerData as { seed: number; rows: number };
parentPort!.on('message', ({ step, placeWeight }: { step: number; placeWeight: number }) => {
  // By step, so that training that goes on after a pause sees what it would have seen without.
  const random = seededRandom(seed * 1_000_003 + step);
  const x = new Float32Array(rows * 3 * SIZE * SIZE);
  const target = new Float32Array(rows * CHANNELS * GRID * GRID);
  const weight = new Float32Array(target.length);
  for (let row = 0; row < rows; row++) {
    const narrow = Math.round(SIZE * (0.3 + 0.7 * random()));
    const wide = random() < 0.5;
    const scene = drawScene(wide ? SIZE : narrow, wide ? narrow : SIZE, random, 'training');
    fit(scene, x.subarray(row * 3 * SIZE * SIZE, (row + 1) * 3 * SIZE * SIZE));
    const part = [row * CHANNELS * GRID * GRID, (row + 1) * CHANNELS * GRID * GRID] as const;
    aim(scene, target.subarray(...part), weight.subarray(...part), placeWeight);
  }
  parentPort!.postMessage({ rows, x, target, weight }, [x.buffer, target.buffer, weight.buffer]);
});

/** Where the scene begins in the square. */
function offset(scene: Scene): [number, number] {
  return [Math.floor((SIZE - scene.width) / 2), Math.floor((SIZE - scene.height) / 2)];
}

/** The scene in a grey square, as the handler would put it. */
function fit(scene: Scene, x: Float32Array): void {
  x.fill(0.5);
  const [left, top] = offset(scene);
  for (let y = 0; y < scene.height; y++) {
    for (let column = 0; column < scene.width; column++) {
      for (let channel = 0; channel < 3; channel++) {
        const value = scene.rgb[(y * scene.width + column) * 3 + channel]! / 255;
        x[channel * SIZE * SIZE + (y + top) * SIZE + column + left] = value;
      }
    }
  }
}

/** What each cell should say, and how much that counts. */
function aim(scene: Scene, target: Float32Array, weight: Float32Array, placeWeight: number): void {
  const plane = GRID * GRID;
  weight.fill(1, 0, plane);
  const [left, top] = offset(scene);
  for (const { label, box } of scene.objects) {
    const [x, y] = [(box[0] + box[2] / 2 + left) / CELL, (box[1] + box[3] / 2 + top) / CELL];
    const [column, line] = [Math.min(GRID - 1, Math.floor(x)), Math.min(GRID - 1, Math.floor(y))];
    for (let near = 0; near < 9; near++) {
      const [nearColumn, nearLine] = [column - 1 + (near % 3), line - 1 + Math.floor(near / 3)];
      if (nearColumn < 0 || nearLine < 0 || nearColumn >= GRID || nearLine >= GRID) continue;
      const cell = nearLine * GRID + nearColumn;
      const own = near === 4;
      const [dx, dy] = [x - nearColumn - 0.5, y - nearLine - 0.5];
      if (own) {
        target[cell] = 1;
        weight[cell] = OBJECT_WEIGHT;
      } else if (target[cell] === 0 && Math.max(Math.abs(dx), Math.abs(dy)) < NEAR_MIDDLE) {
        weight[cell] = TOSS_UP_WEIGHT;
      }
      // What another object's own cell says of it stays.
      if (!own && weight[5 * plane + cell]! >= CLASS_WEIGHT) continue;
      const share = own ? 1 : NEIGHBOUR_SHARE;
      const set = (channel: number, value: number, counts: number): void => {
        target[channel * plane + cell] = value;
        weight[channel * plane + cell] = counts * share;
      };
      CLASSES.forEach((name, i) => set(5 + i, Number(name === label), CLASS_WEIGHT));
      set(1, dx, placeWeight);
      set(2, dy, placeWeight);
      set(3, Math.log(box[2] / USUAL_SIZE), placeWeight);
      set(4, Math.log(box[3] / USUAL_SIZE), placeWeight);
    }
  }
}
