// From a request's body to the numbers that the model reads. Whatever does not fit is named by row and column.

import { COLUMNS } from './columns.ts';

/** What is wrong with a body, in a sentence for the caller. */
export class RowError extends Error {}

/** Rows of a body: a JSON list of objects (or `{ "rows": […] }`), or CSV whose first line names the columns. */
export function parseRows(body: string, contentType = ''): Float32Array {
  const isCsv = contentType.includes('csv') || !/^\s*[[{]/u.test(body);
  const rows = isCsv ? parseCsv(body) : parseJson(body);
  if (rows.length === 0) throw new RowError('There are no rows. Send a JSON list of objects, or CSV.');
  const numbers = new Float32Array(rows.length * COLUMNS.length);
  rows.forEach((row, i) => {
    COLUMNS.forEach((column, j) => {
      numbers[i * COLUMNS.length + j] = readNumber(row[column], `Row ${i + 1}`, column);
    });
    const unknown = Object.keys(row).find((name) => !COLUMNS.some((column) => column === name));
    if (unknown !== undefined) {
      throw new RowError(
        `Row ${i + 1} has a column ${JSON.stringify(unknown)}, which is none of: ${COLUMNS.join(', ')}.`,
      );
    }
  });
  return numbers;
}

type Row = Readonly<Record<string, unknown>>;

function readNumber(value: unknown, row: string, column: string): number {
  if (value === undefined || value === '') throw new RowError(`${row} lacks ${column}.`);
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw new RowError(`${row} has ${JSON.stringify(value)} as ${column}, which is no number.`);
}

function parseJson(body: string): Row[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    throw new RowError('The body is neither JSON nor CSV.');
  }
  const rows = isRow(parsed) && 'rows' in parsed ? parsed.rows : parsed;
  if (Array.isArray(rows) && rows.every(isRow)) return rows;
  throw new RowError('The body has to be a list of objects, one for each row.');
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseCsv(body: string): Row[] {
  const [head = '', ...lines] = body.split(/\r?\n/u).filter((line) => line.trim() !== '');
  const names = head.split(',').map((name) => name.trim());
  return lines.map((line, i) => {
    const cells = line.split(',').map((cell) => cell.trim());
    if (cells.length !== names.length) {
      throw new RowError(`Row ${i + 1} has ${cells.length} cells, the first line names ${names.length}.`);
    }
    return Object.fromEntries(names.map((name, j) => [name, cells[j]]));
  });
}
