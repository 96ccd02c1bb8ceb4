// Numbers, ranges and steps as they are typed after a flag. What can't be read throws USAGE with what was expected.

import { GpufaasError } from '../errors.ts';

/** Bounds of a number; the message names those that are given. */
export interface Bounds {
  readonly above?: number;
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** A finite decimal number within bounds. */
export function parseNumber(flag: string, text: string, bounds: Bounds = {}): number {
  const value = /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : Number.NaN;
  const { above = -Infinity, atLeast = -Infinity, atMost = Infinity } = bounds;
  if (value > above && value >= atLeast && value <= atMost) return value;
  const limits = [
    ...(bounds.above === undefined ? [] : [`above ${above}`]),
    ...(bounds.atLeast === undefined ? [] : [`of at least ${atLeast}`]),
    ...(bounds.atMost === undefined ? [] : [`of at most ${atMost}`]),
  ];
  throw new GpufaasError(
    'USAGE',
    `${flag} ${JSON.stringify(text)} is not a number ${limits.join(' and ')}.`.replace(' .', '.'),
    {
      suggestions: [`Give ${flag} a number${limits.length === 0 ? '' : ` ${limits.join(' and ')}`}.`],
    },
  );
}

/** A whole number from `least` to `most`. */
export function parseWhole(flag: string, text: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const value = /^\d{1,16}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
  throw new GpufaasError('USAGE', `${flag} ${JSON.stringify(text)} is not a whole number ${range}.`, {
    suggestions: [`Give ${flag} a whole number ${range}.`],
  });
}

const MOST_SEEDS = 10_000;

/** Seeds: `3`, `1-5`, `1,3,7-9`. */
export function parseRange(flag: string, text: string): number[] {
  const seeds = text.split(',').flatMap((part) => {
    const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part.trim());
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last < first || last - first >= MOST_SEEDS)
      throw new GpufaasError('USAGE', `${flag} ${JSON.stringify(text)} is neither a number nor a range.`, {
        suggestions: ['For example 3, or 1-5, or 1,3,7-9.'],
      });
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return [...new Set(seeds)];
}

/** A sweep: `rpm=100..600:50`, both ends included. */
export function parseSteps(flag: string, text: string, parameter: string): number[] {
  const match = /^([a-z-]+)=(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)$/.exec(text.trim());
  const [first, last, step] = [Number(match?.[2]), Number(match?.[3]), Number(match?.[4])];
  const isBad = match === null || match[1] !== parameter || first <= 0 || last < first || step <= 0;
  if (isBad || (last - first) / step > 1000)
    throw new GpufaasError('USAGE', `${flag} ${JSON.stringify(text)} is not a sweep.`, {
      suggestions: [`For example ${parameter}=100..600:50: from 100 to 600 in steps of 50 (at most 1000 of them).`],
    });
  const values: number[] = [];
  for (let index = 0; first + index * step <= last + 1e-9; index++)
    values.push(Number((first + index * step).toFixed(6)));
  return values;
}
