// One HTTP request and the way back to its caller, as a call needs them: whether node:http read it (here), or its head was known
// from the request before it (repeated-requests.ts).

import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { writeParts } from './answers.ts';
import { type BodyLease, holdOpen, readBody } from './body.ts';
import type { BodyLimits } from './body-rate.ts';

/** One request that is answered once, as a whole. */
export interface Exchange {
  readonly headers: IncomingHttpHeaders;
  /** The whole body as it was sent. Throws, or rejects, as `readBody` does. */
  readBody(limits: BodyLimits, lease: BodyLease): Uint8Array | Promise<Uint8Array>;
  /** True once an answer has begun. */
  readonly begun: boolean;
  /** Answers; nothing happens if nobody is there any more. `onSent` is told when the system took the last of the parts. */
  answer(status: number, headers: OutgoingHttpHeaders, parts: readonly Uint8Array[], onSent?: () => void): void;
  /** Cuts the connection: an answer that has begun and can't go on must not look whole. */
  cut(): void;
  /** Calls the listener once when all is over: the answer was written to its end, or else the caller has gone. */
  onEnd(listener: (answered: boolean) => void): void;
}

/** A request as node:http gives it. What streams may use both halves as they are. */
export class HttpExchange implements Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.response = response;
  }

  get headers(): IncomingHttpHeaders {
    return this.request.headers;
  }

  readBody(limits: BodyLimits, lease: BodyLease): Promise<Uint8Array> {
    return readBody(this.request, limits, lease);
  }

  get begun(): boolean {
    return this.response.headersSent;
  }

  answer(status: number, headers: OutgoingHttpHeaders, parts: readonly Uint8Array[], onSent?: () => void): void {
    if (onSent !== undefined) this.response.once('finish', onSent);
    holdOpen(this.response);
    writeParts(this.response, status, headers, parts);
  }

  cut(): void {
    this.response.destroy();
  }

  onEnd(listener: (answered: boolean) => void): void {
    this.response.on('close', () => listener(this.response.writableFinished));
  }
}
