// Asynchronous calls for people.

import type { AsyncCallSummary } from '../../api/schemas.ts';
import { formatDuration, formatSize } from '../../units.ts';
import { ago } from './ago.ts';
import { renderTable } from './table.ts';

/** One line for each call. */
export function renderCalls(calls: readonly AsyncCallSummary[], nowMs: number): string {
  return renderTable(calls, [
    { title: 'ID', value: (call) => call.id },
    { title: 'FUNCTION', value: (call) => call.function },
    { title: 'STATE', value: (call) => call.state },
    { title: 'STATUS', value: (call) => (call.status === null ? '-' : String(call.status)), align: 'right' },
    { title: 'SUBMITTED', value: (call) => ago(call.submittedAt, nowMs) },
    { title: 'TOOK', value: took, align: 'right' },
    { title: 'INPUT', value: (call) => formatSize(call.requestBytes), align: 'right' },
    { title: 'ANSWER', value: (call) => (call.endedAt === null ? '-' : formatSize(call.answerBytes)), align: 'right' },
    { title: 'TRIES', value: (call) => String(call.attempts), align: 'right' },
    { title: 'CALLBACK', value: (call) => (call.callback === 'none' ? '-' : call.callback) },
  ]);
}

/** How a call that has no answer stands, in a sentence. */
export function pendingSentence(call: AsyncCallSummary, nowMs: number): string {
  if (call.state === 'running' && call.startedAt !== null) {
    return `The call runs, since ${formatDuration(since(call.startedAt, nowMs))}.`;
  }
  return `The call waits; it came ${ago(call.submittedAt, nowMs)}.`;
}

function took({ startedAt, endedAt }: AsyncCallSummary): string {
  return startedAt === null || endedAt === null ? '-' : formatDuration(since(startedAt, Date.parse(endedAt)));
}

function since(at: string, nowMs: number): number {
  return Math.max(0, nowMs - Date.parse(at));
}
