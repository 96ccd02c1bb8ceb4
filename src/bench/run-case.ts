// Runs one simulation of a bench and boils it down to what is reported: figures, a distribution, a stretch of time line.

import { closeSync, openSync, writeSync } from 'node:fs';
import type { SchedulingCore } from '../scheduling/types.ts';
import { simulate } from '../simulation/kernel.ts';
import { measure, percentile, sortedLatencies } from '../simulation/metrics.ts';
import type { Metrics } from '../simulation/metrics.ts';
import { TIMELINE_HEADER, timelineLine, timelineObserver } from '../simulation/timeline.ts';
import type { TimelineRow } from '../simulation/timeline.ts';
import { openWorkload } from '../simulation/workloads.ts';
import type { BenchCase } from './cases.ts';
import { schedulerFor } from './policies.ts';

/** What else is wanted of a case. */
export interface CaseWishes {
  /** Write the whole time line to this file. */
  readonly timelineFile?: string | undefined;
  /** Keep the first so many milliseconds of the time line, for a picture. */
  readonly pictureMs?: number | undefined;
}

/** What a case came to. */
export interface CaseResult {
  readonly metrics: Metrics;
  /** Latency in milliseconds at each of `CDF_QUANTILES`. */
  readonly cdfMs: readonly number[];
  /** The beginning of the time line, if it was asked for. */
  readonly picture: readonly TimelineRow[];
  readonly rejected: number;
}

/** Where the distribution of latencies is read off: every percent, and the last one in tenths. */
export const CDF_QUANTILES: readonly number[] = [
  ...Array.from({ length: 99 }, (_, percent) => percent / 100),
  ...Array.from({ length: 11 }, (_, tenth) => 0.99 + tenth / 1000),
];

/** After the last request a time line still shows what the policy does unasked, for at most this long. */
const DRAIN_MS = 600_000;

/** Runs a case to its end. `onProgress` is told the number of requests done. */
export async function runCase(
  one: BenchCase,
  wishes: CaseWishes = {},
  onProgress?: (done: number) => void,
): Promise<CaseResult> {
  const workload = openWorkload(one.workload);
  const core: SchedulingCore = await schedulerFor(one);
  const picture: TimelineRow[] = [];
  const file = wishes.timelineFile === undefined ? null : new LineFile(wishes.timelineFile, TIMELINE_HEADER);
  const keepMs = wishes.pictureMs ?? 0;
  const observer = timelineObserver(workload, (row) => {
    if (row.startMs < keepMs) picture.push(row);
    file?.write(timelineLine(row));
  });
  try {
    const outcome = simulate({
      core,
      devices: one.devices,
      workload,
      ...(file !== null || keepMs > 0 ? { observer } : {}),
      ...(onProgress === undefined ? {} : { onProgress }),
      drainMs: file === null ? 0 : DRAIN_MS,
    });
    const sorted = sortedLatencies(outcome);
    const cdfMs = CDF_QUANTILES.map((quantile) => percentile(sorted, quantile));
    return { metrics: measure(outcome, sorted), cdfMs, picture, rejected: outcome.rejected };
  } finally {
    file?.close();
  }
}

/** A text file written line by line without holding it in memory. */
class LineFile {
  readonly #descriptor: number;
  #pending: string[];

  constructor(path: string, header: string) {
    this.#descriptor = openSync(path, 'w');
    this.#pending = [header];
  }

  write(line: string): void {
    this.#pending.push(line);
    if (this.#pending.length >= 4096) this.#flush();
  }

  close(): void {
    this.#flush();
    closeSync(this.#descriptor);
  }

  #flush(): void {
    if (this.#pending.length > 0) writeSync(this.#descriptor, `${this.#pending.join('\n')}\n`);
    this.#pending = [];
  }
}
