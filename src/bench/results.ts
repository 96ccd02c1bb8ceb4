// What a bench found, as it is printed, saved and read by other programs: figures per policy and working set, averaged
// over seeds, each seed beside them, and the load sweep.

import { average } from '../simulation/metrics.ts';
import type { Metrics } from '../simulation/metrics.ts';
import type { BenchCase } from './cases.ts';
import type { CaseResult } from './run-case.ts';

/** The figures of one policy at one working set. Times in milliseconds, ratios from 0 to 1. */
export interface BenchResult {
  readonly policy: string;
  readonly workingSet: number;
  readonly requests: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly missRatio: number;
  readonly coldRatio: number;
  readonly falseMissRatio: number;
  readonly utilization: number;
  readonly makespanMs: number;
  readonly loads: number;
  /** Mean of lb over mean of this policy; null where lb was not run. */
  readonly speedup: number | null;
}

/** A result with the seeds it is the average of. */
export interface SeededResult extends BenchResult {
  readonly seeds: readonly (BenchResult & { readonly seed: number })[];
}

/** One rate of the load sweep. */
export interface SweepPoint extends BenchResult {
  readonly rpm: number;
  /** Mean latency is at most three times the mean run time. */
  readonly stable: boolean;
}

/** The load sweep, and the highest load each policy carries. */
export interface Sweep {
  readonly parameter: 'rpm';
  readonly points: readonly SweepPoint[];
  /** Highest rate up to which every point was stable; null if not even the lowest was. */
  readonly carried: readonly { readonly policy: string; readonly workingSet: number; readonly rpm: number | null }[];
}

/** A policy carries a load while its mean latency is at most this many times the mean run time. */
export const CARRIES_UP_TO = 3;

/** One run of one policy, simulated or real. */
export interface Finished {
  readonly policy: string;
  readonly workingSet: number;
  readonly seed: number;
  readonly metrics: Metrics;
}

/** The results of the bench itself, in the order of working sets and policies; what was not finished is left out. */
export function summarise(finished: readonly Finished[]): SeededResult[] {
  const groups = grouped(finished);
  return groups.map((group) => {
    const { policy, workingSet } = group[0]!;
    const rivals = groups.find((other) => other[0]!.policy === 'lb' && other[0]!.workingSet === workingSet) ?? [];
    const seeds = group.map(({ seed, metrics }) => {
      const rival = rivals.find((other) => other.seed === seed);
      return { seed, ...toResult(policy, workingSet, metrics, rival?.metrics) };
    });
    const overall = average(group.map((member) => member.metrics));
    // Paired: an average over other seeds would be another workload.
    const shared = rivals.filter((rival) => group.some((member) => member.seed === rival.seed));
    const rivalOverall = shared.length === group.length ? average(shared.map((rival) => rival.metrics)) : undefined;
    return { ...toResult(policy, workingSet, overall, rivalOverall), seeds };
  });
}

/** What was finished of a list of cases: of the bench itself (`null`), or of one rate of the sweep. */
export function finishedCases(
  cases: readonly BenchCase[],
  results: ReadonlyMap<number, CaseResult>,
  sweepRpm: number | null,
): Finished[] {
  return cases.flatMap((one, index) => {
    const result = results.get(index);
    if (one.sweepRpm !== sweepRpm || result === undefined) return [];
    return [{ policy: one.policy.name, workingSet: one.workingSet, seed: one.seed, metrics: result.metrics }];
  });
}

/** The load sweep; undefined if there was none. */
export function summariseSweep(
  cases: readonly BenchCase[],
  results: ReadonlyMap<number, CaseResult>,
): Sweep | undefined {
  const rates = [...new Set(cases.flatMap((one) => (one.sweepRpm === null ? [] : [one.sweepRpm])))];
  if (rates.length === 0) return undefined;
  const points = rates.flatMap((rpm) => {
    const groups = grouped(finishedCases(cases, results, rpm)).map((group) => {
      const { policy, workingSet } = group[0]!;
      return { policy, workingSet, metrics: average(group.map((member) => member.metrics)) };
    });
    return groups.map(({ policy, workingSet, metrics }) => {
      const rival = groups.find((other) => other.policy === 'lb' && other.workingSet === workingSet);
      const stable = metrics.meanMs <= CARRIES_UP_TO * metrics.meanRunMs;
      return { rpm, stable, ...toResult(policy, workingSet, metrics, rival?.metrics) };
    });
  });
  const pairs = new Map(cases.map((one) => [`${one.workingSet} ${one.policy.name}`, one]));
  const carried = [...pairs.values()].map((one) => {
    const policy = one.policy.name;
    const { workingSet } = one;
    const own = points.filter((point) => point.policy === policy && point.workingSet === workingSet);
    const firstUnstable = own.findIndex((point) => !point.stable);
    const last = own[(firstUnstable === -1 ? own.length : firstUnstable) - 1];
    return { policy, workingSet, rpm: last?.rpm ?? null };
  });
  return { parameter: 'rpm', points, carried };
}

function grouped(finished: readonly Finished[]): Finished[][] {
  return [...Map.groupBy(finished, (one) => `${one.workingSet} ${one.policy}`).values()];
}

function toResult(policy: string, workingSet: number, metrics: Metrics, rival: Metrics | undefined): BenchResult {
  const ms = (value: number): number => Number(value.toFixed(3));
  const ratio = (value: number): number => Number(value.toFixed(6));
  return {
    policy,
    workingSet,
    requests: ms(metrics.requests),
    meanMs: ms(metrics.meanMs),
    p50Ms: ms(metrics.p50Ms),
    p99Ms: ms(metrics.p99Ms),
    maxMs: ms(metrics.maxMs),
    missRatio: ratio(metrics.missRatio),
    coldRatio: ratio(metrics.coldRatio),
    falseMissRatio: ratio(metrics.falseMissRatio),
    utilization: ratio(metrics.utilization),
    makespanMs: ms(metrics.makespanMs),
    loads: ms(metrics.loads),
    speedup: rival === undefined || metrics.meanMs === 0 ? null : ratio(rival.meanMs / metrics.meanMs),
  };
}
