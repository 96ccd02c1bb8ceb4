// How fast a body has to come. All bodies that are being read are looked at together from time to time: a timer for each would be
// work on the way of every call, for the sake of a few that are slow.

/** What one body may be. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** It may take this long before its rate is looked at. */
  readonly graceMs: number;
  /** After that it must have come at this rate on average. */
  readonly minBytesPerSecond: number;
}

/** How often rates are looked at. */
export const RATE_CHECK_MS = 500;

/** True if so many bytes are too few after so long. */
export function isTooSlow(
  { graceMs, minBytesPerSecond }: BodyLimits,
  elapsedMs: number,
  receivedBytes: number,
): boolean {
  if (elapsedMs < graceMs) return false;
  return receivedBytes === 0 || receivedBytes < ((elapsedMs - graceMs) / 1000) * minBytesPerSecond;
}

/** A body that is being read. */
export interface WatchedBody {
  readonly limits: BodyLimits;
  /** On the monotonic clock. */
  readonly startedAtMs: number;
  receivedBytes: number;
  /** Called once if it comes too slowly. */
  readonly fail: () => void;
}

class BodyRates {
  readonly #bodies = new Set<WatchedBody>();
  #timer: NodeJS.Timeout | null = null;

  watch(body: WatchedBody): void {
    this.#bodies.add(body);
    this.#timer ??= setInterval(() => this.#look(), RATE_CHECK_MS).unref();
  }

  unwatch(body: WatchedBody): void {
    this.#bodies.delete(body);
  }

  #look(): void {
    if (this.#bodies.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
      return;
    }
    const now = performance.now();
    for (const body of this.#bodies) {
      if (!isTooSlow(body.limits, now - body.startedAtMs, body.receivedBytes)) continue;
      this.#bodies.delete(body);
      body.fail();
    }
  }
}

/** The bodies that this process is reading. */
export const bodyRates = new BodyRates();
