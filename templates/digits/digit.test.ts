// Run by `node --test`: whether the digit is found, whatever the paper, the ink and the place.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findDigit, SIZE } from './digit.ts';
import type { Picture } from './paper.ts';

type Colour = readonly [number, number, number, number];

/** A sheet with a bar, 10 wide and 40 high, at some place. */
function sheet(paper: Colour, ink: Colour, left = 30, top = 20): Picture {
  const [width, height] = [120, 100];
  const rgba = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inside = x >= left && x < left + 10 && y >= top && y < top + 40;
      rgba.set(inside ? ink : paper, (y * width + x) * 4);
    }
  }
  return { width, height, rgba };
}

const WHITE = [255, 255, 255, 255] as const;
const BLACK = [0, 0, 0, 255] as const;

test('a digit comes out centred and filling the height, as ink on nothing', () => {
  const found = findDigit(sheet(WHITE, BLACK));
  assert.ok(found);
  const middle = found[(SIZE / 2) * SIZE + SIZE / 2]!;
  assert.ok(middle > 0.95, `ink in the middle: ${middle}`);
  assert.equal(found[0], 0);
  const rows = Array.from({ length: SIZE }, (_, y) =>
    found.subarray(y * SIZE, (y + 1) * SIZE).some((ink) => ink > 0.5),
  );
  assert.equal(rows.filter(Boolean).length, 22);
});

test('paper, ink and place make no difference', () => {
  const expected = findDigit(sheet(WHITE, BLACK));
  for (const picture of [
    sheet(BLACK, WHITE),
    sheet([200, 60, 60, 255], [60, 60, 200, 255]),
    sheet([0, 0, 0, 0], BLACK),
    sheet([255, 255, 255, 0], WHITE),
    sheet(WHITE, BLACK, 105, 55),
  ]) {
    assert.deepEqual(findDigit(picture), expected);
  }
});

test('light from one side makes no difference, nor does a digit that reaches the edge', () => {
  const lit = sheet(WHITE, BLACK);
  for (let pixel = 0; pixel < 120 * 100; pixel++) {
    const shade = 1 - (0.35 * (pixel % 120)) / 120 - (0.15 * Math.floor(pixel / 120)) / 100;
    for (let channel = 0; channel < 3; channel++) lit.rgba[pixel * 4 + channel]! *= shade;
  }
  const expected = findDigit(sheet(WHITE, BLACK))!;
  const [found, atEdge] = [findDigit(lit)!, findDigit(sheet(WHITE, BLACK, 0))!];
  expected.forEach((ink, i) => {
    assert.ok(Math.abs(found[i]! - ink) < 0.15, `pixel ${i}: ${found[i]} instead of ${ink}`);
    assert.ok(Math.abs(atEdge[i]! - ink) < 0.15, `pixel ${i}: ${atEdge[i]} instead of ${ink}`);
  });
});

test('specks of dirt are left out', () => {
  const picture = sheet(WHITE, BLACK);
  for (const [x, y] of [
    [100, 90],
    [5, 95],
    [110, 3],
  ] as const)
    picture.rgba.fill(0, (y * 120 + x) * 4, (y * 120 + x) * 4 + 3);
  assert.deepEqual(findDigit(picture), findDigit(sheet(WHITE, BLACK)));
});

test('an empty sheet holds no digit', () => {
  assert.equal(findDigit(sheet(WHITE, WHITE)), null);
  assert.equal(findDigit(sheet(WHITE, [245, 245, 245, 255])), null);
});
