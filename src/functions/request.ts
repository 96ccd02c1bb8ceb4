// The request as a handler sees it, made from the raw one.

import { HttpError, type FunctionRequest } from '../sdk.ts';
import type { HandlerRequest } from './types.ts';

/** Offers the raw body as bytes, text and JSON. */
export function functionRequest(raw: HandlerRequest): FunctionRequest {
  const { callId, method, headers, body } = raw;
  // The base is only there because a URL needs one.
  const url = new URL(raw.path.startsWith('/') ? raw.path : `/${raw.path}`, 'http://function');
  const text = (): string => new TextDecoder().decode(body);
  return {
    callId,
    method,
    path: url.pathname,
    query: url.searchParams,
    headers,
    body,
    bytes: () => body,
    text,
    json<T>(): T {
      try {
        return JSON.parse(text()) as T;
      } catch (error) {
        const why = body.byteLength === 0 ? 'it is empty' : (error as Error).message.split('\n')[0];
        throw new HttpError(400, `The body is not JSON: ${why}.`);
      }
    },
  };
}
