// Runs the simulations of a bench: small benches in this thread, large ones on worker threads. The figures are the same
// either way. Can be stopped at any time and keeps what is done.

import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { GpufaasError, isErrorCode } from '../errors.ts';
import { openWorkload } from '../simulation/workloads.ts';
import type { BenchCase } from './cases.ts';
import type { FromWorker, ToWorker } from './case-worker.ts';
import { runCase } from './run-case.ts';
import type { CaseResult, CaseWishes } from './run-case.ts';

/** How a bench is run, and who is told. */
export interface RunOptions {
  readonly wishes?: (one: BenchCase) => CaseWishes;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then: requests simulated so far, of all cases. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Worker threads for large benches; default one per core. */
  readonly threads?: number;
  /** Start threads from this many requests on; fewer are simulated before a thread is up. */
  readonly threadsFrom?: number;
}

const THREADS_FROM = 200_000;

/** The result of each case by its place in the list; cases that the signal cut off are missing. */
export async function runCases(
  cases: readonly BenchCase[],
  options: RunOptions = {},
): Promise<Map<number, CaseResult>> {
  const sizes = cases.map((one) => openWorkload(one.workload).requests);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const progress = new Progress(sizes, total, options.onProgress);
  const threads = Math.min(options.threads ?? availableParallelism(), cases.length);
  const results = new Map<number, CaseResult>();
  if (total < (options.threadsFrom ?? THREADS_FROM) || threads < 2) await runHere(cases, options, progress, results);
  else await runOnThreads(cases, options, progress, results, threads);
  return results;
}

class Progress {
  readonly #sizes: readonly number[];
  readonly #total: number;
  readonly #report: ((done: number, total: number) => void) | undefined;
  readonly #underWay = new Map<number, number>();
  #ended = 0;

  constructor(sizes: readonly number[], total: number, report: ((done: number, total: number) => void) | undefined) {
    this.#sizes = sizes;
    this.#total = total;
    this.#report = report;
  }

  at(index: number, done: number): void {
    this.#underWay.set(index, done);
    this.#tell();
  }

  end(index: number): void {
    this.#underWay.delete(index);
    this.#ended += this.#sizes[index]!;
    this.#tell();
  }

  #tell(): void {
    let done = this.#ended;
    for (const part of this.#underWay.values()) done += part;
    this.#report?.(done, this.#total);
  }
}

async function runHere(
  cases: readonly BenchCase[],
  options: RunOptions,
  progress: Progress,
  results: Map<number, CaseResult>,
): Promise<void> {
  for (const [index, one] of cases.entries()) {
    // Lets a signal handler run between two cases.
    await new Promise((resolve) => setImmediate(resolve));
    if (options.signal?.aborted) return;
    results.set(index, await runCase(one, options.wishes?.(one), (done) => progress.at(index, done)));
    progress.end(index);
  }
}

async function runOnThreads(
  cases: readonly BenchCase[],
  options: RunOptions,
  progress: Progress,
  results: Map<number, CaseResult>,
  threads: number,
): Promise<void> {
  const isSource = import.meta.url.endsWith('.ts');
  const entry = new URL(isSource ? './case-worker.ts' : './case-worker.js', import.meta.url);
  // One simulation that fails ends them all.
  const failure = new AbortController();
  const signal = options.signal === undefined ? failure.signal : AbortSignal.any([failure.signal, options.signal]);
  let next = 0;
  const serve = async (): Promise<void> => {
    if (next >= cases.length || signal.aborted) return;
    const worker = new Worker(entry);
    try {
      while (next < cases.length && !signal.aborted) {
        const index = next++;
        const one = cases[index]!;
        const message: ToWorker = { one, wishes: options.wishes?.(one) ?? {} };
        const result = await askWorker(worker, message, signal, (done) => progress.at(index, done));
        if (result === null) return;
        results.set(index, result);
        progress.end(index);
      }
    } catch (error) {
      failure.abort();
      throw error;
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: threads }, serve));
}

/** One case on one worker; null if the signal came first. No time limit: a simulation of millions takes minutes. */
function askWorker(
  worker: Worker,
  message: ToWorker,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<CaseResult | null> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      signal.removeEventListener('abort', onAbort);
      act();
    };
    const onAbort = (): void => settle(() => resolve(null));
    const onError = (error: unknown): void => settle(() => reject(error));
    const onExit = (code: number): void =>
      settle(() => reject(new GpufaasError('INTERNAL', `The thread of a simulation ended with code ${code}.`)));
    const onMessage = (answer: FromWorker): void => {
      if (answer.type === 'progress') onProgress(answer.done);
      else if (answer.type === 'result') settle(() => resolve(answer.result));
      else settle(() => reject(revived(answer)));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage(message);
  });
}

function revived(answer: Extract<FromWorker, { type: 'error' }>): GpufaasError {
  const code = isErrorCode(answer.code) ? answer.code : 'INTERNAL';
  return new GpufaasError(code, answer.message, { suggestions: answer.suggestions });
}
