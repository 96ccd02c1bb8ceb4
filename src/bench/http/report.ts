// What a load test of one function came to: throughput, latency percentiles, and where the time went.

import { renderPairs } from '../../cli/render/table.ts';
import { GpufaasError } from '../../errors.ts';
import { percentile } from '../../simulation/metrics.ts';
import { formatDuration } from '../../units.ts';
import type { BenchContext } from '../context.ts';
import type { LoadOutcome, LoadPlan } from './load.ts';

/** What `bench http --json` prints. Times in milliseconds, ratios from 0 to 1. */
export interface HttpReport {
  readonly context: BenchContext;
  readonly function: string;
  readonly mode: 'closed' | 'open';
  readonly callers: number | null;
  readonly rate: number | null;
  readonly elapsedMs: number;
  /** Calls that were answered with success. */
  readonly requests: number;
  readonly failed: number;
  /** Open loop: calls given up because too many were under way. */
  readonly notSent: number;
  /** What failed, by status or by what broke, with how often. */
  readonly failures: Readonly<Record<string, number>>;
  readonly throughputPerSecond: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly coldRatio: number;
  /** Means; they add up to the mean latency. */
  readonly time: {
    readonly queueMs: number;
    readonly loadMs: number;
    readonly runMs: number;
    /** In the daemon, but neither waiting nor on a device: the handler, tensors, the gateway. */
    readonly handlerMs: number;
    /** Outside the daemon's own clock: sending, receiving, waiting in this program. */
    readonly transportMs: number;
  };
  readonly interrupted?: true;
  /** True if nothing listened any more in the end: the load may have ended early. */
  readonly daemonGone?: true;
}

/** Sums a load up. */
export function summariseLoad(name: string, plan: LoadPlan, outcome: LoadOutcome, context: BenchContext): HttpReport {
  const good = outcome.answers.filter((answer) => answer.status < 400);
  const sorted = Float64Array.from(good, (answer) => answer.latencyMs).sort();
  const mean = (figure: (answer: (typeof good)[number]) => number): number =>
    good.length === 0 ? 0 : round(good.reduce((sum, answer) => sum + figure(answer), 0) / good.length);
  const failures: Record<string, number> = Object.fromEntries(outcome.broken);
  for (const { status } of outcome.answers)
    if (status >= 400) failures[String(status)] = (failures[String(status)] ?? 0) + 1;
  const time = {
    queueMs: mean((answer) => answer.queueMs),
    loadMs: mean((answer) => answer.loadMs),
    runMs: mean((answer) => answer.runMs),
    handlerMs: mean((answer) => Math.max(0, (answer.serverMs ?? onDevice(answer)) - onDevice(answer))),
    transportMs: mean((answer) => Math.max(0, answer.latencyMs - Math.max(answer.serverMs ?? 0, onDevice(answer)))),
  };
  return {
    context,
    function: name,
    mode: plan.rate === null ? 'closed' : 'open',
    callers: plan.rate === null ? plan.callers : null,
    rate: plan.rate,
    elapsedMs: round(outcome.elapsedMs),
    requests: good.length,
    failed: Object.values(failures).reduce((sum, count) => sum + count, 0),
    notSent: outcome.notSent,
    failures,
    throughputPerSecond: round(good.length / (outcome.elapsedMs / 1000)),
    meanMs: mean((answer) => answer.latencyMs),
    p50Ms: round(percentile(sorted, 0.5)),
    p90Ms: round(percentile(sorted, 0.9)),
    p99Ms: round(percentile(sorted, 0.99)),
    maxMs: round(sorted.at(-1) ?? 0),
    coldRatio: mean((answer) => (answer.cold ? 1 : 0)),
    time,
    ...(plan.signal?.aborted === true ? { interrupted: true as const } : {}),
    ...(outcome.gone ? { daemonGone: true as const } : {}),
  };
}

/** What makes a load test a failure; null if nothing does. */
export function failureOf(report: HttpReport): GpufaasError | null {
  const { requests, failed, elapsedMs } = report;
  if (report.daemonGone) {
    const when = requests === 0 ? 'nothing was answered' : `after ${formatDuration(elapsedMs)}, ${requests} answered`;
    return new GpufaasError('NO_DAEMON', `The daemon is gone: it takes no more connections (${when}).`, {
      suggestions: ['`gpufaas status` shows whether one runs, `gpufaas up` starts one.'],
    });
  }
  if (requests === 0 && failed === 0) {
    return new GpufaasError('TIMEOUT', 'No call was answered.', { suggestions: ['Give it more time with -d.'] });
  }
  if (failed <= requests) return null;
  const name = report.function.split('/', 1)[0]!;
  return new GpufaasError('HANDLER_ERROR', `Most calls failed: ${failed} of ${failed + requests}.`, {
    suggestions: [
      `\`gpufaas logs ${name}\` shows what it logged.`,
      ...(report.failures['429'] === undefined ? [] : ['429 is a full queue: send less, with -c or --rate.']),
    ],
  });
}

/** The report for a terminal. */
export function renderLoad(report: HttpReport): string {
  const { time } = report;
  const failures = Object.entries(report.failures).map(([what, count]) => `${count} × ${what}`);
  const share = (ms: number): string => {
    const percent = report.meanMs === 0 ? 0 : (ms / report.meanMs) * 100;
    return `${formatDuration(ms).padEnd(10)} ${percent.toFixed(0).padStart(3)}%  ${'█'.repeat(Math.round(percent / 4))}`;
  };
  const how =
    report.mode === 'closed'
      ? `${report.callers} callers, each waiting for its answer`
      : `${report.rate} calls a second, whatever the answers do`;
  const head = renderPairs([
    ['function', report.function],
    ['load', `${how}, for ${formatDuration(report.elapsedMs)}`],
    ['throughput', `${report.throughputPerSecond.toFixed(1)} calls/s (${report.requests} answered)`],
    ['failed', report.failed === 0 ? 'none' : `${report.failed}: ${failures.join(', ')}`],
    ['not sent', report.notSent === 0 ? null : `${report.notSent}: the daemon fell too far behind`],
    [
      'latency',
      `mean ${formatDuration(report.meanMs)} · p50 ${formatDuration(report.p50Ms)} · p90 ${formatDuration(report.p90Ms)} · ` +
        `p99 ${formatDuration(report.p99Ms)} · max ${formatDuration(report.maxMs)}`,
    ],
    ['cold', `${(report.coldRatio * 100).toFixed(1)}% waited for a load`],
  ]);
  const where = renderPairs([
    ['queue', share(time.queueMs)],
    ['load', share(time.loadMs)],
    ['run', share(time.runMs)],
    ['handler', share(time.handlerMs)],
    ['transport', share(time.transportMs)],
  ]);
  return `${head}\n\nWhere the time of a call went (means):\n${where}`;
}

function onDevice(answer: { readonly queueMs: number; readonly loadMs: number; readonly runMs: number }): number {
  return answer.queueMs + answer.loadMs + answer.runMs;
}

function round(value: number): number {
  return Number(value.toFixed(3));
}
