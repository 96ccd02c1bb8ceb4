// What the headers of a function's answer say about where its time went.

import { headers as wire } from '../api/routes.ts';
import type { CacheOutcome } from '../api/schemas.ts';

/** See `readCallHeaders`. `durations` is by the name in Server-Timing: queue, load, run. */
export interface CallHeaders {
  readonly id: string | null;
  readonly version: number | null;
  readonly cache: CacheOutcome;
  readonly device: string | null;
  readonly durations: Readonly<Record<string, number>>;
  readonly totalMs: number | null;
}

/** The headers of an answer that say where the time of a call went; times in milliseconds. */
export function readCallHeaders(headers: Readonly<Record<string, string>>): CallHeaders {
  const cache = headers[wire.cache];
  const durations: Record<string, number> = {};
  for (const part of (headers[wire.serverTiming] ?? '').split(',')) {
    const match = /^\s*([a-z-]+)\s*;.*?dur=([\d.]+)/i.exec(part);
    if (match) durations[match[1]!.toLowerCase()] = Number(match[2]);
  }
  const seconds = Number(headers[wire.durationSeconds]);
  return {
    id: headers[wire.callId] ?? null,
    version: headers[wire.version] === undefined ? null : Number(headers[wire.version]),
    cache: cache === 'hit' || cache === 'miss' ? cache : 'none',
    device: headers[wire.device] || null,
    durations,
    totalMs: Number.isFinite(seconds) ? seconds * 1000 : (durations['total'] ?? null),
  };
}
