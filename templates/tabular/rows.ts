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
      throw new RowError(`Row ${i + 1} has a column ${JSON.stringify(unknown)}, which is none of: ${NAMES}.`);
    }
  });
  return numbers;
}

const NAMES = COLUMNS.join(', ');

type Row = Readonly<Record<string, unknown>>;

function readNumber(value: unknown, row: string, column: string): number {
  if (value === undefined || value === null || (typeof value === 'string' && value.trim() === '')) {
    throw new RowError(`${row} lacks ${column}; each row needs ${NAMES}.`);
  }
  const number = typeof value === 'string' ? Number(value) : value;
  // What the model reads are 32-bit numbers: larger ones would be infinite to it.
  if (typeof number === 'number' && Number.isFinite(Math.fround(number))) return number;
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

/** Numbers and names need no quotes in CSV, but spreadsheets may write them; a byte order mark too. */
function parseCsv(body: string): Row[] {
  const [head = '', ...lines] = body.split(/\r?\n/u).filter((line) => line.trim() !== '');
  const cellsOf = (line: string): string[] => line.split(',').map((cell) => cell.trim().replace(/^"(.*)"$/u, '$1'));
  const names = cellsOf(head.replace(/^\uFEFF/u, ''));
  const missing = COLUMNS.find((column) => !names.includes(column));
  if (head !== '' && missing !== undefined) {
    throw new RowError(`The first line does not name ${missing}. It has to name, parted by commas: ${NAMES}.`);
  }
  return lines.map((line, i) => {
    const cells = cellsOf(line);
    if (cells.length !== names.length) {
      throw new RowError(`Row ${i + 1} has ${cells.length} cells, the first line names ${names.length}.`);
    }
    return Object.fromEntries(names.map((name, j) => [name, cells[j]]));
  });
}
