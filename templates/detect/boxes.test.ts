// Run by `node --test`: from the model's grid to boxes.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CELL, CHANNELS, overlap, readGrid, toPicture, USUAL_SIZE } from './boxes.ts';

const GRID = 16;

/** A grid that says nothing, but for what is put into some cells: score, x, y, width, height, then a logit for each class. */
function gridWith(...objects: { column: number; row: number; channels: readonly number[] }[]): Float32Array {
  const cells = new Float32Array(CHANNELS * GRID * GRID);
  cells.fill(-9, 0, GRID * GRID);
  for (const { column, row, channels } of objects) {
    channels.forEach((value, channel) => (cells[channel * GRID * GRID + row * GRID + column] = value));
  }
  return cells;
}

test('a cell gives a box around its middle, of the usual size times what it says', () => {
  const cells = gridWith({ column: 3, row: 5, channels: [4, 0, 0, Math.log(2), 0, 0, 0, 3, 0] });
  const [found, ...more] = readGrid(cells, GRID, GRID);
  assert.equal(more.length, 0);
  assert.equal(found?.label, 'triangle');
  assert.ok(Math.abs(found.score - 0.982) < 1e-3);
  const expected = [3.5 * CELL - USUAL_SIZE, 5.5 * CELL - USUAL_SIZE / 2, 2 * USUAL_SIZE, USUAL_SIZE];
  found.box.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < 1e-4));
});

test('an object that two cells see is given once, by the surer one', () => {
  const cells = gridWith(
    { column: 3, row: 5, channels: [1, 0.45, 0, 0, 0, 5, 0, 0, 0] },
    { column: 4, row: 5, channels: [3, -0.45, 0, 0, 0, 5, 0, 0, 0] },
    { column: 9, row: 9, channels: [2, 0, 0, 0, 0, 0, 5, 0, 0] },
  );
  const found = readGrid(cells, GRID, GRID);
  assert.deepEqual(
    found.map(({ label, score }) => [label, Math.round(score * 100)]),
    [
      ['circle', 95],
      ['square', 88],
    ],
  );
});

test('boxes go back to the picture that was fitted into the square, and stay inside it', () => {
  const inside = { label: 'star', score: 1, box: [24, 36, 24, 12] } as const;
  const across = { label: 'star', score: 1, box: [-8, 20, 20, 20] } as const;
  const [first, second] = toPicture([inside, across], 96, 192, 96);
  assert.deepEqual(first?.box, [48, 24, 48, 24]);
  assert.deepEqual(second?.box, [0, 0, 24, 32]);
});

test('overlap is 1 for the same box and 0 for boxes apart', () => {
  assert.equal(overlap([0, 0, 10, 10], [0, 0, 10, 10]), 1);
  assert.equal(overlap([0, 0, 10, 10], [10, 0, 10, 10]), 0);
  assert.equal(overlap([0, 0, 10, 10], [0, 5, 10, 10]), 1 / 3);
});
