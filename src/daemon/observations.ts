// Refines what a load and a run cost from what they really took, and says when the difference is worth telling. What the
// first run after a load takes beyond an ordinary one (pages of mapped weights, caches, lazy initialisation) is part of
// the price of the load: a scheduler that does not see it moves models about as if that were free.

/** Where the bytes of a load came from. */
export type LoadTier = 'disk' | 'host';

/** A moving average, and what was last told of it. */
interface Figure {
  ms: number | null;
  toldMs: number | null;
}

interface Estimate {
  readonly loads: Readonly<Record<LoadTier, Figure>>;
  runMs: number | null;
  toldRunMs: number | null;
  /** Of runs with i + 1 rows, once a batch was seen. */
  runMsByRows: number[] | null;
  toldRunMsByRows: readonly number[];
  /** Of runs side by side that kept all instances busy. */
  readonly sideBySide: Figure;
}

/** What changed enough to matter, in milliseconds; null: nothing. */
export type Refined =
  | { readonly loadMs: number }
  | { readonly hostLoadMs: number }
  | { readonly runMs: number }
  | { readonly runMsByRows: readonly number[] }
  | { readonly sideBySideMs: number }
  | null;

/** Weight of the newest sample in the moving average. */
const WEIGHT = 0.2;
/** Relative change that is worth an event to the core. */
const WORTH_TELLING = 0.05;

export class Observations {
  readonly #estimates = new Map<string, Estimate>();

  /** A run of one row on a model that had run since its load. */
  ran(model: string, runMs: number): Refined {
    const estimate = this.#of(model);
    estimate.runMs = average(estimate.runMs, runMs);
    if (!differs(estimate.toldRunMs, estimate.runMs)) return null;
    estimate.toldRunMs = estimate.runMs;
    return { runMs: estimate.runMs };
  }

  /** A run of several rows; `profile` is what was measured at deploy, for the numbers of rows that were not seen yet. */
  ranRows(model: string, rows: number, runMs: number, profile: readonly number[]): Refined {
    if (rows > profile.length) return null;
    const estimate = this.#of(model);
    const before = estimate.runMsByRows ?? profile;
    // Single runs show how fast the machine is now: what is known of several rows moves with them.
    const scale = (estimate.runMs ?? before[0]!) / before[0]!;
    const now = before.map((ms) => ms * scale);
    now[rows - 1] = average(now[rows - 1]!, runMs);
    estimate.runMsByRows = now;
    if (!differs(estimate.toldRunMsByRows[rows - 1] ?? null, now[rows - 1]!)) return null;
    estimate.toldRunMsByRows = now;
    return { runMsByRows: now };
  }

  /** Runs side by side that took `runMs` on average. */
  ranSideBySide(model: string, runMs: number): Refined {
    const { sideBySide } = this.#of(model);
    sideBySide.ms = average(sideBySide.ms, runMs);
    if (!differs(sideBySide.toldMs, sideBySide.ms)) return null;
    sideBySide.toldMs = sideBySide.ms;
    return { sideBySideMs: sideBySide.ms };
  }

  /** Its instances are made anew: what they take is to be seen. */
  forgetSideBySide(model: string): void {
    const estimate = this.#estimates.get(model);
    if (estimate !== undefined) Object.assign(estimate.sideBySide, { ms: null, toldMs: null });
  }

  /** What runs side by side take; null: none was seen. */
  sideBySideMs(model: string): number | null {
    return this.#estimates.get(model)?.sideBySide.ms ?? null;
  }

  /** A load that took `loadMs`, and its first run; `expectedRunMs` is the profile's, used until there is better. */
  loadedAndRan(
    model: string,
    loadMs: number,
    firstRunMs: number | null,
    expectedRunMs: number,
    tier: LoadTier = 'disk',
  ): Refined {
    const estimate = this.#of(model);
    const figure = estimate.loads[tier];
    const extraMs = firstRunMs === null ? 0 : Math.max(0, firstRunMs - (estimate.runMs ?? expectedRunMs));
    figure.ms = average(figure.ms, loadMs + extraMs);
    if (!differs(figure.toldMs, figure.ms)) return null;
    figure.toldMs = figure.ms;
    return tier === 'disk' ? { loadMs: figure.ms } : { hostLoadMs: figure.ms };
  }

  /** What a load takes by what was seen; null: none was seen from there. */
  loadMs(model: string, tier: LoadTier): number | null {
    return this.#estimates.get(model)?.loads[tier].ms ?? null;
  }

  /** What a run of so many rows takes, in milliseconds; null if none was seen. */
  expectedRunMs(model: string, rows: number): number | null {
    const estimate = this.#estimates.get(model);
    return (rows === 1 ? estimate?.runMs : estimate?.runMsByRows?.[rows - 1]) ?? null;
  }

  forget(model: string): void {
    this.#estimates.delete(model);
  }

  #of(model: string): Estimate {
    let estimate = this.#estimates.get(model);
    if (estimate === undefined) {
      estimate = {
        loads: { disk: { ms: null, toldMs: null }, host: { ms: null, toldMs: null } },
        runMs: null,
        toldRunMs: null,
        runMsByRows: null,
        toldRunMsByRows: [],
        sideBySide: { ms: null, toldMs: null },
      };
      this.#estimates.set(model, estimate);
    }
    return estimate;
  }
}

function average(previous: number | null, sample: number): number {
  return previous === null ? sample : previous + WEIGHT * (sample - previous);
}

function differs(told: number | null, now: number): boolean {
  return told === null || Math.abs(now - told) > WORTH_TELLING * told;
}
