// Reads real traces: per-minute invocation counts in the columns of the Azure Functions 2019 data set
// (HashOwner,HashApp,HashFunction,Trigger, then one column a minute). Every refusal names line and column.

import { GpufaasError } from '../errors.ts';
import { csvError, csvLines } from './csv.ts';

/** A stretch of a trace, in minutes from its first column. */
export interface TraceWindow {
  readonly start: number;
  readonly minutes: number;
}

/** The functions that were called in a window, busiest first. */
export interface Trace {
  readonly minutes: number;
  /** For each function its calls by minute. */
  readonly functions: readonly Int32Array[];
  /** Minutes in the file. */
  readonly fileMinutes: number;
}

const FIXED_COLUMNS = ['HashOwner', 'HashApp', 'HashFunction', 'Trigger'];
const HINT =
  'Expected the columns HashOwner,HashApp,HashFunction,Trigger, then one of invocation counts for each minute.';

/** Reads `START:MINUTES`. Throws GpufaasError USAGE for anything else. */
export function parseWindow(text: string): TraceWindow {
  const match = /^(\d+):(\d+)$/.exec(text.trim());
  if (match === null)
    throw new GpufaasError('USAGE', `--window ${JSON.stringify(text)} is not START:MINUTES.`, {
      suggestions: ['For example --window 60:30: thirty minutes from the 61st minute column on.'],
    });
  const window = { start: Number(match[1]), minutes: Number(match[2]) };
  if (window.minutes === 0)
    throw new GpufaasError('USAGE', 'The window is empty: it has 0 minutes.', {
      suggestions: ['Give at least one minute.'],
    });
  return window;
}

/**
 * Reads the functions of a window, busiest first (ties in file order); those without a call are left out. Without a
 * window the whole file. Throws GpufaasError USAGE.
 */
export function parseTrace(text: string, source: string, window?: TraceWindow): Trace {
  let fileMinutes = -1;
  let start = 0;
  let minutes = 0;
  const functions: { readonly counts: Int32Array; readonly total: number }[] = [];
  for (const { number, fields } of csvLines(text)) {
    if (fileMinutes === -1) {
      fileMinutes = checkHeader(fields, number, source);
      start = window?.start ?? 0;
      minutes = window?.minutes ?? fileMinutes;
      if (start + minutes > fileMinutes)
        throw new GpufaasError(
          'USAGE',
          `The window ${start}:${minutes} reaches past the ${fileMinutes} minutes of ${source}.`,
          {
            suggestions: [`Give START:MINUTES with START + MINUTES of at most ${fileMinutes}.`],
          },
        );
      continue;
    }
    if (fields.length !== fileMinutes + FIXED_COLUMNS.length) {
      const column = Math.min(fields.length, fileMinutes + FIXED_COLUMNS.length) + 1;
      throw csvError(
        source,
        number,
        column,
        `${fields.length} fields, the header has ${fileMinutes + FIXED_COLUMNS.length}`,
        HINT,
      );
    }
    const counts = new Int32Array(minutes);
    let total = 0;
    for (let minute = 0; minute < fileMinutes; minute++) {
      const column = FIXED_COLUMNS.length + minute;
      const calls = parseCount(fields[column]!, number, column + 1, source);
      if (minute >= start && minute < start + minutes) total += counts[minute - start] = calls;
    }
    if (total > 0) functions.push({ counts, total });
  }
  if (fileMinutes === -1) throw csvError(source, 1, 1, 'the file is empty', HINT);
  if (functions.length === 0)
    throw new GpufaasError('USAGE', `The window ${start}:${minutes} of ${source} is empty: nothing was called in it.`, {
      suggestions: ['Choose another window.'],
    });
  functions.sort((left, right) => right.total - left.total);
  return { minutes, functions: functions.map((one) => one.counts), fileMinutes };
}

/** The counts of the busiest `count` functions as one table: minute * functions + function. */
export function traceCounts(trace: Trace, count: number): { readonly functions: number; readonly counts: Int32Array } {
  const functions = Math.min(count, trace.functions.length);
  const counts = new Int32Array(trace.minutes * functions);
  for (let index = 0; index < functions; index++) {
    const calls = trace.functions[index]!;
    for (let minute = 0; minute < trace.minutes; minute++) counts[minute * functions + index] = calls[minute]!;
  }
  return { functions, counts };
}

function checkHeader(fields: readonly string[], line: number, source: string): number {
  for (const [index, name] of FIXED_COLUMNS.entries()) {
    if (fields[index]?.trim() !== name)
      throw csvError(
        source,
        line,
        index + 1,
        `expected the column ${name}, found ${JSON.stringify(fields[index] ?? '')}`,
        HINT,
      );
  }
  const minutes = fields.length - FIXED_COLUMNS.length;
  if (minutes === 0) throw csvError(source, line, FIXED_COLUMNS.length + 1, 'there is no minute column', HINT);
  return minutes;
}

function parseCount(field: string, line: number, column: number, source: string): number {
  const count = field.trim() === '' ? Number.NaN : Number(field);
  if (Number.isInteger(count) && count >= 0 && count < 2 ** 31) return count;
  throw csvError(source, line, column, `${JSON.stringify(field)} is not a number of invocations`, HINT);
}
