// Who kills workers: counts consecutive deaths of a worker while one model was loaded or run. Two in a row with no
// success between put the model in quarantine, until it is deployed again or tried on request.

/** Consecutive deaths at which a model is quarantined. */
const DEATHS = 2;

export class ModelHealth {
  readonly #deaths = new Map<string, number>();
  readonly #barred = new Set<string>();

  isBarred(model: string): boolean {
    return this.#barred.has(model);
  }

  /** A load or run of the model succeeded. */
  lived(model: string): void {
    if (this.#deaths.size > 0) this.#deaths.delete(model);
  }

  /** A worker died during the model's own load or run; true if that puts it in quarantine now. */
  died(model: string): boolean {
    const deaths = (this.#deaths.get(model) ?? 0) + 1;
    this.#deaths.set(model, deaths);
    if (deaths < DEATHS || this.#barred.has(model)) return false;
    this.#barred.add(model);
    return true;
  }

  /** Forgets the past of a model; true if it was in quarantine. */
  clear(model: string): boolean {
    this.#deaths.delete(model);
    return this.#barred.delete(model);
  }
}
