// Who kills workers: counts consecutive deaths of a worker while one model was loaded or run. Two in a row with no
// success between put the model in quarantine, until it is deployed again or tried on request. Deaths that other models
// may have caused as well count for half.

/** Where a model is quarantined: two deaths that were its own, or four that it shared. */
const LIMIT = 4;
const OWN = 2;
/** Beside other models it may be a victim; one that is, succeeds somewhen in between. */
const SHARED = 1;

export class ModelHealth {
  readonly #blame = new Map<string, { load: number; run: number }>();
  readonly #barred = new Set<string>();

  isBarred(model: string): boolean {
    return this.#barred.has(model);
  }

  /** A load succeeded: that says nothing of the runs, which may kill as before. */
  loaded(model: string): void {
    const blame = this.#blame.get(model);
    if (blame !== undefined) blame.load = 0;
  }

  /** A run succeeded. */
  ran(model: string): void {
    if (this.#blame.size > 0) this.#blame.delete(model);
  }

  /** A worker died during the model's load or run (`alone`: and during no other's); true if that puts it in quarantine now. */
  died(model: string, stage: 'load' | 'run', alone: boolean): boolean {
    const blame = this.#blame.get(model) ?? { load: 0, run: 0 };
    this.#blame.set(model, blame);
    blame[stage] += alone ? OWN : SHARED;
    if (blame.load + blame.run < LIMIT || this.#barred.has(model)) return false;
    this.#barred.add(model);
    return true;
  }

  /** Forgets the past of a model; true if it was in quarantine. */
  clear(model: string): boolean {
    this.#blame.delete(model);
    return this.#barred.delete(model);
  }
}
