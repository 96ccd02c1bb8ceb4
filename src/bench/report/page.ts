// A bench as one HTML file that needs nothing else: tables, latency distributions, load sweep, hit ratios, device time lines.

import { formatSize } from '../../units.ts';
import type { Advice, Purchase } from '../advice.ts';
import { describeDevices } from '../context.ts';
import type { PairedRatio } from '../real/paired.ts';
import type { RecordedFigures } from '../recording.ts';
import { CDF_QUANTILES } from '../run-case.ts';
import { CARRIES_UP_TO } from '../results.ts';
import type { BenchResult, Sweep } from '../results.ts';
import type { BenchReport, CaseDetail } from '../run-bench.ts';
import { describeRequests } from '../table.ts';
import { deviceLanes } from './device-lanes.ts';
import { outcomeBars } from './outcome-bars.ts';
import { COLORS, REPORT_STYLE } from './style.ts';
import { escape, lineChart } from './svg.ts';

/** How much of the time lines is drawn, in milliseconds. */
export const PICTURE_MS = 100_000;

const HEADINGS = [
  'policy',
  'mean',
  'p50',
  'p99',
  'max',
  'miss',
  'cold',
  'false misses',
  'utilization',
  'loads',
  'speed-up over lb',
];

/** The page, as text. */
export function renderPage(report: BenchReport, details: readonly CaseDetail[]): string {
  const policies = [...new Set(report.results.map((result) => result.policy))];
  const color = (policy: string): number => policies.indexOf(policy) % COLORS;
  const workingSets = [...new Set(report.results.map((result) => result.workingSet))];
  const tables = workingSets.map((workingSet) => {
    const results = report.results.filter((result) => result.workingSet === workingSet);
    return `<h3>Working set ${workingSet}</h3>${table(results)}`;
  });
  const context = report.context;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>gpufaas bench</title><style>${REPORT_STYLE}</style></head><body>
<h1>gpufaas bench</h1>
<p class="soft">${escape(describeRequests(report.workload))} · ${escape(describeDevices(context.devices))} · ${escape(context.date)}</p>
<p>Models: ${escape(report.workload.profile)}</p>
${report.interrupted ? '<p><b>Interrupted:</b> this is what was done until then.</p>' : ''}
<h2>Results</h2>${tables.join('\n')}
<h2>Latency distributions</h2><p class="soft">Share of requests answered within a time; logarithmic axis.</p>
<div class="charts">${workingSets.map((workingSet) => distribution(workingSet, details, color)).join('\n')}</div>
${report.sweep === undefined ? '' : renderSweep(report.sweep, color)}
${report.recorded === undefined ? '' : renderRecorded(report.recorded, report.asIs ?? [])}
${report.simulated?.length ? renderSimulated(report.results, report.simulated) : ''}
${report.paired?.length ? renderPaired(report.paired) : ''}
${report.advice?.length ? renderAdvice(report.advice) : ''}
<h2>Hits and misses</h2><p class="soft">A false miss: the model was resident on another device.</p>
<div class="charts">${workingSets
    .map((workingSet) =>
      outcomeBars(
        `Working set ${workingSet}`,
        report.results.filter((result) => result.workingSet === workingSet),
      ),
    )
    .join('\n')}</div>
${renderLanes(report, details)}
<h2>Context</h2><pre>${escape(JSON.stringify({ ...context, devices: describeDevices(context.devices) }, null, 2))}</pre>
</body></html>
`;
}

function table(results: readonly BenchResult[]): string {
  const percent = (ratio: number): string => `${(ratio * 100).toFixed(1)}%`;
  const rows = results.map((result) => {
    const cells = [
      escape(result.policy),
      seconds(result.meanMs),
      seconds(result.p50Ms),
      seconds(result.p99Ms),
      seconds(result.maxMs),
      percent(result.missRatio),
      percent(result.coldRatio),
      percent(result.falseMissRatio),
      percent(result.utilization),
      String(Math.round(result.loads)),
      result.speedup === null ? '–' : `${result.speedup.toFixed(2)}x`,
    ];
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const head = HEADINGS.map((heading) => `<th>${heading}</th>`).join('');
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function distribution(workingSet: number, details: readonly CaseDetail[], color: (policy: string) => number): string {
  return lineChart({
    title: `Working set ${workingSet}`,
    series: details
      .filter((detail) => detail.workingSet === workingSet)
      .map(({ policy, cdfMs }) => ({
        label: policy,
        color: color(policy),
        points: cdfMs.map((ms, index) => [Math.max(ms, 0.1), CDF_QUANTILES[index]!] as const),
      })),
    xLabel: 'latency',
    yLabel: 'share of requests',
    logX: true,
    formatX: seconds,
    formatY: (share) => `${Math.round(share * 100)}%`,
  });
}

function renderSweep(sweep: Sweep, color: (policy: string) => number): string {
  const workingSets = [...new Set(sweep.points.map((point) => point.workingSet))];
  const charts = workingSets.map((workingSet) => {
    const points = sweep.points.filter((point) => point.workingSet === workingSet);
    return lineChart({
      title: `Working set ${workingSet}`,
      series: [...new Set(points.map((point) => point.policy))].map((policy) => ({
        label: policy,
        color: color(policy),
        points: points.filter((point) => point.policy === policy).map((point) => [point.rpm, point.meanMs] as const),
      })),
      xLabel: 'requests a minute',
      yLabel: 'mean latency',
      logY: true,
      formatX: String,
      formatY: seconds,
      dots: true,
    });
  });
  const carried = sweep.carried.map(({ policy, workingSet, rpm }) => {
    return `<tr><td>${escape(policy)}</td><td>${workingSet}</td><td>${rpm ?? 'less than the lowest'}</td></tr>`;
  });
  return `<h2>Load sweep</h2><p class="soft">A policy carries a load while its mean latency is at most ${CARRIES_UP_TO} times the mean run time.</p>
<div class="charts">${charts.join('\n')}</div>
<table><thead><tr><th>policy</th><th>working set</th><th>highest load carried, requests a minute</th></tr></thead><tbody>${carried.join('')}</tbody></table>`;
}

function renderRecorded(recorded: RecordedFigures, asIs: readonly BenchResult[]): string {
  const rows = [
    { name: `recorded, ${recorded.policy}`, ...recorded },
    ...asIs.map((result) => ({ name: `simulated as it was, ${result.policy}`, ...result })),
  ].map((row) => {
    const times = [row.meanMs, row.p50Ms, row.p99Ms, row.maxMs].map(seconds);
    return [row.name, String(row.requests), ...times];
  });
  return `<h2>As it was</h2><p class="soft">How the requests fared when they were real, and how the simulator sees that.</p>
${plainTable(['', 'requests', 'mean', 'p50', 'p99', 'max'], rows)}`;
}

function renderSimulated(results: readonly BenchResult[], simulated: readonly BenchResult[]): string {
  const rows = results.flatMap((result) => {
    const twin = simulated.find((one) => one.policy === result.policy && one.workingSet === result.workingSet);
    if (twin === undefined) return [];
    return [[result.policy, String(result.workingSet), seconds(result.meanMs), seconds(twin.meanMs)]];
  });
  return `<h2>Daemon and simulator</h2>${plainTable(['policy', 'working set', 'mean, daemon', 'mean, simulator'], rows)}`;
}

function renderPaired(paired: readonly PairedRatio[]): string {
  const rows = paired.map((one) => {
    const interval = one.low === null || one.high === null ? '–' : `${one.low.toFixed(3)} to ${one.high.toFixed(3)}`;
    return [`${one.policy} / ${one.against}`, String(one.pairs), one.ratio.toFixed(3), interval];
  });
  return `<h2>Mean latency, paired by seed</h2>${plainTable(['policies', 'seeds', 'ratio', '95% interval'], rows)}`;
}

function plainTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join('')}</tr>`;
  const body = rows.map((row) => line(row, 'td')).join('');
  return `<div class="scroll"><table><thead>${line(head, 'th')}</thead><tbody>${body}</tbody></table></div>`;
}

