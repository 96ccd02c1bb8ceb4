// When the threads of a loaded model are left to spin after each run. They are awake when the next run comes, and where they ran before:
// of calls of a few milliseconds that follow each other soon, above all the first after a pause, that saves up to three tenths.
// Whoever else needs the cores pays for it. So it is done once a lone caller has had a model's process to itself for many such runs, and
// ended when others call in between, or when runs become much longer because something else on the machine needs the cores: then the next time is
// further away. It is ended too when runs no longer follow each other.

import { type Manner, SPIN_US } from './backends/backend.ts';

/** What comes later finds the threads asleep. */
const SOON_MS = SPIN_US / 1_000;
/** What comes sooner was waiting already: the answer to the one before has not reached its caller yet. So there are several. */
const WAITED_MS = 0.2;
/** In longer runs what is saved is not noticed; shorter ones are done by one thread. */
const LONGEST_RUN_MS = 10;
const SHORTEST_RUN_MS = 0.5;
/** They spin after so many such runs; each time that had to be ended, after so many times as many, up to a most. */
const FIRST_AFTER = 400;
const BACK_OFF = 4;
const MOST_AFTER = FIRST_AFTER * BACK_OFF ** 3;
/** How long runs are is the median of so many. The first with another session are not counted: they find its caches empty. */
const MEASURED = 100;
const SETTLING = 20;
/** It is ended when they are so many times as long as they were without. Calls after pauses alone can make it a fifth. */
const MUCH_LONGER = 1.4;
/** Or when others ran before, or callers waited for, so many of as many runs as are measured. */
const MOST_INTRUSIONS = 20;
/** Or when so many came too late to profit. */
const MOST_LATE = 100;

/** Watches the runs of one loaded model. */
export class SpinAlone {
  readonly #change: (what: Pick<Manner, 'spins'>) => Promise<void>;
  readonly #begin: (task: () => Promise<void>) => void;
  readonly #times = new Float64Array(MEASURED);
  #spins = false;
  #ended = false;
  /** Runs that count, since they spin or don't. Below 0 while the first are let pass. */
  #runs = 0;
  #neededRuns = FIRST_AFTER;
  #intrusions = 0;
  #late = 0;
  /** The median without. */
  #usualMs = 0;
  #soon = false;
  #lastEndedAtMs = Number.NEGATIVE_INFINITY;

  /** `begin` carries out what it is given between two runs; `change` loads the model anew. */
  constructor(change: (what: Pick<Manner, 'spins'>) => Promise<void>, begin: (task: () => Promise<void>) => void) {
    this.#change = change;
    this.#begin = begin;
  }

  /** A run begins; `alone`: no other model ran in this process since the last one. */
  begins(alone: boolean): void {
    const gapMs = performance.now() - this.#lastEndedAtMs;
    const intrudes = !alone || gapMs < WAITED_MS;
    this.#soon = !intrudes && gapMs < SOON_MS;
    if (!intrudes || this.#ended) return;
    if (!this.#spins) this.#runs = 0;
    else if (++this.#intrusions >= MOST_INTRUSIONS) this.#stop(BACK_OFF);
  }

  /** It took so long; its answer is not sent yet. */
  ran(runMs: number): void {
    this.#lastEndedAtMs = performance.now();
    if (this.#ended) return;
    if (!this.#soon) {
      if (this.#spins && ++this.#late >= MOST_LATE) this.#stop(1);
      return;
    }
    if (!this.#spins && (runMs > LONGEST_RUN_MS || runMs < SHORTEST_RUN_MS)) return;
    if (this.#runs >= 0) this.#times[this.#runs % MEASURED] = runMs;
    this.#runs++;
    if (!this.#spins) {
      if (this.#runs >= this.#neededRuns) this.#start();
    } else if (this.#runs === MEASURED) this.#lookBack();
  }

  /** The model goes. */
  end(): void {
    this.#ended = true;
  }

  #start(): void {
    this.#usualMs = this.#median();
    this.#beginBlock(-SETTLING);
    this.#spin(true);
  }

  #lookBack(): void {
    if (this.#median() > MUCH_LONGER * this.#usualMs) this.#stop(BACK_OFF);
    else this.#beginBlock(0);
  }

  #stop(backOff: number): void {
    this.#neededRuns = Math.min(this.#neededRuns * backOff, MOST_AFTER);
    this.#beginBlock(0);
    this.#spin(false);
  }

  #beginBlock(runs: number): void {
    this.#runs = runs;
    this.#intrusions = 0;
    this.#late = 0;
  }

  #spin(spins: boolean): void {
    this.#spins = spins;
    this.#begin(async () => {
      if (this.#ended) return;
      try {
        await this.#change({ spins });
      } catch {
        // Its file may be gone, or there is no memory for two: it stays as it is.
        this.#ended = true;
      }
    });
  }

  #median(): number {
    return this.#times.toSorted()[MEASURED / 2]!;
  }
}
