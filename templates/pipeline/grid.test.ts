// Run by `node --test`: from pixels to a line, from the grid to boxes, from boxes to digits.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CELL, CHANNELS, readGrid, USUAL_SIZE } from './grid.ts';
import { inkOf, piecesOf } from './ink.ts';
import type { Picture } from './paper.ts';
import { cutDigit, DIGIT_SIZE, fitLine, LINE_HEIGHT } from './line.ts';

/** Dark bars, 12 wide and 60 high, on a light sheet. */
function bars(...lefts: number[]): Picture {
  const [width, height] = [300, 100];
  const rgba = new Uint8Array(width * height * 4).fill(240);
  for (const left of lefts) {
    for (let y = 20; y < 80; y++) rgba.fill(20, (y * width + left) * 4, (y * width + left + 12) * 4);
  }
  for (let i = 3; i < rgba.length; i += 4) rgba[i] = 255;
  return { width, height, rgba };
}

test('each bar is a piece of ink of its own', () => {
  const pieces = piecesOf(inkOf(bars(40, 90, 200))!);
  assert.deepEqual(
    pieces.map(({ box }) => box),
    [40, 90, 200].map((left) => ({ left, top: 20, right: left + 12, bottom: 80 })),
  );
});

test('a line is scaled to the height of its writing, and places go there and back', () => {
  const line = fitLine(inkOf(bars(40, 90, 200))!)!;
  assert.equal(line.input.length, LINE_HEIGHT * line.width);
  assert.equal(line.width % 4, 0);
  const box = { left: 90, top: 20, right: 102, bottom: 80 };
  const there = line.toInput(box);
  assert.ok(Math.abs(there.bottom - there.top - 22) < 1e-9);
  const back = line.toPicture(there);
  for (const edge of ['left', 'top', 'right', 'bottom'] as const) assert.ok(Math.abs(back[edge] - box[edge]) < 1e-9);
});

test('cells give boxes from left to right, a digit that two cells see only once', () => {
  const [columns, rows] = [20, 8];
  const cells = new Float32Array(CHANNELS * columns * rows);
  cells.fill(-9, 0, columns * rows);
  const say = (column: number, score: number): void => {
    cells[4 * columns + column] = score;
  };
  say(15, 5);
  say(3, 2);
  say(4, 1);
  const boxes = readGrid(cells, columns, rows);
  assert.deepEqual(
    boxes.map(({ left, right }) => [left + right, right - left]),
    [
      [2 * 3.5 * CELL, USUAL_SIZE[0]],
      [2 * 15.5 * CELL, USUAL_SIZE[0]],
    ],
  );
});

test('a digit is cut out without its neighbours, even when the box reaches into them', () => {
  const ink = inkOf(bars(40, 60))!;
  const { input, box } = cutDigit(ink, piecesOf(ink), { left: 36, top: 18, right: 63, bottom: 82 });
  assert.deepEqual(box, { left: 40, top: 20, right: 52, bottom: 80 });
  const middle = DIGIT_SIZE / 2;
  assert.ok(input[middle * DIGIT_SIZE + middle]! > 0.9);
  assert.equal(input[middle * DIGIT_SIZE + DIGIT_SIZE - 3], 0);
});

test('a picture without ink has no line', () => {
  assert.equal(inkOf(bars()), null);
});
