// The lines that functions log: kept in the history, and passed on to whoever follows. A slow follower loses lines
// rather than holding anybody up.

import type { LogLineMessage } from '../api/schemas.ts';
import type { LogLine } from '../functions/types.ts';
import type { LogQuery } from '../gateway/platform.ts';
import type { History } from '../store/history.ts';

/** Lines kept for a follower that does not keep up. */
const FOLLOWER_BACKLOG = 1000;
/** What `logs` gives when no number is asked for. */
const DEFAULT_TAIL = 1000;

export class LogHub {
  readonly #history: History;
  readonly #followers = new Set<(line: LogLineMessage) => void>();

  constructor(history: History) {
    this.#history = history;
  }

  write({ atMs, ...line }: LogLine): void {
    const message: LogLineMessage = { at: new Date(atMs).toISOString(), ...line };
    this.#history.log(message);
    for (const follower of this.#followers) follower(message);
  }

  /** True if there is a line of the function. */
  has(name: string): boolean {
    return this.#history.logs(name, 1).length > 0;
  }

  /** The lines of a function, oldest first; with `follow` it goes on until the signal fires. */
  async *read(name: string, query: LogQuery, signal: AbortSignal): AsyncGenerator<LogLineMessage> {
    const backlog: LogLineMessage[] = [];
    let wake = (): void => undefined;
    const follower = (line: LogLineMessage): void => {
      if (line.function !== name) return;
      if (backlog.length >= FOLLOWER_BACKLOG) backlog.shift();
      backlog.push(line);
      wake();
    };
    if (query.follow) this.#followers.add(follower);
    const onAbort = (): void => wake();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const since = query.sinceMs ?? 0;
      for (const line of this.#history.logs(name, query.tail ?? DEFAULT_TAIL)) {
        if (Date.parse(line.at) >= since) yield line;
      }
      while (query.follow && !signal.aborted) {
        const line = backlog.shift();
        if (line !== undefined) yield line;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#followers.delete(follower);
      signal.removeEventListener('abort', onAbort);
    }
  }
}
