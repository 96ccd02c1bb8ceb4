// Finds shapes in a picture: POST a PNG or JPEG, get boxes. With `accept: image/png` the picture comes back with the boxes
// drawn on it, with `accept: image/svg+xml` the boxes alone.

import { defineHandler, HttpError, tensor } from 'gpufaas';

import { CELL, readGrid, toPicture } from './boxes.ts';
import { drawBoxes } from './draw.ts';
import { drawOver, preparePicture, SIZE } from './picture.ts';

export default defineHandler<'detector'>(async (request, { models }) => {
  const file = request.bytes();
  const picture = await preparePicture(file);
  if (typeof picture === 'string') throw new HttpError(400, picture);
  const { width, height, input } = picture;

  const { cells } = await models.detector.run<'cells'>({ picture: tensor([1, 3, SIZE, SIZE], input) });
  const found = toPicture(readGrid(cells.data, SIZE / CELL, SIZE / CELL), SIZE, width, height);

  const accept = request.headers.accept ?? '';
  if (accept.includes('image/svg+xml')) {
    return new Response(drawBoxes(found, width, height), { headers: { 'content-type': 'image/svg+xml' } });
  }
  if (accept.includes('image/png')) {
    const drawn = await drawOver(file, drawBoxes(found, width, height));
    return new Response(new Uint8Array(drawn), { headers: { 'content-type': 'image/png' } });
  }
  const objects = found.map(({ label, score, box }) => ({
    label,
    score: round(score, 1e4),
    box: box.map((n) => round(n, 10)),
  }));
  return { width, height, objects };
});

function round(value: number, parts: number): number {
  return Math.round(value * parts) / parts;
}
