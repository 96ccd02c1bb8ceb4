// Refines what a load and a run cost from what they really took, and says when the difference is worth telling.

interface Estimate {
  loadMs: number | null;
  runMs: number | null;
  toldLoadMs: number | null;
  toldRunMs: number | null;
}

/** Weight of the newest sample in the moving average. */
const WEIGHT = 0.2;
/** Relative change that is worth an event to the core. */
const WORTH_TELLING = 0.05;

export class Observations {
  readonly #estimates = new Map<string, Estimate>();

  /** Takes a sample; returns what changed enough to matter, or null. Runs of one row only. */
  add(model: string, sample: { loadMs?: number; runMs?: number }): { loadMs?: number; runMs?: number } | null {
    let estimate = this.#estimates.get(model);
    if (estimate === undefined) {
      estimate = { loadMs: null, runMs: null, toldLoadMs: null, toldRunMs: null };
      this.#estimates.set(model, estimate);
    }
    if (sample.loadMs !== undefined) {
      estimate.loadMs = average(estimate.loadMs, sample.loadMs);
      if (!differs(estimate.toldLoadMs, estimate.loadMs)) return null;
      estimate.toldLoadMs = estimate.loadMs;
      return { loadMs: estimate.loadMs };
    }
    if (sample.runMs === undefined) return null;
    estimate.runMs = average(estimate.runMs, sample.runMs);
    if (!differs(estimate.toldRunMs, estimate.runMs)) return null;
    estimate.toldRunMs = estimate.runMs;
    return { runMs: estimate.runMs };
  }

  forget(model: string): void {
    this.#estimates.delete(model);
  }
}

function average(previous: number | null, sample: number): number {
  return previous === null ? sample : previous + WEIGHT * (sample - previous);
}

function differs(told: number | null, now: number): boolean {
  return told === null || Math.abs(now - told) > WORTH_TELLING * told;
}
