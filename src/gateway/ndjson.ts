// Streams of JSON lines: logs that are followed, and the progress of a deployment. The status is held back until the first
// line is there, so that what fails at once fails with its own status.

import { once } from 'node:events';
import type { FastifyReply } from 'fastify';
import { holdOpen } from './body.ts';

const CONTENT_TYPE = 'application/x-ndjson';
// A reader that takes nothing for this long is cut off.
const STALLED_MS = 60_000;

/** Writes each item as a line at the reader's pace. An error before the first line is thrown, later ones end the stream. */
export async function sendLines(
  reply: FastifyReply,
  items: AsyncIterable<unknown>,
  signal: AbortSignal,
  atOnce = false,
): Promise<FastifyReply> {
  const iterator = items[Symbol.asyncIterator]();
  let pending = iterator.next();
  // A followed log may have no line for hours: its reader is to know at once that it is connected.
  const first = atOnce ? await Promise.race([pending, settled()]) : await pending;
  const { raw } = reply;
  reply.hijack();
  raw.writeHead(200, { ...headersOf(reply), 'content-type': CONTENT_TYPE, 'cache-control': 'no-store' });
  raw.flushHeaders();
  try {
    let step = first ?? (await pending);
    while (step.done !== true && !signal.aborted) {
      if (!raw.write(`${JSON.stringify(step.value)}\n`)) {
        await once(raw, 'drain', { signal: AbortSignal.any([signal, AbortSignal.timeout(STALLED_MS)]) });
      }
      pending = iterator.next();
      step = await pending;
    }
    raw.end();
  } catch {
    // Cut, so that it does not look complete.
    raw.destroy();
  } finally {
    await iterator.return?.();
  }
  return reply;
}

/** Comes after everything that is already settled. */
function settled(): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, 20, undefined));
}

const headersOf = (reply: FastifyReply): Record<string, string> =>
  Object.fromEntries(Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]));

/** A line writer for what reports by callback: the answer begins with the first line. */
export class LineWriter {
  readonly #reply: FastifyReply;
  #begun = false;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
  }

  /** True once a line was written and the status can't change any more. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Writes one line; the reader's pace does not matter for the few that a deployment has. */
  write(item: unknown): void {
    const { raw } = this.#reply;
    if (raw.destroyed || raw.writableEnded) return;
    if (!this.#begun) {
      this.#begun = true;
      this.#reply.hijack();
      holdOpen(raw);
      raw.writeHead(200, { 'content-type': CONTENT_TYPE, 'cache-control': 'no-store' });
    }
    raw.write(`${JSON.stringify(item)}\n`);
  }

  /** Ends the answer. */
  end(): void {
    this.#reply.raw.end();
  }
}
