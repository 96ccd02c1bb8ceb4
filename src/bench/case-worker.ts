// The entry of a worker thread that simulates: one case at a time, sent as data, answered as data.

import { parentPort } from 'node:worker_threads';
import { toGpufaasError } from '../errors.ts';
import type { BenchCase } from './cases.ts';
import { runCase } from './run-case.ts';
import type { CaseResult, CaseWishes } from './run-case.ts';

/** What the thread is asked. */
export interface ToWorker {
  readonly one: BenchCase;
  readonly wishes: CaseWishes;
}

/** What the thread answers. */
export type FromWorker =
  | { readonly type: 'progress'; readonly done: number }
  | { readonly type: 'result'; readonly result: CaseResult }
  | {
      readonly type: 'error';
      readonly code: string;
      readonly message: string;
      readonly suggestions: readonly string[];
    };

function answer(message: FromWorker): void {
  parentPort?.postMessage(message);
}

parentPort?.on('message', ({ one, wishes }: ToWorker) => {
  runCase(one, wishes, (done) => answer({ type: 'progress', done }))
    .then((result) => answer({ type: 'result', result }))
    .catch((thrown: unknown) => {
      const { code, message, suggestions } = toGpufaasError(thrown);
      answer({ type: 'error', code, message, suggestions });
    });
});
