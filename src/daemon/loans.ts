// Memory of devices lent to throwaway workers: asked of the scheduler, waited for within a limit, given back whatever
// happens. Evictions that make the room have really ended before the borrower starts.

import type { Clock } from '../clock.ts';
import { GpufaasError } from '../errors.ts';
import type { SchedulerAction, SchedulerEvent } from '../scheduling/types.ts';

/** Bounds of one loan, in milliseconds. */
export interface LoanLimits {
  /** For the room to be had, evictions included. */
  readonly waitMs: number;
  /** For the use of it; then its signal fires. */
  readonly holdMs: number;
  readonly signal: AbortSignal;
}

/** What came of asking for a loan. */
export type LoanOutcome<T> = { readonly granted: true; readonly result: T } | { readonly granted: false };

/** Lends so many bytes of a device for the time of `use`, whose signal fires when it has to end. */
export type Lend = <T>(
  device: string,
  bytes: number,
  limits: LoanLimits,
  use: (signal: AbortSignal) => Promise<T>,
) => Promise<LoanOutcome<T>>;

export class Loans {
  readonly #clock: Clock;
  readonly #apply: (event: SchedulerEvent) => void;
  readonly #evictionsOf: (device: string) => Promise<unknown>;
  readonly #asked = new Map<string, (granted: boolean) => void>();
  #next = 0;

  /** `evictionsOf` resolves when the evictions under way on a device have ended. */
  constructor(clock: Clock, apply: (event: SchedulerEvent) => void, evictionsOf: (device: string) => Promise<unknown>) {
    this.#clock = clock;
    this.#apply = apply;
    this.#evictionsOf = evictionsOf;
  }

  /** The scheduler has answered. */
  answered({ reservation, granted }: Extract<SchedulerAction, { readonly type: 'reservation' }>): void {
    this.#asked.get(reservation)?.(granted);
  }

  /** Throws CANCELLED if the caller's signal fires before the loan is granted, and whatever `use` throws. */
  lend: Lend = async (device, bytes, { waitMs, holdMs, signal }, use) => {
    const reservation = `loan-${this.#next++}`;
    try {
      if (!(await this.#obtain(reservation, device, bytes, waitMs, signal))) return { granted: false };
      const late = new AbortController();
      const cancelTimer = this.#clock.after(holdMs, () => late.abort());
      try {
        return { granted: true, result: await use(AbortSignal.any([signal, late.signal])) };
      } finally {
        cancelTimer();
      }
    } finally {
      this.#asked.delete(reservation);
      this.#apply({ type: 'unreserve', reservation });
    }
  };

  async #obtain(
    reservation: string,
    device: string,
    bytes: number,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const cancelTimer = this.#clock.after(waitMs, () => resolve(false));
    const cancel = (): void => reject(new GpufaasError('CANCELLED', 'The deployment was given up.'));
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    this.#asked.set(reservation, (granted) => {
      if (granted) void this.#evictionsOf(device).then(() => resolve(true));
      else resolve(false);
    });
    this.#apply({ type: 'reserve', reservation, device, bytes });
    try {
      return await promise;
    } finally {
      cancelTimer();
      signal.removeEventListener('abort', cancel);
    }
  }
}
