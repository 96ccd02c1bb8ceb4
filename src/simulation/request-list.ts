// Reads explicit request lists: CSV `at_ms,model`. Every refusal names line and column.

import { csvError, csvLines } from './csv.ts';
import type { CsvLine } from './csv.ts';
import type { Profile } from './profile.ts';
import type { ListWorkload } from './workloads.ts';

const HINT =
  'Expected CSV with the header at_ms,model: whole milliseconds from the start, and a name from the profile.';

/**
 * The workload of a request list. Rows may come in any order: they are put in order of time, and rows of one
 * millisecond stay as in the file. Throws GpufaasError USAGE for times that are not whole and not negative, unknown models, no rows.
 */
export function parseRequestList(text: string, source: string, profile: Profile): ListWorkload {
  const indexOf = new Map(profile.models.map((model, index) => [model.id, index]));
  const times: number[] = [];
  const models: number[] = [];
  let first = true;
  for (const line of csvLines(text)) {
    const isHeader = first && line.fields[0]!.trim() === 'at_ms';
    first = false;
    if (isHeader) checkHeader(line, source);
    else {
      times.push(parseTime(line, source));
      models.push(parseModel(line, source, indexOf));
    }
  }
  if (times.length === 0) throw csvError(source, 1, 1, 'there are no requests', HINT);
  const order = Int32Array.from(times.keys());
  if (times.some((time, row) => row > 0 && time < times[row - 1]!))
    order.sort((left, right) => times[left]! - times[right]! || left - right);
  return {
    kind: 'list',
    models: profile.models,
    atMs: Float64Array.from(order, (row) => times[row]!),
    model: Int32Array.from(order, (row) => models[row]!),
    rows: order,
    workingSet: new Set(models).size,
  };
}

function checkHeader(line: CsvLine, source: string): void {
  if (line.fields.length !== 2 || line.fields[1]!.trim() !== 'model')
    throw csvError(source, line.number, 2, 'the header is not at_ms,model', HINT);
}

function parseTime(line: CsvLine, source: string): number {
  const field = line.fields[0]!.trim();
  if (!/^-?\d+(\.0*)?$/.test(field))
    throw csvError(source, line.number, 1, `${JSON.stringify(field)} is not a whole number of milliseconds`, HINT);
  const time = Number(field);
  if (time < 0) throw csvError(source, line.number, 1, `${field} is negative: the first instant is 0`, HINT);
  if (time > Number.MAX_SAFE_INTEGER / 2) throw csvError(source, line.number, 1, `${field} is too large`, HINT);
  return time;
}

function parseModel(line: CsvLine, source: string, indexOf: ReadonlyMap<string, number>): number {
  if (line.fields.length < 2) throw csvError(source, line.number, 2, 'the model is missing', HINT);
  if (line.fields.length > 2) throw csvError(source, line.number, 3, 'there are more than two fields', HINT);
  const name = line.fields[1]!.trim();
  const index = indexOf.get(name);
  if (index !== undefined) return index;
  const known = [...indexOf.keys()];
  const list = known.length > 8 ? `${known.slice(0, 8).join(', ')}, … (${known.length})` : known.join(', ');
  throw csvError(source, line.number, 2, `unknown model ${JSON.stringify(name)}`, `The profile has ${list}.`);
}
