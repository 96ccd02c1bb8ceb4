// Pins of functions: a function is pinned for good only once its models are resident. Until then it is pinned in memory
// alone, so that the load of one of its models does not evict another; what fails or is given up leaves nothing behind.

import { GpufaasError } from '../errors.ts';
import type { FunctionStore } from '../store/functions.ts';
import type { Catalog } from './catalog.ts';

type PinnedFunctions = Pick<Catalog, 'get' | 'need' | 'isPinned' | 'setPinned'>;

export class Pins {
  readonly #catalog: PinnedFunctions;
  readonly #store: Pick<FunctionStore, 'setPinned'>;
  /** By function: pins whose loads are under way, and whether it was pinned before the first of them. */
  readonly #underWay = new Map<string, { count: number; before: boolean }>();

  constructor(catalog: PinnedFunctions, store: Pick<FunctionStore, 'setPinned'>) {
    this.#catalog = catalog;
    this.#store = store;
  }

  /** Pins the function if `load` succeeds; throws what it throws, and CONFLICT if it was unpinned meanwhile. */
  async pin(name: string, load: () => Promise<void>): Promise<void> {
    this.#catalog.need(name);
    const attempt = this.#underWay.get(name) ?? { count: 0, before: this.#catalog.isPinned(name) };
    attempt.count++;
    this.#underWay.set(name, attempt);
    this.#catalog.setPinned(name, true);
    try {
      await load();
      this.#catalog.need(name);
      if (!this.#catalog.isPinned(name)) {
        throw new GpufaasError('CONFLICT', `${name} was unpinned while it was loaded.`, {
          suggestions: [`gpufaas pin ${name}`],
        });
      }
      this.#store.setPinned(name, true);
      attempt.before = true;
    } finally {
      attempt.count--;
      if (attempt.count === 0) {
        this.#underWay.delete(name);
        if (!attempt.before && this.#catalog.get(name) !== undefined) this.#catalog.setPinned(name, false);
      }
    }
  }

  unpin(name: string): void {
    this.#catalog.need(name);
    const attempt = this.#underWay.get(name);
    if (attempt !== undefined) attempt.before = false;
    this.#store.setPinned(name, false);
    this.#catalog.setPinned(name, false);
  }
}
