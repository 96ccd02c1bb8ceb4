// The line that says where the time of a call went.

import type { CallHeaders } from '../../client/call-headers.ts';
import { isEmulated, MADE_UP } from '../emulated.ts';

/**
 * `MISS load 412 ms → cpu:0 · queue 0 ms · run 9 ms · total 424 ms` or `HIT cpu:0 · queue 0 ms · run 9 ms · total 10 ms`;
 * a call that ran no model has only a total. What of a load nobody waited for is told at the end. An emulated device is
 * told as such: its answers look like any other's.
 */
export function renderTiming(call: Pick<CallHeaders, 'cache' | 'device' | 'durations' | 'totalMs'>): string {
  const part = (step: string) => `${step} ${whole(call.durations[step])}`;
  const total = `total ${whole(call.totalMs)}`;
  const name = call.device ?? '?';
  const device = isEmulated(name) ? `${name} ${MADE_UP}` : name;
  if (call.cache === 'none') return `NO MODEL RUN · ${total}`;
  const start = call.cache === 'miss' ? `MISS ${part('load')} → ${device}` : `HIT ${device}`;
  const hidden = call.durations['hidden-load'];
  const beside = hidden === undefined ? [] : [`${whole(hidden)} of load beside the handler`];
  return [start, part('queue'), part('run'), total, ...beside].join(' · ');
}

function whole(ms: number | null | undefined): string {
  return `${Math.round(ms ?? 0)} ms`;
}
