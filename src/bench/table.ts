// A bench as tables in the terminal: the figures by working set, the speed-up over lb, and the load sweep.

import { renderTable } from '../cli/render/table.ts';
import type { Column } from '../cli/render/table.ts';
import { formatDuration, formatSize } from '../units.ts';
import { describeDevices } from './context.ts';
import type { WorkloadSummary } from './context.ts';
import { CARRIES_UP_TO } from './results.ts';
import type { BenchResult, SeededResult, Sweep, SweepPoint } from './results.ts';
import type { Advice, Purchase } from './advice.ts';
import type { PairedRatio } from './real/paired.ts';
import type { RecordedFigures } from './recording.ts';
import type { BenchReport } from './run-bench.ts';

/** Times that stand under each other are written alike: seconds with two decimals, below one second milliseconds. */
function time(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

const percent = (ratio: number): string => `${(ratio * 100).toFixed(1)}%`;

const COLUMNS: readonly Column<BenchResult>[] = [
  { title: 'POLICY', value: (row) => row.policy },
  { title: 'MEAN', value: (row) => time(row.meanMs), align: 'right' },
  { title: 'P50', value: (row) => time(row.p50Ms), align: 'right' },
  { title: 'P99', value: (row) => time(row.p99Ms), align: 'right' },
  { title: 'MAX', value: (row) => time(row.maxMs), align: 'right' },
  { title: 'MISS', value: (row) => percent(row.missRatio), align: 'right' },
  { title: 'COLD', value: (row) => percent(row.coldRatio), align: 'right' },
  { title: 'FALSE', value: (row) => percent(row.falseMissRatio), align: 'right' },
  { title: 'BUSY', value: (row) => percent(row.utilization), align: 'right' },
  { title: 'LOADS', value: (row) => String(Math.round(row.loads)), align: 'right' },
  {
    title: 'VS LB',
    value: (row) => (row.speedup === null ? '-' : `${row.speedup.toFixed(row.speedup < 10 ? 2 : 1)}x`),
    align: 'right',
  },
];

/** The whole report as text for a terminal. */
export function renderReport(report: BenchReport): string {
  const parts = [renderTitle(report)];
  for (const workingSet of new Set(report.results.map((result) => result.workingSet))) {
    const rows = report.results.filter((result) => result.workingSet === workingSet);
    parts.push(`Working set ${workingSet} · ${Math.round(rows[0]!.requests)} requests${seedNote(rows)}`);
    parts.push(`${renderTable(rows, COLUMNS)}\n`);
  }
  if (report.sweep !== undefined) parts.push(renderSweep(report.sweep));
  if (report.recorded !== undefined) parts.push(renderRecorded(report.recorded, report.asIs ?? []));
  // A bench that was interrupted, or of one policy, may have nothing to compare.
  if (report.simulated !== undefined && report.simulated.length > 0)
    parts.push(renderSimulated(report.results, report.simulated));
  if (report.paired !== undefined && report.paired.length > 0) parts.push(renderPaired(report.paired));
  if (report.advice !== undefined && report.advice.length > 0) parts.push(renderAdvice(report.advice));
  parts.push(`Models: ${report.workload.profile}`);
  return parts.join('\n');
}

function renderTitle({ context, workload }: BenchReport): string {
  if (context.mode === 'live') return `${describeRequests(workload)} · ${describeDevices(context.devices)}, real\n`;
  const overlap = context.settings['overlap'] === false ? 'no overlap' : 'overlap';
  const emulated = context.mode === 'emulate' ? `, the real daemon at ${String(context.settings['speed'])}x speed` : '';
  const preload = context.settings['preload'] === true ? ', preload' : '';
  return `${describeRequests(workload)} · ${describeDevices(context.devices)} · ${overlap}${preload}${emulated}\n`;
}

/** What was asked of the devices, in a few words. */
export function describeRequests(workload: WorkloadSummary): string {
  if (workload.recordedSince !== null) return `Replay of recorded invocations, since ${workload.recordedSince}`;
  if (workload.requestsFile !== null) return `Requests of ${workload.requestsFile}`;
  const rate = workload.rpm === null ? 'at full rate' : `${workload.rpm} requests a minute`;
  if (workload.name === 'live')
    return `Live: ${workload.rpm} requests a minute for ${formatDuration((workload.minutes ?? 0) * 60_000)} each, skew ${workload.skew}`;
  if (workload.trace === null)
    return `Workload "paper" (a reconstruction): ${rate} for ${workload.minutes} minutes, skew ${workload.skew}`;
  const { file, startMinute, minutes } = workload.trace;
  return `Trace ${file}, minutes ${startMinute} to ${startMinute + minutes}, ${rate}`;
}

function seedNote(rows: readonly SeededResult[]): string {
  const seeds = Math.max(...rows.map((row) => row.seeds.length));
  return seeds > 1 ? `, average of ${seeds} seeds` : '';
}

/** Mean latency by rate and policy, and the highest rate each policy carries. */
function renderSweep(sweep: Sweep): string {
  const parts: string[] = [];
  for (const workingSet of new Set(sweep.points.map((point) => point.workingSet))) {
    const points = sweep.points.filter((point) => point.workingSet === workingSet);
    const policies = [...new Set(points.map((point) => point.policy))];
    const at = (rpm: number, policy: string): SweepPoint | undefined =>
      points.find((point) => point.rpm === rpm && point.policy === policy);
    const rates = [...new Set(points.map((point) => point.rpm))];
    const columns: Column<number>[] = [
      { title: 'RPM', value: String, align: 'right' },
      ...policies.map((policy): Column<number> => ({
        title: policy,
        value: (rpm) => {
          const point = at(rpm, policy);
          return point === undefined ? '-' : `${time(point.meanMs)}${point.stable ? '  ' : ' !'}`;
        },
        align: 'right',
      })),
    ];
    const carried = sweep.carried
      .filter((one) => one.workingSet === workingSet)
      .map((one) => `${one.policy} ${one.rpm ?? 'less than the lowest'}`);
    parts.push(`Load sweep, working set ${workingSet}: mean latency by requests a minute`);
    parts.push(renderTable(rates, columns));
    parts.push(
      `Highest load carried (mean at most ${CARRIES_UP_TO}x the mean run time; ! is beyond): ${carried.join(', ')}\n`,
    );
  }
  return parts.join('\n');
}

function renderRecorded(recorded: RecordedFigures, asIs: readonly BenchResult[]): string {
  const rows = [
    { name: `recorded, ${recorded.policy}`, ...recorded },
    ...asIs.map((result) => ({ name: `simulated as it was, ${result.policy}`, ...result })),
  ];
  const table = renderTable(rows, [
    { title: 'FOR COMPARISON', value: (row) => row.name },
    { title: 'REQUESTS', value: (row) => String(row.requests), align: 'right' },
    { title: 'MEAN', value: (row) => time(row.meanMs), align: 'right' },
    { title: 'P50', value: (row) => time(row.p50Ms), align: 'right' },
    { title: 'P99', value: (row) => time(row.p99Ms), align: 'right' },
    { title: 'MAX', value: (row) => time(row.maxMs), align: 'right' },
    { title: 'COLD', value: (row) => percent(row.coldRatio), align: 'right' },
  ]);
  return `${table}\n`;
}

function renderAdvice(advice: readonly Advice[]): string {
  const bought = (purchase: Purchase | null): string =>
    purchase === null
      ? 'nothing does'
      : `${purchase.devices} × ${formatSize(purchase.memoryBytes)} (p99 ${time(purchase.p99Ms)})`;
  const table = renderTable(advice, [
    { title: 'POLICY', value: (row) => row.policy },
    { title: 'WORKING SET', value: (row) => String(row.workingSet), align: 'right' },
    { title: 'FEWEST DEVICES', value: (row) => bought(row.fewestDevices) },
    { title: 'LEAST MEMORY', value: (row) => bought(row.leastMemory) },
  ]);
  return `What to buy to keep p99 under ${time(advice[0]?.p99LimitMs ?? 0)}\n${table}\n`;
}

function renderSimulated(emulated: readonly BenchResult[], simulated: readonly BenchResult[]): string {
  const rows = emulated.flatMap((result) => {
    const twin = simulated.find((one) => one.policy === result.policy && one.workingSet === result.workingSet);
    return twin === undefined ? [] : [{ result, twin }];
  });
  const table = renderTable(rows, [
    { title: 'DAEMON AND SIMULATOR', value: ({ result }) => result.policy },
    { title: 'WORKING SET', value: ({ result }) => String(result.workingSet), align: 'right' },
    { title: 'DAEMON', value: ({ result }) => time(result.meanMs), align: 'right' },
    { title: 'SIMULATOR', value: ({ twin }) => time(twin.meanMs), align: 'right' },
    {
      title: 'DIFFERENCE',
      value: ({ result, twin }) => {
        const difference = (result.meanMs / twin.meanMs - 1) * 100;
        return `${difference < 0 ? '' : '+'}${difference.toFixed(1)}%`;
      },
      align: 'right',
    },
  ]);
  return `${table}\n`;
}

function renderPaired(paired: readonly PairedRatio[]): string {
  const table = renderTable(paired, [
    { title: 'MEAN LATENCY, PAIRED', value: (row) => `${row.policy} / ${row.against}` },
    { title: 'SEEDS', value: (row) => String(row.pairs), align: 'right' },
    { title: 'RATIO', value: (row) => row.ratio.toFixed(3), align: 'right' },
    {
      title: '95% INTERVAL',
      value: (row) => (row.low === null || row.high === null ? '-' : `${row.low.toFixed(3)} to ${row.high.toFixed(3)}`),
      align: 'right',
    },
  ]);
  return `${table}\n`;
}
