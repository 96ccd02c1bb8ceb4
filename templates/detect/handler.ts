// Finds shapes in a picture: POST a PNG or JPEG, get boxes. With `accept: image/png` the picture comes back with the boxes
// drawn on it, with `accept: image/svg+xml` the boxes alone.

import { defineHandler, HttpError, tensor } from 'gpufaas';
import sharp from 'sharp';

import { CELL, readGrid, toPicture } from './boxes.ts';
import { drawBoxes } from './draw.ts';
import { preparePicture, SIZE } from './picture.ts';

export default defineHandler<'detector'>(async (request, { models }) => {
  const picture = await preparePicture(request.bytes());
  if (picture === null) throw new HttpError(400, 'The body is no picture. Send a PNG or JPEG file.');
  const { width, height, input, png } = picture;

  const { cells } = await models.detector.run<'cells'>({ picture: tensor([1, 3, SIZE, SIZE], input) });
  const found = toPicture(readGrid(cells.data, SIZE / CELL, SIZE / CELL), SIZE, width, height);

  const accept = request.headers.accept ?? '';
  if (accept.includes('image/svg+xml')) {
    return new Response(drawBoxes(found, width, height), { headers: { 'content-type': 'image/svg+xml' } });
  }
  if (accept.includes('image/png')) {
    const overlay = Buffer.from(drawBoxes(found, width, height));
    const drawn = await sharp(png)
      .composite([{ input: overlay }])
      .png()
      .toBuffer();
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
