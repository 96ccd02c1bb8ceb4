// Remembers what was resident, and loads it again in the background after a restart, most valuable first.

import type { Clock } from '../clock.ts';
import type { FunctionStore } from '../store/functions.ts';
import type { Catalog } from './catalog.ts';
import type { Dispatcher } from './dispatcher.ts';

const SAVE_EVERY_MS = 5_000;
/** Of one load in the background; after it the next one is tried. */
const LOAD_TIMEOUT_MS = 60_000;

export interface ResidencyKeeperOptions {
  readonly dispatcher: Dispatcher;
  readonly catalog: Catalog;
  readonly store: FunctionStore;
  readonly clock: Clock;
}

export class ResidencyKeeper {
  readonly #options: ResidencyKeeperOptions;
  #cancelTimer: (() => void) | null = null;
  #saved = '';
  #closed = false;

  constructor(options: ResidencyKeeperOptions) {
    this.#options = options;
  }

  /** Starts loading what was resident before, one model at a time, as long as there is room; then keeps the list current. */
  restore(): void {
    void this.#loadAgain(this.#options.store.residents()).finally(() => {
      if (!this.#closed) this.#schedule();
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#save();
  }

  async #loadAgain(keys: readonly string[]): Promise<void> {
    const { dispatcher, catalog } = this.#options;
    for (const key of keys) {
      if (this.#closed) return;
      const use = catalog.usesOf(key)[0];
      if (use === undefined) continue;
      const { devices } = dispatcher.view();
      if (devices.some((device) => device.resident.some((resident) => resident.model === key))) continue;
      // Only into free memory: what callers loaded meanwhile is worth more than a memory of it.
      const bytes = use.model.model.profile.memoryBytes;
      if (!devices.some((device) => device.memoryBytes - device.usedBytes + device.instanceBytes >= bytes)) continue;
      await dispatcher.load(key, null, LOAD_TIMEOUT_MS).catch(() => undefined);
    }
  }

  #schedule(): void {
    this.#cancelTimer = this.#options.clock.after(SAVE_EVERY_MS, () => {
      this.#save();
      this.#schedule();
    });
  }

  #save(): void {
    const values = new Map<string, number>();
    for (const device of this.#options.dispatcher.view().devices) {
      for (const resident of device.resident) {
        // What was used most, and of that what was used last.
        const value = resident.hits + resident.lastUsedAtMs / 1e12;
        values.set(resident.model, Math.max(values.get(resident.model) ?? 0, value));
      }
    }
    const residents = Array.from(values, ([key, value]) => ({ key, value }));
    const text = JSON.stringify(residents);
    if (text === this.#saved) return;
    this.#saved = text;
    try {
      this.#options.store.saveResidents(residents);
      this.#options.store.touchModels(values.keys(), this.#options.clock.wall());
    } catch {
      // A full disk costs the memory of what was resident, nothing else.
    }
  }
}
