// How long ago something was, for people.

import { formatDuration } from '../../units.ts';

/** `at` is an ISO date, null for what never was. */
export function ago(at: string | null, nowMs: number): string {
  return at === null ? 'never' : `${formatDuration(Math.max(0, nowMs - Date.parse(at)))} ago`;
}
