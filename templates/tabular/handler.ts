// Tells how pumps are from their readings: POST rows as JSON or CSV, get a class with its probabilities for each.

import { defineHandler, HttpError, tensor } from 'gpufaas';

import { CLASSES, COLUMNS } from './columns.ts';
import { parseRows, RowError } from './rows.ts';

export default defineHandler<'classifier'>(async (request, { models }) => {
  const rows = read(request.text(), request.headers['content-type']);
  const count = rows.length / COLUMNS.length;
  // All rows in one run: the first axis of the model is free.
  const { probabilities } = await models.classifier.run<'probabilities'>({
    rows: tensor([count, COLUMNS.length], rows),
  });
  return {
    rows: Array.from({ length: count }, (_, row) => {
      const chances = [...probabilities.data.subarray(row * CLASSES.length, (row + 1) * CLASSES.length)].map(round);
      const label = CLASSES[chances.indexOf(Math.max(...chances))];
      return { label, probabilities: Object.fromEntries(CLASSES.map((name, i) => [name, chances[i]])) };
    }),
  };
});

function read(body: string, contentType: string | undefined): Float32Array {
  try {
    return parseRows(body, contentType);
  } catch (error) {
    if (error instanceof RowError) throw new HttpError(400, error.message);
    throw error;
  }
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
