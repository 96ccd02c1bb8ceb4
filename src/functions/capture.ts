// In a handler's process: everything it prints, tied to the call it was printed in. console.* and log.* become lines
// with a level; what is written to stdout and stderr by hand keeps its stream.

import { AsyncLocalStorage } from 'node:async_hooks';
import { format } from 'node:util';
import type { FunctionLog } from '../sdk.ts';
import type { FromChild } from './wire.ts';

type LogMessage = Extract<FromChild, { type: 'log' }>;
type Level = LogMessage['level'];

const MAX_TEXT = 64 * 1024;

/** Knows which call the running code belongs to, and sends lines with its id. */
export class Capture {
  readonly #calls = new AsyncLocalStorage<string>();
  readonly #send: (message: LogMessage) => void;

  constructor(send: (message: LogMessage) => void) {
    this.#send = send;
  }

  /** Runs code as part of a call, with all it starts. */
  within<T>(callId: string, run: () => T): T {
    return this.#calls.run(callId, run);
  }

  /** The `log` of a call (default: the one that the code belongs to): its lines carry its id wherever they come from. */
  logOf(callId = this.#calls.getStore() ?? null): FunctionLog {
    const at =
      (level: Level): FunctionLog['info'] =>
      (message, fields) =>
        this.#line(callId, level, message, fields);
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  }

  /** Puts itself in the place of console and of the standard streams. */
  install(): void {
    const levels: Record<string, Level> = {
      log: 'info',
      info: 'info',
      debug: 'debug',
      trace: 'debug',
      warn: 'warn',
      error: 'error',
    };
    for (const [method, level] of Object.entries(levels)) {
      Object.assign(console, { [method]: (...values: unknown[]) => this.#emit('log', level, format(...values)) });
    }
    for (const name of ['stdout', 'stderr'] as const) {
      const write = (chunk: unknown, encoding?: unknown, done?: unknown): boolean => {
        const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk as Uint8Array).toString('utf8');
        this.#emit(name, name === 'stderr' ? 'warn' : 'info', text);
        const callback = typeof encoding === 'function' ? encoding : done;
        if (typeof callback === 'function') queueMicrotask(callback as () => void);
        return true;
      };
      Object.assign(process[name], { write });
    }
  }

  #line(callId: string | null, level: Level, message: string, fields?: Readonly<Record<string, unknown>>): void {
    const text = fields === undefined ? format(message) : `${format(message)} ${safeJson(fields)}`;
    this.#emit('log', level, text, callId);
  }

  #emit(stream: LogMessage['stream'], level: Level, text: string, callId = this.#calls.getStore() ?? null): void {
    const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
    this.#send({ type: 'log', callId, stream, level, text: cut });
  }
}

function safeJson(fields: Readonly<Record<string, unknown>>): string {
  try {
    return JSON.stringify(fields, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
  } catch {
    return '[fields that JSON can not hold]';
  }
}
