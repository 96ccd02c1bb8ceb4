// Reads CSV one line at a time, with errors that name line and column (both from 1).

import { GpufaasError } from '../errors.ts';

/** One line of a CSV file, split at its commas; fields may be quoted. */
export interface CsvLine {
  /** Counts from 1. */
  readonly number: number;
  readonly fields: readonly string[];
}

/** The lines of a CSV text; empty lines are left out. */
export function* csvLines(text: string): Generator<CsvLine> {
  let number = 0;
  let start = text.startsWith('\uFEFF') ? 1 : 0;
  while (start < text.length) {
    let end = text.indexOf('\n', start);
    if (end === -1) end = text.length;
    number++;
    const line = text.slice(start, text[end - 1] === '\r' ? end - 1 : end);
    start = end + 1;
    if (line.trim() !== '') yield { number, fields: line.includes('"') ? splitQuoted(line) : line.split(',') };
  }
}

/** The error for a field that can't be used; `column` counts from 1. */
export function csvError(source: string, line: number, column: number, what: string, hint?: string): GpufaasError {
  return new GpufaasError('USAGE', `${source}, line ${line}, column ${column}: ${what}.`, {
    suggestions: hint === undefined ? [] : [hint],
  });
}

function splitQuoted(line: string): string[] {
  const fields: string[] = [];
  let field = '';
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    const character = line[i]!;
    if (quoted && character === '"' && line[i + 1] === '"') field += line[++i];
    else if (character === '"') quoted = !quoted;
    else if (character === ',' && !quoted) {
      fields.push(field);
      field = '';
    } else field += character;
  }
  fields.push(field);
  return fields;
}
