// The session of a resident model, which can be replaced by one that is loaded in another way.

import type { Manner } from './backend.ts';
import { type RunSession, runsOf, type Session } from './ort.ts';

/** Owned by the model's thread; nothing is called while a run is under way. */
export class ResidentSession {
  #session: Session;
  #run: RunSession;
  #manner: Manner;
  readonly #load: (manner: Manner) => Promise<Session>;

  /** `session` was loaded by `load` in this manner. */
  constructor(session: Session, manner: Manner, load: (manner: Manner) => Promise<Session>) {
    this.#session = session;
    this.#run = runsOf(session);
    this.#manner = manner;
    this.#load = load;
  }

  get session(): Session {
    return this.#session;
  }

  get run(): RunSession {
    return this.#run;
  }

  /** Throws what the load throws; everything is as before then. */
  async change(what: Partial<Manner>): Promise<void> {
    const manner = { ...this.#manner, ...what };
    // The old one is there until the new one is: its file may be gone, or there may be no memory.
    const session = await this.#load(manner);
    const replaced = this.#session;
    this.#session = session;
    this.#run = runsOf(session);
    this.#manner = manner;
    await replaced.release();
  }
}
