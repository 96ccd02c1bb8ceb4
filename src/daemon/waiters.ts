// Waits for the device cache to reach a state, checked whenever the scheduler has acted; every wait has an end.

import type { Clock } from '../clock.ts';
import { GpufaasError } from '../errors.ts';

export class Waiters {
  readonly #clock: Clock;
  readonly #checks = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves once `condition` holds; rejects with what it throws, with TIMEOUT, or when the signal fires. */
  until(condition: () => boolean, timeoutMs: number, failure: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (error?: unknown): void => {
        this.#checks.delete(check);
        cancelTimer();
        signal?.removeEventListener('abort', onAbort);
        if (error === undefined) resolve();
        else reject(error as Error);
      };
      const check = (): void => {
        try {
          if (condition()) finish();
        } catch (error) {
          finish(error);
        }
      };
      const gaveUp = new GpufaasError('CANCELLED', 'The caller gave up waiting.');
      const onAbort = (): void => finish(gaveUp);
      // A signal that has fired does not fire again.
      if (signal?.aborted === true) return reject(gaveUp);
      const cancelTimer = this.#clock.after(timeoutMs, () => finish(new GpufaasError('TIMEOUT', failure)));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#checks.add(check);
      check();
    });
  }

  /** Something changed: looks at every condition. */
  notify(): void {
    if (this.#checks.size === 0) return;
    for (const check of Array.from(this.#checks)) check();
  }
}
