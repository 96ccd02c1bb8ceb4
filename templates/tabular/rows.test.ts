// Run by `node --test`: what is taken as rows, and what is said of what is not.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { COLUMNS } from './columns.ts';
import { parseRows } from './rows.ts';

const sample = (name: string): string => readFileSync(new URL(`./samples/${name}`, import.meta.url), 'utf8');
const row = Object.fromEntries(COLUMNS.map((column, i) => [column, i]));

test('JSON and CSV of the same rows give the same numbers', () => {
  const fromJson = parseRows(sample('pumps.json'));
  assert.equal(fromJson.length, 5 * COLUMNS.length);
  assert.deepEqual(parseRows(sample('pumps.csv')), fromJson);
  assert.deepEqual(parseRows(sample('pumps.csv'), 'text/csv'), fromJson);
});

test('columns may come in any order', () => {
  const reversed = Object.fromEntries(Object.entries(row).reverse());
  assert.deepEqual([...parseRows(JSON.stringify({ rows: [reversed] }))], [0, 1, 2, 3, 4, 5, 6, 7]);
});

test('CSV may be as spreadsheets write it', () => {
  const head = COLUMNS.map((column) => `"${column}"`).join(',');
  assert.deepEqual([...parseRows(`\uFEFF${head}\r\n"0",1,2,3,4,5,6,"7"\r\n`)], [0, 1, 2, 3, 4, 5, 6, 7]);
});

test('what does not fit is named by row and column', () => {
  const { flow_m3h: _, ...incomplete } = row;
  assert.throws(() => parseRows(JSON.stringify([row, incomplete])), /Row 2 lacks flow_m3h/u);
  assert.throws(() => parseRows(JSON.stringify([{ ...row, power_kw: 'much' }])), /Row 1 has "much" as power_kw/u);
  assert.throws(() => parseRows(JSON.stringify([{ ...row, colour: 1 }])), /Row 1 has a column "colour"/u);
  assert.throws(() => parseRows(`${COLUMNS.join(',')}\n1,2,3`), /Row 1 has 3 cells/u);
  assert.throws(() => parseRows(JSON.stringify([{ ...row, flow_m3h: null }])), /Row 1 lacks flow_m3h/u);
  assert.throws(() => parseRows(JSON.stringify([{ ...row, flow_m3h: ' ' }])), /Row 1 lacks flow_m3h/u);
  assert.throws(() => parseRows(JSON.stringify([{ ...row, flow_m3h: 1e39 }])), /Row 1 has 1e\+39 as flow_m3h/u);
  assert.throws(() => parseRows('speed_rpm,flow_m3h\n1,2'), /does not name inlet_bar/u);
  assert.throws(() => parseRows(COLUMNS.join(';')), /does not name speed_rpm.*parted by commas/u);
  assert.throws(() => parseRows('[1, 2]'), /list of objects/u);
  assert.throws(() => parseRows('[{]'), /neither JSON nor CSV/u);
  assert.throws(() => parseRows('[]'), /no rows/u);
  assert.throws(() => parseRows(''), /no rows/u);
});
