// A line of digits made ready for the two models: the whole line for the one that finds, each digit for the one that reads.

import { around, piecesOf, resample } from './ink.ts';
import type { Box, Ink, Piece } from './ink.ts';

/** Height of the finder's input; its width is free, in steps of STEP. */
export const LINE_HEIGHT = 32;

/** The finder's width comes in multiples of this. */
export const STEP = 4;

/** Width and height of the reader's input. */
export const DIGIT_SIZE = 28;

// The line's writing is scaled to this height, the reader's digit to that.
const WRITING = 22;
const DIGIT = 22;
const MARGIN = 6;
const MOST_WIDTH = 4096;
// A piece smaller than this part of the largest says nothing about the line's height.
const LEAST_PIECE = 0.08;

/** A line at the finder's size, and how to get back to the picture. */
export interface Line {
  /** [LINE_HEIGHT, width]. */
  readonly input: Float32Array;
  readonly width: number;
  readonly pieces: readonly Piece[];
  /** The picture's place of a place in the input. */
  toPicture(box: Box): Box;
  /** The input's place of a place in the picture. */
  toInput(box: Box): Box;
}

/** Fits the writing of a picture into the finder's height; null if it is too long or too small for a line of digits. */
export function fitLine(ink: Ink): Line | null {
  const pieces = piecesOf(ink);
  const largest = pieces.reduce((most, { pixels }) => Math.max(most, pixels.length), 0);
  const writing = around(pieces.filter(({ pixels }) => pixels.length >= largest * LEAST_PIECE).map(({ box }) => box));
  if (writing === null) return null;
  const step = (writing.bottom - writing.top) / WRITING;
  const [left, top] = [writing.left - MARGIN * step, (writing.top + writing.bottom - LINE_HEIGHT * step) / 2];
  const width = Math.ceil(((writing.right - writing.left) / step + 2 * MARGIN) / STEP) * STEP;
  if (width > MOST_WIDTH) return null;
  return {
    input: resample(ink, left, top, step, width, LINE_HEIGHT),
    width,
    pieces,
    toPicture: (box) =>
      mapBox(
        box,
        (x) => x * step + left,
        (y) => y * step + top,
      ),
    toInput: (box) =>
      mapBox(
        box,
        (x) => (x - left) / step,
        (y) => (y - top) / step,
      ),
  };
}

function mapBox(box: Box, moveX: (x: number) => number, moveY: (y: number) => number): Box {
  return { left: moveX(box.left), top: moveY(box.top), right: moveX(box.right), bottom: moveY(box.bottom) };
}

/** One digit for the reader: only the ink that belongs to it, as large as fits, centred. `box` is in the picture. */
export function cutDigit(ink: Ink, pieces: readonly Piece[], box: Box): { input: Float32Array; box: Box } {
  const own = pieces.filter((piece) => isIn(piece, box, ink.width));
  const exact = around(own.map((piece) => piece.box));
  // Digits that touch are one piece and belong to no box alone: then the box itself has to do.
  const frame = exact !== null && covers(exact, box) ? exact : box;
  const source = frame === exact ? only(ink, own) : within(ink, box);
  const step = Math.max(frame.right - frame.left, frame.bottom - frame.top) / DIGIT;
  const left = (frame.left + frame.right - step * DIGIT_SIZE) / 2;
  const top = (frame.top + frame.bottom - step * DIGIT_SIZE) / 2;
  return { input: resample(source, left, top, step, DIGIT_SIZE, DIGIT_SIZE), box: frame };
}

/** Whether most of a piece lies in the box. */
function isIn({ pixels }: Piece, box: Box, width: number): boolean {
  const inside = pixels.filter((pixel) => {
    const x = pixel % width;
    const y = (pixel - x) / width;
    return x >= box.left && x < box.right && y >= box.top && y < box.bottom;
  });
  return inside.length > pixels.length * 0.65;
}

/** Whether the pieces make up the digit, not only a part that happens to stand alone. */
function covers(exact: Box, box: Box): boolean {
  return exact.bottom - exact.top > (box.bottom - box.top) * 0.6;
}

/** The ink of some pieces, with the soft edge around them. */
function only(ink: Ink, pieces: readonly Piece[]): Ink {
  const data = new Float32Array(ink.data.length);
  for (const { pixels } of pieces) {
    for (const pixel of pixels) {
      for (const near of [0, -1, 1, -ink.width, ink.width]) {
        if (ink.data[pixel + near] !== undefined) data[pixel + near] = ink.data[pixel + near]!;
      }
    }
  }
  return { ...ink, data };
}

/** The ink in a box. */
function within(ink: Ink, box: Box): Ink {
  const data = ink.data.map((value, pixel) => {
    const x = pixel % ink.width;
    const y = (pixel - x) / ink.width;
    return x >= box.left && x < box.right && y >= box.top && y < box.bottom ? value : 0;
  });
  return { ...ink, data };
}
