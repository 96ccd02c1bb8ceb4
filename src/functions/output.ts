// What a handler's process prints, in lines that are safe to show: valid text, no control characters, bounded in length
// and in number per second.

import { StringDecoder } from 'node:string_decoder';
import { stripVTControlCharacters } from 'node:util';
import type { Clock } from '../clock.ts';

const MAX_LINE = 8 * 1024;
/** More than this in a second is a loop that prints; its rest is counted and not kept. */
const LINES_PER_SECOND = 1000;

/** Cuts a byte stream into lines; a line that never ends is given in pieces. */
export class LineSplitter {
  readonly #decoder = new StringDecoder('utf8');
  readonly #onLine: (line: string) => void;
  #rest = '';

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Uint8Array): void {
    this.#rest += this.#decoder.write(Buffer.from(chunk));
    const lines = this.#rest.split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#onLine(line);
    while (this.#rest.length > MAX_LINE) {
      this.#onLine(this.#rest.slice(0, MAX_LINE));
      this.#rest = this.#rest.slice(MAX_LINE);
    }
  }

  end(): void {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = '';
    if (rest !== '') this.#onLine(rest);
  }
}

/** The lines of a text, safe to show. */
export function safeLines(text: string): string[] {
  const lines = text.replace(/\r?\n$/, '').split('\n');
  return lines.map((line) => stripVTControlCharacters(line.slice(0, MAX_LINE)).replaceAll(/(?!\t)\p{Cc}/gu, ''));
}

/** Lets so many lines through per second, and then tells how many it held back. */
export class LineLimit {
  readonly #clock: Clock;
  #secondStartMs = -Infinity;
  #passed = 0;
  #dropped = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True if a line may pass; `onDropped` hears of those of the last second that did not. */
  admit(onDropped: (count: number) => void): boolean {
    const nowMs = this.#clock.now();
    if (nowMs - this.#secondStartMs >= 1000) {
      const dropped = this.#dropped;
      this.#secondStartMs = nowMs;
      this.#passed = 0;
      this.#dropped = 0;
      if (dropped > 0) onDropped(dropped);
    }
    if (this.#passed < LINES_PER_SECOND) {
      this.#passed++;
      return true;
    }
    this.#dropped++;
    return false;
  }
}
