// What tells the work of an invocation that nobody waits for it any more. Imports nothing.

/** The part of an AbortSignal that the path of an invocation uses; every AbortSignal is one. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/**
 * One that is fired by its owner. Each invocation has two: an AbortController would bring an event target with all that belongs to one,
 * which nobody here needs.
 */
export class Cancellation implements CancelSignal {
  readonly #listeners: (() => void)[] = [];
  #aborted = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** Tells everybody who listens, once, in the order they came. */
  cancel(reason?: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#tell();
  }

  #tell(): void {
    const next = this.#listeners.shift();
    if (next === undefined) return;
    try {
      next();
    } finally {
      // One that throws takes nothing from those after it.
      this.#tell();
    }
  }

  /** Called once at most; never if it was fired before. */
  addEventListener(_type: 'abort', listener: () => void): void {
    if (!this.#aborted) this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at >= 0) this.#listeners.splice(at, 1);
  }
}

/** The same as an AbortSignal, for functions of others that ask for one. */
export function asAbortSignal(signal: CancelSignal): AbortSignal {
  if (signal instanceof AbortSignal) return signal;
  const controller = new AbortController();
  if (signal.aborted) controller.abort(signal.reason);
  else signal.addEventListener('abort', () => controller.abort(signal.reason));
  return controller.signal;
}
