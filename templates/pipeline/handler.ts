// Reads a line of digits: POST a picture, get { text, digits }. One model finds the digits, another reads them all at once.

import { defineHandler, HttpError, tensor } from 'gpufaas';

import { CELL, readGrid } from './grid.ts';
import { decodePicture } from './image.ts';
import { inkOf } from './ink.ts';
import { cutDigit, DIGIT_SIZE, fitLine, LINE_HEIGHT } from './line.ts';

const CLASSES = 10;

export default defineHandler<'finder' | 'reader'>(async (request, { models, log }) => {
  const picture = await decodePicture(request.bytes());
  if (typeof picture === 'string') throw new HttpError(400, picture);
  const ink = inkOf(picture);
  if (ink === null) throw new HttpError(400, 'The picture is empty. Send one that shows a line of digits.');
  const line = fitLine(ink);
  if (line === null) throw new HttpError(400, 'What the picture shows is too long for a line of digits.');

  // Two runs, one after the other; each is scheduled by itself, perhaps on different devices.
  const { cells } = await models.finder.run<'cells'>({ line: tensor([1, 1, LINE_HEIGHT, line.width], line.input) });
  const boxes = readGrid(cells.data, line.width / CELL, LINE_HEIGHT / CELL);
  log.debug('found', { digits: boxes.length });
  if (boxes.length === 0) return { text: '', digits: [] };

  const cuts = boxes.map((box) => cutDigit(ink, line.pieces, line.toPicture(box)));
  const input = new Float32Array(cuts.length * DIGIT_SIZE * DIGIT_SIZE);
  cuts.forEach((cut, row) => input.set(cut.input, row * DIGIT_SIZE * DIGIT_SIZE));
  const shape = [cuts.length, 1, DIGIT_SIZE, DIGIT_SIZE];
  const { logits } = await models.reader.run<'logits'>({ input: tensor(shape, input) });

  const digits = cuts.map(({ box }, row) => {
    const { label, score } = best(logits.data.subarray(row * CLASSES, (row + 1) * CLASSES));
    const { left, top, right, bottom } = box;
    return { label, score, box: [left, top, right - left, bottom - top].map(Math.round) };
  });
  return { text: digits.map(({ label }) => label).join(''), digits };
});

/** The likeliest class and its softmax. */
function best(logits: Float32Array): { label: number; score: number } {
  const highest = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - highest), 0);
  return { label: logits.indexOf(highest), score: Math.round(1e4 / sum) / 1e4 };
}
