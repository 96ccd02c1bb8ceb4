// What happens in the daemon, told to whoever listens: synchronous, in order, holding nothing back.

import type { PlatformEvent } from '../api/events.ts';

export class EventBus {
  readonly #listeners = new Set<(event: PlatformEvent) => void>();

  subscribe(listener: (event: PlatformEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  publish(event: PlatformEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
