// Run by `node --test`: whether the digit is found, whatever the paper, the ink and the place.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findDigit, SIZE } from './digit.ts';
import type { Picture } from './digit.ts';

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
