// Writes answers: problem details, the Open Inference Protocol's errors, and the headers that say where the time of a
// call went. Error texts come from GpufaasError alone; anything else is a bug and says nothing of the inside.

import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { headers as names } from '../api/routes.ts';
import type { Problem } from '../api/schemas.ts';
import { toGpufaasError } from '../errors.ts';
import type { GpufaasError } from '../errors.ts';
import type { CallSummary } from './platform.ts';

const MAX_DETAIL = 1000;
const COPIED_BYTES = 16 * 1024;

/** RFC 9457 problem details of an error. */
export function problemOf(error: GpufaasError): Problem {
  const words = error.code.toLowerCase().replaceAll('_', ' ');
  return {
    type: `urn:gpufaas:error:${error.code.toLowerCase().replaceAll('_', '-')}`,
    title: words[0]!.toUpperCase() + words.slice(1),
    status: error.status,
    detail: error.message.slice(0, MAX_DETAIL),
    code: error.code,
    suggestions: [...error.suggestions],
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...(error.printed.length === 0 ? {} : { printed: [...error.printed] }),
  };
}

/** Retry-After in whole seconds for the answers that ask to come back; else nothing. */
function retryHeaders(error: GpufaasError): OutgoingHttpHeaders {
  if (error.retryAfterMs === undefined && (!error.retryable || (error.status !== 429 && error.status !== 503)))
    return {};
  return { 'retry-after': String(Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000))) };
}

/** In which words errors are given: the own API's problem details, the protocol's `{error}`, or both. */
export type ErrorStyle = 'problem' | 'protocol' | 'both';

/** Body and headers of an error. */
export function errorAnswer(thrown: unknown, style: ErrorStyle): ErrorAnswer {
  const error = toGpufaasError(thrown);
  const problem = problemOf(error);
  const hint = problem.suggestions[0];
  const text = hint === undefined ? problem.detail : `${problem.detail} ${hint}`;
  const body = style === 'problem' ? problem : style === 'protocol' ? { error: text } : { ...problem, error: text };
  const headers: OutgoingHttpHeaders = {
    'content-type': style === 'protocol' ? 'application/json' : 'application/problem+json',
    ...retryHeaders(error),
  };
  if (error.status === 401) headers['www-authenticate'] = 'Bearer realm="gpufaas"';
  // The rest of a body sent too slowly is not waited for.
  if (error.code === 'SLOW_REQUEST') headers['connection'] = 'close';
  return { error, headers, body };
}

/** An error ready to be written. */
export interface ErrorAnswer {
  readonly error: GpufaasError;
  readonly headers: OutgoingHttpHeaders;
  readonly body: object;
}

/** Headers that every call carries from its start: its id, and when it came (nanoseconds since the epoch, as OpenFaaS does). */
export function startHeaders(callId: string, arrivedWallMs: number): OutgoingHttpHeaders {
  return { [names.callId]: callId, [names.startTime]: `${Math.trunc(arrivedWallMs)}000000` };
}

/** Headers that say how a call went. */
export function callHeaders(call: CallSummary, totalMs: number): OutgoingHttpHeaders {
  const { timing } = call;
  const headers: OutgoingHttpHeaders = {
    [names.durationSeconds]: (totalMs / 1000).toFixed(6),
    [names.cache]: call.cache,
    [names.version]: String(call.version),
    [names.serverTiming]:
      `queue;dur=${timing.queueMs.toFixed(3)}, load;dur=${timing.loadMs.toFixed(3)}, run;dur=${timing.runMs.toFixed(3)}, ` +
      `handler;dur=${timing.handlerMs.toFixed(3)}, total;dur=${totalMs.toFixed(3)}` +
      (timing.hiddenLoadMs === undefined ? '' : `, hidden-load;dur=${timing.hiddenLoadMs.toFixed(3)}`),
  };
  if (call.device !== null) headers[names.device] = call.device;
  return headers;
}

/** Writes a whole answer in one go, whatever number of pieces it has. */
export function writeParts(
  raw: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  parts: readonly Uint8Array[],
): void {
  let length = 0;
  for (const part of parts) length += part.byteLength;
  if (status !== 204 && status !== 304) headers['content-length'] = length;
  raw.writeHead(status, headers);
  // Copying a little costs less than writing it in pieces.
  if (parts.length === 1) return void raw.end(parts[0]);
  if (length <= COPIED_BYTES) return void raw.end(Buffer.concat(parts, length));
  raw.cork();
  for (const part of parts) if (part.byteLength > 0) raw.write(part);
  raw.end();
  raw.uncork();
}
