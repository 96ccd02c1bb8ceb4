// The memory of one card as its driver tells it, while a worker uses it: measured before and after each load and eviction,
// watched in between for what other processes take. Says when evictions did not give back what they should have.

/** One reading, in bytes. */
export interface CardReading {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** What a card's memory is watched with. Times in milliseconds. */
export interface CardMemoryOptions {
  /** Asks the driver; null if it does not answer. */
  readonly read: () => Promise<CardReading | null>;
  /** To be left to others: less free than this is reported. */
  readonly reserveBytes: number;
  /** The budget of models on this card: a share of it may go missing before a restart is worth it. */
  readonly budgetBytes: number;
  readonly watchMs?: number;
  /** How long a load or an eviction waits for one reading. */
  readonly readLimitMs?: number;
  /** How long an eviction may take to show in the driver's figures. */
  readonly returnLimitMs?: number;
  readonly onNotice: (message: string, details: Readonly<Record<string, unknown>>) => void;
  /** Evictions left so much behind that only a new process gives it back. */
  readonly onLeak: (missingBytes: number) => void;
}

const WATCH_MS = 5_000;
const RETURN_LIMIT_MS = 2_000;
const RETURN_POLL_MS = 100;
/**
 * A load waits this long for each of its measurements; a driver that is slower (one program for all cards of a large machine) must
 * not make every cold start slower.
 */
const LOAD_READ_MS = 100;
/** An eviction is complete when this share of what the load took is back. */
const COMPLETE_SHARE = 0.8;
const LEAST_LEAK_BYTES = 256e6;
const LEAK_SHARE = 0.15;

/** One card under one worker process; `start` with each new process, `stop` with its end. */
export class CardMemory {
  readonly #options: CardMemoryOptions;
  readonly #loadedBytes = new Map<string, number>();
  #latest: CardReading | null = null;
  #reading: Promise<CardReading | null> | undefined;
  /** Starts and ends of loads and evictions; a reading belongs to the time between two of them. */
  #operations = 0;
  #latestAfter = -1;
  #timer: NodeJS.Timeout | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #missingBytes = 0;
  #short = false;

  constructor(options: CardMemoryOptions) {
    this.#options = options;
  }

  /** The last reading; null before the first. */
  get latest(): CardReading | null {
    return this.#latest;
  }

  /** A new process is up: nothing of ours is on the card but its context. */
  async start(): Promise<void> {
    this.#loadedBytes.clear();
    this.#missingBytes = 0;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.refresh(), this.#options.watchMs ?? WATCH_MS);
    this.#timer.unref();
    await this.refresh();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Asks the driver now; several who ask at once share one answer. */
  refresh(): Promise<CardReading | null> {
    if (this.#reading !== undefined) return this.#reading;
    const reading = this.#read().finally(() => {
      if (this.#reading === reading) this.#reading = undefined;
    });
    this.#reading = reading;
    return reading;
  }

  async #read(): Promise<CardReading | null> {
    const operations = this.#operations;
    const reading = await this.#options.read();
    if (reading === null) return null;
    this.#latest = reading;
    this.#latestAfter = operations;
    const { reserveBytes, onNotice } = this.#options;
    const short = reading.freeBytes < reserveBytes;
    if (short !== this.#short) {
      this.#short = short;
      onNotice(short ? 'less of the card is free than its reserve' : 'the reserve of the card is free again', {
        freeBytes: reading.freeBytes,
        totalBytes: reading.totalBytes,
        reserveBytes,
      });
    }
    return reading;
  }

  get #readLimitMs(): number {
    return this.#options.readLimitMs ?? LOAD_READ_MS;
  }

  /** The reading before an operation: the watch's, if nothing of ours happened since, so that nobody waits for the driver. */
  async #before(): Promise<CardReading | null> {
    if (this.#latestAfter === this.#operations) return this.#latest;
    return within(this.refresh(), this.#readLimitMs);
  }

  async #operate<T>(task: () => Promise<T>): Promise<T> {
    this.#operations++;
    try {
      return await task();
    } finally {
      this.#operations++;
      // A reading that began meanwhile says neither what was before nor what is after.
      this.#reading = undefined;
    }
  }

  /** Readings before and after belong to one operation only if no other comes between. */
  #inOrder<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** Carries out a load; `measuredBytes` is what the card has less after it, null if the driver did not say in time. */
  load<T>(
    model: string,
    task: () => Promise<T>,
  ): Promise<{ readonly result: T; readonly measuredBytes: number | null }> {
    return this.#inOrder(async () => {
      const before = await this.#before();
      const result = await this.#operate(task);
      const reading = this.refresh();
      // Even a reading that comes late is what the eviction will be compared with.
      const measured = reading.then((after) => {
        if (before === null || after === null) return null;
        const bytes = Math.max(0, before.freeBytes - after.freeBytes);
        this.#loadedBytes.set(model, bytes);
        return bytes;
      });
      return { result, measuredBytes: await within(measured, this.#readLimitMs) };
    });
  }

  /** Carries out an eviction; ends when the memory is measured back, or the driver's patience is at its end. */
  evict<T>(
    model: string,
    task: () => Promise<T>,
  ): Promise<{ readonly result: T; readonly releasedBytes: number | null }> {
    return this.#inOrder(async () => {
      const expected = this.#loadedBytes.get(model) ?? 0;
      this.#loadedBytes.delete(model);
      const before = await this.#before();
      const result = await this.#operate(task);
      const limitMs = performance.now() + (this.#options.returnLimitMs ?? RETURN_LIMIT_MS);
      let after = await this.refresh();
      const released = (): number => (before === null || after === null ? 0 : after.freeBytes - before.freeBytes);
      while (after !== null && released() < COMPLETE_SHARE * expected && performance.now() < limitMs) {
        await new Promise((resolve) => void setTimeout(resolve, RETURN_POLL_MS));
        after = await this.refresh();
      }
      if (before === null || after === null) return { result, releasedBytes: null };
      this.#account(model, expected, released());
      return { result, releasedBytes: Math.max(0, released()) };
    });
  }

  /** What an eviction left behind adds up; one that gave more than expected makes up for others. */
  #account(model: string, expected: number, released: number): void {
    const { budgetBytes, onNotice, onLeak } = this.#options;
    this.#missingBytes = Math.max(0, this.#missingBytes + expected - released);
    if (released < COMPLETE_SHARE * expected) {
      onNotice('an eviction did not give all memory back', { model, expectedBytes: expected, releasedBytes: released });
    }
    if (this.#missingBytes < Math.max(LEAST_LEAK_BYTES, LEAK_SHARE * budgetBytes)) return;
    const missingBytes = this.#missingBytes;
    this.#missingBytes = 0;
    onLeak(missingBytes);
  }
}

/** The value, or null if it takes longer. */
async function within<T>(value: Promise<T>, limitMs: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), limitMs)));
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}
