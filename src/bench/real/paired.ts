// Paired comparison: each seed was run under both policies, so the ratio is taken seed by seed, and the interval says how
// sure the average of those ratios is.

/** How the mean latency of one policy compares with another's, as a ratio, with its 95% interval. */
export interface PairedRatio {
  readonly policy: string;
  readonly against: string;
  readonly workingSet: number;
  readonly pairs: number;
  /** Geometric mean of the ratios; below 1 the policy is faster. */
  readonly ratio: number;
  /** null with fewer than two pairs. */
  readonly low: number | null;
  readonly high: number | null;
}

/** Two-sided 95% quantiles of Student's t for 1, 2, … degrees of freedom; beyond, the normal distribution's is near enough. */
const T95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086,
];

/** Geometric mean and 95% interval of some ratios (Student's t on their logarithms). */
export function geometricInterval(ratios: readonly number[]): Pick<PairedRatio, 'ratio' | 'low' | 'high'> {
  const logs = ratios.map((ratio) => Math.log(ratio));
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  if (logs.length < 2) return { ratio: Math.exp(mean), low: null, high: null };
  const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / (logs.length - 1);
  const half = (T95[logs.length - 2] ?? 1.96) * Math.sqrt(variance / logs.length);
  return { ratio: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) };
}