function renderAdvice(advice: readonly Advice[]): string {
  const bought = (purchase: Purchase | null): string =>
    purchase === null
      ? 'nothing does'
      : `${purchase.devices} × ${formatSize(purchase.memoryBytes)} (p99 ${seconds(purchase.p99Ms)})`;
  const rows = advice.map((one) => {
    return [one.policy, String(one.workingSet), bought(one.fewestDevices), bought(one.leastMemory)];
  });
  const limit = seconds(advice[0]?.p99LimitMs ?? 0);
  const head = ['policy', 'working set', 'fewest devices', 'least memory'];
  return `<h2>What to buy to keep p99 under ${limit}</h2>${plainTable(head, rows)}`;
}

/** The largest working set is where policies differ most. */
function renderLanes(report: BenchReport, details: readonly CaseDetail[]): string {
  const workingSet = Math.max(...report.results.map((result) => result.workingSet));
  const lanes = details
    .filter((detail) => detail.workingSet === workingSet)
    .map(({ policy, picture }) => deviceLanes(policy, picture, report.context.devices.length, PICTURE_MS));
  if (lanes.every((lane) => lane === '')) return '';
  return `<h2>What the devices did</h2><p class="soft">The first ${PICTURE_MS / 1000} seconds at working set ${workingSet}, a lane for each device. Hover for the details.</p>
<ul class="legend"><li><i class="swatch run"></i>run</li><li><i class="swatch load"></i>load</li><li><i class="swatch evict"></i>evict</li></ul>${lanes.join('\n')}`;
}

/** Times as people read them on an axis. */
function seconds(ms: number): string {
  if (ms >= 10_000) return `${Number((ms / 1000).toFixed(1))} s`;
  return ms >= 1000 ? `${Number((ms / 1000).toFixed(2))} s` : `${Number(ms.toPrecision(3))} ms`;
}
