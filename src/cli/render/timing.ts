// The line that says where the time of a call went.

import type { CallHeaders } from '../../client/call-headers.ts';

/**
 * `MISS load 412 ms → cpu:0 · queue 0 ms · run 9 ms · total 424 ms` or `HIT cpu:0 · queue 0 ms · run 9 ms · total 10 ms`;
 * a call that ran no model has only a total.
 */
export function renderTiming(call: Pick<CallHeaders, 'cache' | 'device' | 'durations' | 'totalMs'>): string {
  const part = (name: string) => `${name} ${whole(call.durations[name])}`;
  const total = `total ${whole(call.totalMs)}`;
  const device = call.device ?? '?';
  if (call.cache === 'none') return `NO MODEL RUN · ${total}`;
  const start = call.cache === 'miss' ? `MISS ${part('load')} → ${device}` : `HIT ${device}`;
  return [start, part('queue'), part('run'), total].join(' · ');
}

function whole(ms: number | null | undefined): string {
  return `${Math.round(ms ?? 0)} ms`;
}
