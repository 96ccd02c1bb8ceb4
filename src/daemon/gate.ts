// A bounded door: so many inside at once, so many waiting before it, everybody else refused at once.

import type { CancelSignal } from '../cancellation.ts';
import { GpufaasError } from '../errors.ts';

interface Waiting {
  readonly enter: () => void;
}

export class Gate {
  readonly #limit: number;
  readonly #maxWaiting: number;
  readonly #waiting = new Set<Waiting>();
  #inside = 0;

  constructor(limit: number, maxWaiting: number) {
    this.#limit = limit;
    this.#maxWaiting = maxWaiting;
  }

  /** Inside and waiting. */
  get underWay(): number {
    return this.#inside + this.#waiting.size;
  }

  /** Enters at once if there is room, without a promise; false if there is none. */
  tryEnter(): boolean {
    if (this.#inside >= this.#limit) return false;
    this.#inside++;
    return true;
  }

  /** Enters when there is room; rejects with QUEUE_FULL if too many wait already, or with the signal's reason. */
  async enter(signal: CancelSignal): Promise<void> {
    if (this.tryEnter()) return;
    if (this.#waiting.size >= this.#maxWaiting) {
      throw new GpufaasError('QUEUE_FULL', 'Too many calls of this function are under way.', {
        retryAfterMs: 1000,
        suggestions: ['Try again in a moment, or raise `concurrency` in function.yaml.'],
      });
    }
    await new Promise<void>((resolve, reject) => {
      const waiting: Waiting = {
        enter: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        this.#waiting.delete(waiting);
        reject(
          signal.reason instanceof GpufaasError
            ? signal.reason
            : new GpufaasError('CANCELLED', 'The caller gave up before there was an answer.'),
        );
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiting);
    });
  }

  /** Leaves, and lets the next one in: the place goes over without becoming free. */
  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#inside--;
      return;
    }
    this.#waiting.delete(next);
    next.enter();
  }
}
