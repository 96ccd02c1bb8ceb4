// The last lines that a handler printed before its deployment failed: they often tell why, and nothing else does.

import type { LogLine } from '../functions/types.ts';

/** Enough for the stack of an uncaught error, as Node prints it. */
const MAX_LINES = 20;
const MAX_LENGTH = 500;

/** Lines as they come from the process: secrets masked, safe to show. */
export class LastLines {
  /** One more than is given: it may be the one left out. */
  #lines: LogLine[] = [];
  #closed = false;

  add(line: LogLine): void {
    if (this.#closed || line.text.trim() === '') return;
    this.#lines = [...this.#lines.slice(-MAX_LINES), line];
  }

  /** Keeps nothing from now on: the process prints for as long as it serves. */
  close(): void {
    this.#closed = true;
    this.#lines = [];
  }

  /** The texts, oldest first, without the line that says of the process what the error says too. */
  besides(error: string): string[] {
    return this.#lines
      .filter(({ stream, level, callId, text }) => !(isNotice(stream, level, callId) && error.endsWith(text)))
      .slice(-MAX_LINES)
      .map(({ text }) => (text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text));
  }
}

/** True for what gpufaas itself may have put into the log. */
function isNotice(stream: LogLine['stream'], level: LogLine['level'], callId: string | null): boolean {
  return stream === 'log' && level === 'error' && callId === null;
}
