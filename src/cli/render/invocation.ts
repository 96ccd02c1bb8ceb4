// One invocation for people: where its time went, which devices were considered, and why this one.

import { styleText } from 'node:util';
import type { DecisionRecord, InvocationRecord, RunTiming } from '../../api/schemas.ts';
import { formatDuration, formatSize } from '../../units.ts';
import { renderPairs, renderTable } from './table.ts';

/** The scheduler's reasons in whole sentences; one it did not have when this was written is shown as it is. */
const REASONS: Readonly<Record<string, string>> = {
  'hit-idle': 'The device was idle and held the model.',
  'hit-queued': 'The device was busy, but held the model and would be free sooner than a load takes.',
  'hit-out-of-order':
    'The device held the model, so the request went ahead of earlier ones that would have needed a load.',
  'skip-limit': 'The request had been overtaken often enough, so it was placed at once.',
  'miss-most-free': 'No device held the model: it was loaded on the idle one with the most free memory.',
  'miss-next-idle': 'The next idle device in turn, wherever the model was.',
  economic: 'Loading it here was the best use of the memory.',
  'age-limit': 'The request had waited as long as any may, so it was placed at once.',
  replica: 'The model was wanted often enough for one more copy.',
  hint: 'The arrival of a call announced the model: it was loaded while the handler prepared its input.',
  preload: 'The model was loaded before anyone asked.',
  requested: 'The load was asked for.',
};

/** Facts, a table of the runs, and each decision. */
export function renderInvocation(record: InvocationRecord): string {
  const { timing } = record;
  const parts = [
    renderPairs([
      ['call', record.id],
      ['function', `${record.function}, version ${record.version}`],
      ['through', record.surface],
      ['arrived', record.arrivedAt],
      ['status', String(record.status)],
      ['error', record.errorCode === null ? null : `${record.errorCode}: ${record.errorMessage ?? ''}`],
      ['cache', record.cache],
      ['total', formatDuration(timing.totalMs)],
      ['  queue', formatDuration(timing.queueMs)],
      ['  load', `${formatDuration(timing.loadMs)}${hiddenPart(timing.hiddenLoadMs)}`],
      ['  run', formatDuration(timing.runMs)],
      ['  handler', formatDuration(timing.handlerMs)],
    ]),
  ];
  if (record.runs.length > 0) parts.push(renderRuns(record.runs));
  parts.push(...record.decisions.map(renderDecision));
  return parts.join('\n\n');
}

function hiddenPart(ms: number | undefined): string {
  return ms === undefined ? '' : ` (and ${formatDuration(ms)} beside the handler, that nobody waited for)`;
}

function renderRuns(runs: readonly RunTiming[]): string {
  return renderTable(runs, [
    { title: 'MODEL', value: (run) => run.model },
    { title: 'DEVICE', value: (run) => run.device },
    { title: 'CACHE', value: (run) => run.cache },
    { title: 'QUEUE', value: (run) => formatDuration(run.queueMs), align: 'right' },
    { title: 'LOAD', value: (run) => formatDuration(run.loadMs), align: 'right' },
    { title: 'RUN', value: (run) => formatDuration(run.runMs), align: 'right' },
    ...(runs.some(({ together }) => together !== undefined)
      ? [{ title: 'SHARED BY', value: sharedBy, align: 'right' as const }]
      : []),
  ]);
}

/** Requests whose rows went through the model together. */
const sharedBy = ({ together }: RunTiming): string => (together === undefined ? '-' : `${together} requests`);

function renderDecision(decision: DecisionRecord): string {
  const title = styleText('bold', `${decision.model} → ${decision.device}`, { stream: process.stdout });
  const why = REASONS[decision.reason];
  const reason = why === undefined ? decision.reason : `${why} (${decision.reason})`;
  if (decision.considered.length === 0) return `${title}\n${reason}`;
  const considered = renderTable(decision.considered, [
    { title: 'CONSIDERED', value: (device) => device.device },
    { title: 'MODEL', value: (device) => (device.resident ? 'resident' : '-') },
    { title: 'STATE', value: (device) => (device.busy ? 'busy' : 'idle') },
    { title: 'FREE', value: (device) => formatSize(device.freeBytes), align: 'right' },
    {
      title: 'ESTIMATE',
      value: (device) => (device.estimateMs === null ? '-' : formatDuration(device.estimateMs)),
      align: 'right',
    },
  ]);
  return `${title}\n${reason}\n${considered}`;
}
