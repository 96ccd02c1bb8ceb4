// Which file the time line of each simulation goes to: the one that was named, or, for several, names made from it.

import { parse, join } from 'node:path';
import type { BenchCase } from './cases.ts';

/**
 * One simulation: the file itself. Several: `t.csv` becomes `t.lb-15-seed2.csv`, with only those parts of the name that
 * tell them apart. The sweep has no time lines.
 */
export function timelineFiles(cases: readonly BenchCase[], file: string): Map<BenchCase, string> {
  const own = cases.filter((one) => one.sweepRpm === null);
  const differ = (key: (one: BenchCase) => unknown): boolean => new Set(own.map(key)).size > 1;
  const parts: ((one: BenchCase) => string)[] = [
    ...(differ((one) => one.policy.name) ? [(one: BenchCase) => one.policy.name.replaceAll(/[^\w.-]/g, '_')] : []),
    ...(differ((one) => one.workingSet) ? [(one: BenchCase) => String(one.workingSet)] : []),
    ...(differ((one) => one.seed) ? [(one: BenchCase) => `seed${one.seed}`] : []),
  ];
  const { dir, name, ext } = parse(file);
  return new Map(
    own.map((one) => {
      const suffix = parts.map((part) => part(one)).join('-');
      return [one, suffix === '' ? file : join(dir, `${name}.${suffix}${ext}`)];
    }),
  );
}
