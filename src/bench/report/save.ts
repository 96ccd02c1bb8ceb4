// Writes a bench to a folder: report.html for people, results.json and results.csv for programs.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchResult } from '../results.ts';
import type { BenchFindings } from '../run-bench.ts';
import { renderPage } from './page.ts';

const COLUMNS: readonly (keyof BenchResult)[] = [
  'policy',
  'workingSet',
  'requests',
  'meanMs',
  'p50Ms',
  'p99Ms',
  'maxMs',
  'missRatio',
  'coldRatio',
  'falseMissRatio',
  'utilization',
  'makespanMs',
  'loads',
  'speedup',
];

/** Saves a bench; makes the folder if there is none, replaces the files of an earlier bench. Returns the three paths. */
export function saveBench(folder: string, { report, details }: BenchFindings): string[] {
  mkdirSync(folder, { recursive: true });
  const files: [string, string][] = [
    ['report.html', renderPage(report, details)],
    ['results.json', `${JSON.stringify(report, null, 2)}\n`],
    ['results.csv', resultsCsv(report.results, report.sweep?.points ?? [])],
  ];
  return files.map(([name, content]) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  });
}

/** One line for each result; points of the sweep carry their rate, the bench itself leaves it empty. */
export function resultsCsv(
  results: readonly BenchResult[],
  points: readonly (BenchResult & { readonly rpm: number })[] = [],
): string {
  const line = (rpm: number | null, result: BenchResult): string =>
    [...COLUMNS.map((column) => result[column]), rpm].map((value) => field(value)).join(',');
  return `${[
    [...COLUMNS, 'sweepRpm'].join(','),
    ...results.map((result) => line(null, result)),
    ...points.map((point) => line(point.rpm, point)),
  ].join('\n')}\n`;
}

function field(value: string | number | null): string {
  const text = value === null ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
