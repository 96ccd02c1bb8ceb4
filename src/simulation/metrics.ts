// From what became of the requests to the figures that are reported. Percentiles are exact: sorted[floor(n * q)].

import type { Outcome } from './kernel.ts';

/** The figures of one simulation, or their average over seeds. Times in milliseconds, ratios from 0 to 1. */
export interface Metrics {
  readonly requests: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Requests dispatched with a load. */
  readonly missRatio: number;
  /** Requests that waited for a load of their model on their device, their own or one under way. */
  readonly coldRatio: number;
  /** Misses while the model was resident elsewhere, as a share of misses. */
  readonly falseMissRatio: number;
  /** Run time / makespan / devices. */
  readonly utilization: number;
  readonly makespanMs: number;
  readonly loads: number;
  /** Run time of a request, on average, were it run by itself. */
  readonly meanRunMs: number;
}

/** The latencies of all requests that were answered, ascending. */
export function sortedLatencies(outcome: Outcome): Float64Array {
  const answered =
    outcome.rejected === 0 ? outcome.latencyMs.slice(0, outcome.requests) : outcome.latencyMs.filter((ms) => ms >= 0);
  return answered.sort();
}

/** The value at quantile `q` of ascending values: sorted[floor(n * q)], zero-based; 0 if there are none. */
export function percentile(sorted: Float64Array | readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

/** The figures of one simulation. */
export function measure(outcome: Outcome, sorted: Float64Array = sortedLatencies(outcome)): Metrics {
  const answered = sorted.length;
  let sum = 0;
  for (const ms of sorted) sum += ms;
  const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  return {
    requests: outcome.requests,
    meanMs: ratio(sum, answered),
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    maxMs: sorted.at(-1) ?? 0,
    missRatio: ratio(outcome.misses, answered),
    coldRatio: ratio(outcome.coldStarts, answered),
    falseMissRatio: ratio(outcome.falseMisses, outcome.misses),
    utilization: ratio(outcome.runMs, outcome.makespanMs * outcome.devices),
    makespanMs: outcome.makespanMs,
    loads: outcome.loads,
    meanRunMs: ratio(outcome.requestedRunMs, outcome.requests),
  };
}

/** The average of each figure over several seeds. */
export function average(runs: readonly Metrics[]): Metrics {
  const mean = (figure: (metrics: Metrics) => number): number =>
    runs.reduce((sum, metrics) => sum + figure(metrics), 0) / runs.length;
  return {
    requests: mean((m) => m.requests),
    meanMs: mean((m) => m.meanMs),
    p50Ms: mean((m) => m.p50Ms),
    p99Ms: mean((m) => m.p99Ms),
    maxMs: mean((m) => m.maxMs),
    missRatio: mean((m) => m.missRatio),
    coldRatio: mean((m) => m.coldRatio),
    falseMissRatio: mean((m) => m.falseMissRatio),
    utilization: mean((m) => m.utilization),
    makespanMs: mean((m) => m.makespanMs),
    loads: mean((m) => m.loads),
    meanRunMs: mean((m) => m.meanRunMs),
  };
}
