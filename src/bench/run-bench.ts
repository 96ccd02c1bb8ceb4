// One bench from its settings to its findings: lists the simulations, runs them, sums them up.

import { GpufaasError } from '../errors.ts';
import type { TimelineRow } from '../simulation/timeline.ts';
import { advise } from './advice.ts';
import type { Advice } from './advice.ts';
import { listCases } from './cases.ts';
import type { BenchCase } from './cases.ts';
import { describeContext, describeWorkload, settingsOf } from './context.ts';
import type { BenchContext, WorkloadSummary } from './context.ts';
import { choosePolicy } from './policies.ts';
import { finishedCases, summarise, summariseSweep } from './results.ts';
import type { SeededResult, Sweep } from './results.ts';
import { runCases } from './run-cases.ts';
import type { RunOptions } from './run-cases.ts';
import type { PairedRatio } from './real/paired.ts';
import type { RecordedFigures } from './recording.ts';
import type { BenchSettings } from './settings.ts';
import { timelineFiles } from './timeline-files.ts';

/** What `--json` prints and `results.json` holds. */
export interface BenchReport {
  readonly context: BenchContext;
  readonly workload: WorkloadSummary;
  readonly results: readonly SeededResult[];
  readonly sweep?: Sweep;
  /** Of a replay: how the requests fared when they were real. */
  readonly recorded?: RecordedFigures;
  /** Of a what-if: the same requests, simulated on the daemon's own devices under its own policy. */
  readonly asIs?: readonly SeededResult[];
  /** Of an emulation: what the simulator gives for the same requests on the same devices. */
  readonly simulated?: readonly SeededResult[];
  /** Of a live bench: how policies compare, seed by seed. */
  readonly paired?: readonly PairedRatio[];
  /** What to buy to keep p99 under the limit. */
  readonly advice?: readonly Advice[];
  /** True if the bench was stopped before its end: what is missing was not run. */
  readonly interrupted?: true;
}

/** For the pictures of the report: one policy at one working set, first seed. */
export interface CaseDetail {
  readonly policy: string;
  readonly workingSet: number;
  readonly cdfMs: readonly number[];
  readonly picture: readonly TimelineRow[];
}

/** A report, its pictures, and the time lines that were written. */
export interface BenchFindings {
  readonly report: BenchReport;
  readonly details: readonly CaseDetail[];
  readonly timelines: readonly string[];
}

/** What a bench is to do besides its figures. */
export interface BenchWishes extends Pick<RunOptions, 'signal' | 'onProgress'> {
  readonly timeline?: string | undefined;
  /** Keep so much of the time lines for pictures. */
  readonly pictureMs?: number;
  /** Find what to buy to keep p99 under this. */
  readonly p99LimitMs?: number | null;
}

/** Runs a bench. After the signal, what was done until then. Throws GpufaasError before the first simulation for bad input. */
export async function runBench(settings: BenchSettings, wishes: BenchWishes = {}): Promise<BenchFindings> {
  const policies = await Promise.all(settings.policies.map(choosePolicy));
  const names = policies.map((policy) => policy.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new GpufaasError('USAGE', `Two of the policies are named ${JSON.stringify(twice)}.`, {
      suggestions: ['Give the policy in your module a name of its own.'],
    });
  const cases = listCases(settings, policies);
  const files = wishes.timeline === undefined ? new Map<BenchCase, string>() : timelineFiles(cases, wishes.timeline);
  const isPictured = (one: BenchCase): boolean => one.sweepRpm === null && one.seed === settings.seeds[0];
  const results = await runCases(cases, {
    signal: wishes.signal,
    onProgress: wishes.onProgress,
    wishes: (one) => ({ timelineFile: files.get(one), pictureMs: isPictured(one) ? wishes.pictureMs : undefined }),
  });
  const sweep = summariseSweep(cases, results);
  const advice = await adviseAll(cases, wishes);
  const details = cases.flatMap((one, index) => {
    const result = results.get(index);
    if (result === undefined || !isPictured(one)) return [];
    return [{ policy: one.policy.name, workingSet: one.workingSet, cdfMs: result.cdfMs, picture: result.picture }];
  });
  const report: BenchReport = {
    context: describeContext('simulation', settings.devices, settingsOf(settings)),
    workload: describeWorkload(settings),
    results: summarise(finishedCases(cases, results, null)),
    ...(sweep === undefined ? {} : { sweep }),
    ...(advice === null ? {} : { advice }),
    ...(results.size < cases.length ? { interrupted: true as const } : {}),
  };
  return { report, details, timelines: [...files.values()] };
}

async function adviseAll(cases: readonly BenchCase[], wishes: BenchWishes): Promise<Advice[] | null> {
  const limit = wishes.p99LimitMs ?? null;
  if (limit === null) return null;
  const groups = Map.groupBy(
    cases.filter((one) => one.sweepRpm === null),
    (one) => `${one.workingSet} ${one.policy.name}`,
  );
  const advice: Advice[] = [];
  for (const group of groups.values()) {
    const found = wishes.signal?.aborted ? null : await advise(group, limit, wishes);
    if (found !== null) advice.push(found);
  }
  return advice;
}
