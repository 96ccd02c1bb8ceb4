// `--what-if devices=4,memory=16GB,policy=lb,p99=2s`: other hardware or another policy for the same requests, and a limit
// for p99 that asks what to buy.

import { GpufaasError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { parseDuration } from '../units.ts';
import type { BenchFlags } from './settings.ts';

/** What is to be different, as flags; and the p99 to keep, in milliseconds, or null. */
export interface WhatIf {
  readonly flags: Pick<BenchFlags, 'devices' | 'memory' | 'policy'>;
  readonly p99Ms: number | null;
}

const KEYS = ['devices', 'memory', 'policy', 'p99'] as const;
const HINT = 'For example --what-if devices=4,memory=16GB,policy=lb or --what-if p99=2s.';

/** Reads the list; a part without `=` belongs to the value before it. Throws GpufaasError USAGE. */
export function parseWhatIf(text: string): WhatIf {
  const values = new Map<(typeof KEYS)[number], string>();
  let last: (typeof KEYS)[number] | undefined;
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    if (equals === -1 && last !== undefined) {
      values.set(last, `${values.get(last)},${part.trim()}`);
      continue;
    }
    const name = part.slice(0, Math.max(0, equals)).trim();
    const key = KEYS.find((candidate) => candidate === name);
    if (key === undefined) {
      const near = nearest(name, KEYS);
      throw new GpufaasError(
        'USAGE',
        `--what-if: ${JSON.stringify(part)} is none of devices=, memory=, policy=, p99=.`,
        {
          suggestions: [near === undefined ? HINT : `Did you mean ${near}=?`],
        },
      );
    }
    const value = part.slice(equals + 1).trim();
    if (value === '') throw new GpufaasError('USAGE', `--what-if: ${key}= has no value.`, { suggestions: [HINT] });
    values.set(key, value);
    last = key;
  }
  const p99 = values.get('p99');
  const flag = (key: 'devices' | 'memory' | 'policy'): Partial<BenchFlags> =>
    values.has(key) ? { [key]: values.get(key)! } : {};
  return {
    flags: { ...flag('devices'), ...flag('memory'), ...flag('policy') },
    p99Ms: p99 === undefined ? null : parseDuration(p99),
  };
}
