// One invocation while it is under way: its runs, where its time went, and in the end its record.

import type { CacheOutcome, DecisionRecord, InvocationRecord, RunTiming, Timing } from '../api/schemas.ts';
import type { Clock } from '../clock.ts';
import type { GpufaasError } from '../errors.ts';
import type { CallSummary, Surface } from '../gateway/platform.ts';
import type { InferenceResult } from './pending.ts';

export class Call {
  readonly id: string;
  readonly function: string;
  readonly version: number;
  readonly surface: Surface;
  readonly arrivedAtMs: number;
  readonly #clock: Clock;
  readonly #runs: RunTiming[] = [];
  readonly #decisions: DecisionRecord[] = [];
  #waitingRuns = 0;
  #waitingSinceMs = 0;
  /** Time in which at least one run was under way. */
  #waitedMs = 0;
  #endedAtMs: number | null = null;

  constructor(clock: Clock, id: string, name: string, version: number, surface: Surface, arrivedAtMs: number) {
    this.#clock = clock;
    this.id = id;
    this.function = name;
    this.version = version;
    this.surface = surface;
    this.arrivedAtMs = arrivedAtMs;
  }

  /** True until the first run was submitted: later runs of an admitted invocation are never refused. */
  get fresh(): boolean {
    return this.#waitingRuns === 0 && this.#runs.length === 0;
  }

  /**
   * A copy of the model that was loaded after this makes its next run a miss: it is the arrival that the load followed, and
   * with a hint the load may be over before the handler asks. Later runs of the model use what the first one found.
   */
  coldAfterMs(model: string): number {
    return this.#runs.some((run) => run.model === model) ? this.#clock.now() : this.arrivedAtMs;
  }

  runSubmitted(): void {
    if (this.#waitingRuns++ === 0) this.#waitingSinceMs = this.#clock.now();
  }

  /** The run ended, with a result or without. */
  runEnded(model: string, result: InferenceResult | null): void {
    if (--this.#waitingRuns === 0) this.#waitedMs += this.#clock.now() - this.#waitingSinceMs;
    if (result === null) return;
    const { device, cache, queueMs, loadMs, hiddenLoadMs, runMs, together, wentAlong, decision } = result;
    this.#runs.push({
      model,
      device,
      cache,
      queueMs: round(queueMs),
      loadMs: round(loadMs),
      ...(hiddenLoadMs > 0 && { hiddenLoadMs: round(hiddenLoadMs) }),
      runMs: round(runMs),
      ...(together > 1 && { together }),
      ...(wentAlong && { wentAlong }),
    });
    if (decision !== null) {
      this.#decisions.push({ model, device, reason: decision.reason, considered: [...decision.considered] });
    }
  }

  /** Its time stands still from now on. */
  end(): void {
    this.#endedAtMs = this.#clock.now();
  }

  summary(): CallSummary {
    return {
      version: this.version,
      cache: this.#cache(),
      device: this.#runs[0]?.device ?? null,
      timing: this.#timing(),
    };
  }

  /** What will be remembered of it. */
  record(status: number, error: GpufaasError | null): InvocationRecord {
    return {
      id: this.id,
      function: this.function,
      version: this.version,
      surface: this.surface,
      status,
      errorCode: error?.code ?? null,
      errorMessage: error?.message ?? null,
      arrivedAt: new Date(this.#clock.wall() - (this.#clock.now() - this.arrivedAtMs)).toISOString(),
      cache: this.#cache(),
      device: this.#runs[0]?.device ?? null,
      runs: this.#runs,
      timing: this.#timing(),
      decisions: this.#decisions,
    };
  }

  #cache(): CacheOutcome {
    if (this.#runs.length === 0) return 'none';
    return this.#runs.some((run) => run.cache === 'miss') ? 'miss' : 'hit';
  }

  #timing(): Timing {
    let queueMs = 0;
    let loadMs = 0;
    let hiddenLoadMs = 0;
    let runMs = 0;
    for (const run of this.#runs) {
      queueMs += run.queueMs;
      loadMs += run.loadMs;
      hiddenLoadMs += run.hiddenLoadMs ?? 0;
      runMs += run.runMs;
    }
    const now = this.#endedAtMs ?? this.#clock.now();
    const totalMs = now - this.arrivedAtMs;
    const waitedMs = this.#waitedMs + (this.#waitingRuns > 0 ? now - this.#waitingSinceMs : 0);
    const handlerMs = this.surface === 'infer' ? 0 : Math.max(0, totalMs - waitedMs);
    return {
      queueMs: round(queueMs),
      loadMs: round(loadMs),
      ...(hiddenLoadMs > 0 && { hiddenLoadMs: round(hiddenLoadMs) }),
      runMs: round(runMs),
      handlerMs: round(handlerMs),
      totalMs: round(totalMs),
    };
  }
}

/** Microseconds are enough. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
