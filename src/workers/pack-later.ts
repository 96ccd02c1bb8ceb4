// When the weights of a loaded model are packed: once its runs have lost as much as that takes (the rule of ski rental: what is paid too
// much, whatever comes after, is at most the price again). A pause is waited for, until that much was lost once more: packing holds up
// what comes meanwhile.

/** Nothing ran for so long: the next call is probably not about to come. */
const PAUSE_MS = 50;
/** After so many times the runs it is done without a pause. */
const PATIENCE = 2;

/** What is done once, and when. */
export interface Packing {
  /** So many runs lose as much as it takes. */
  readonly afterRuns: number;
  /** Packs the weights; if that fails everything is as before. */
  pack(): Promise<void>;
}

/** Watches the runs of one loaded model. */
export class PackLater {
  readonly #packing: Packing;
  readonly #begin: (pack: () => Promise<void>) => void;
  #runs = 0;
  #timer: NodeJS.Timeout | undefined;
  #done = false;
  #ended = false;

  /** `begin` carries out what it is given between two runs. */
  constructor(packing: Packing, begin: (pack: () => Promise<void>) => void) {
    this.#packing = packing;
    this.#begin = begin;
  }

  /** True when there is nothing to wait for any more: they are packed, or are about to be. */
  get isDone(): boolean {
    return this.#done;
  }

  /** A run was answered. */
  ran(): void {
    if (this.#done || ++this.#runs < this.#packing.afterRuns) return;
    clearTimeout(this.#timer);
    if (this.#runs >= PATIENCE * this.#packing.afterRuns) this.#pack();
    else this.#timer = setTimeout(() => this.#pack(), PAUSE_MS);
  }

  /** The model goes. */
  end(): void {
    clearTimeout(this.#timer);
    this.#done = true;
    this.#ended = true;
  }

  #pack(): void {
    this.#done = true;
    // What goes meanwhile, before its turn comes, is left alone.
    this.#begin(() => (this.#ended ? Promise.resolve() : this.#packing.pack()));
  }
}
