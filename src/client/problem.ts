// Turns an error answer of the daemon back into the error it was made from.

import { GpufaasError, isErrorCode, type ErrorCode } from '../errors.ts';

const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN_ORIGIN',
  404: 'ROUTE_NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  408: 'SLOW_REQUEST',
  409: 'CONFLICT',
  413: 'BODY_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA',
  429: 'QUEUE_FULL',
  501: 'NOT_IMPLEMENTED',
  503: 'DRAINING',
  504: 'TIMEOUT',
  507: 'DISK_FULL',
};

/** True if a body says of itself that it is problem details. */
export function isProblem(contentType: string | undefined): boolean {
  return contentType?.startsWith('application/problem+json') ?? false;
}

/** The error that problem details (parsed, of any origin) describe; by the status alone where the body says nothing. */
export function errorFromProblem(problem: unknown, status: number): GpufaasError {
  const fields = typeof problem === 'object' && problem !== null ? (problem as Record<string, unknown>) : {};
  const code = isErrorCode(fields['code']) ? fields['code'] : (CODE_OF_STATUS[status] ?? 'INTERNAL');
  const detail = firstString(fields['detail'], fields['title'], fields['error'], fields['message']);
  // What the daemon says of a missing token is for those who write their headers themselves.
  const suggestions = code === 'UNAUTHORIZED' ? [] : strings(fields['suggestions']);
  const retryAfterMs = fields['retryAfterMs'];
  return new GpufaasError(code, detail ?? `The daemon answered with status ${status}.`, {
    suggestions,
    printed: strings(fields['printed']),
    ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
  });
}

/** The same from the bytes of a body. */
export function errorFromBody(body: Uint8Array, status: number): GpufaasError {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(body));
  } catch {
    // Not ours, or cut off: the status has to do.
  }
  return errorFromProblem(parsed, status);
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((line) => typeof line === 'string') : [];
}

function firstString(...values: readonly unknown[]): string | undefined {
  return values.find((value): value is string => typeof value === 'string' && value !== '');
}
