// The one error type of the project and the one table that says what each code means outside:
// HTTP status, exit code, whether trying again can help. Imports nothing.

/** Who can do something about it: the caller, nobody but time, an operator, or us. */
export type ErrorKind = 'user' | 'capacity' | 'fault' | 'bug';

interface ErrorRow {
  readonly status: number;
  readonly exit: number;
  readonly kind: ErrorKind;
  readonly retryable: boolean;
}

const row = (status: number, exit: number, kind: ErrorKind, retryable = false): ErrorRow => ({
  status,
  exit,
  kind,
  retryable,
});

/** Every code the project can answer with. Adding one is a change to the wire contract; docs/errors.md explains each. */
export const ERROR_TABLE = {
  BAD_REQUEST: row(400, 2, 'user'),
  BAD_TENSOR: row(400, 2, 'user'),
  BAD_MANIFEST: row(400, 2, 'user'),
  BAD_PACKAGE: row(400, 2, 'user'),
  BAD_MODEL: row(400, 1, 'user'),
  BAD_NAME: row(400, 2, 'user'),
  USAGE: row(400, 2, 'user'),
  UNAUTHORIZED: row(401, 1, 'user'),
  FORBIDDEN_ORIGIN: row(403, 1, 'user'),
  FUNCTION_NOT_FOUND: row(404, 3, 'user'),
  VERSION_NOT_FOUND: row(404, 3, 'user'),
  MODEL_NOT_FOUND: row(404, 3, 'user'),
  CALL_NOT_FOUND: row(404, 3, 'user'),
  SECRET_NOT_FOUND: row(404, 3, 'user'),
  DEVICE_NOT_FOUND: row(404, 3, 'user'),
  ROUTE_NOT_FOUND: row(404, 3, 'user'),
  FILE_NOT_FOUND: row(404, 3, 'user'),
  METHOD_NOT_ALLOWED: row(405, 2, 'user'),
  CONFLICT: row(409, 1, 'user'),
  SLOW_REQUEST: row(408, 1, 'user', true),
  BODY_TOO_LARGE: row(413, 2, 'user'),
  UNSUPPORTED_MEDIA: row(415, 2, 'user'),
  QUEUE_FULL: row(429, 5, 'capacity', true),
  CANCELLED: row(499, 130, 'user'),
  HANDLER_ERROR: row(500, 1, 'fault'),
  INTERNAL: row(500, 1, 'bug'),
  NOT_IMPLEMENTED: row(501, 2, 'user'),
  HANDLER_DIED: row(502, 1, 'fault', true),
  WORKER_DIED: row(502, 1, 'fault', true),
  INTERRUPTED: row(502, 1, 'fault', true),
  FETCH_FAILED: row(502, 1, 'fault', true),
  DEPLOY_FAILED: row(422, 1, 'user'),
  DRAINING: row(503, 5, 'capacity', true),
  NO_DEVICE: row(503, 5, 'fault', true),
  QUARANTINED: row(503, 1, 'fault'),
  TIMEOUT: row(504, 1, 'fault', true),
  DEADLINE: row(504, 5, 'capacity', true),
  DOES_NOT_FIT: row(507, 1, 'user'),
  OUT_OF_MEMORY: row(507, 1, 'fault', true),
  DISK_FULL: row(507, 1, 'fault', true),
  UNREACHABLE: row(502, 1, 'fault', true),
  NO_DAEMON: row(503, 4, 'user', true),
  DAEMON_RUNNING: row(409, 1, 'user'),
  PORT_TAKEN: row(409, 1, 'user'),
  VERSION_MISMATCH: row(409, 1, 'user'),
} as const satisfies Record<string, ErrorRow>;

/** A stable code; programs may match on it, never on the message. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/** What may accompany an error. */
export interface ErrorDetails {
  readonly cause?: unknown;
  /** What to do about it: whole sentences or commands, most helpful first. */
  readonly suggestions?: readonly string[];
  /** For capacity errors: when to try again, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Of a deployment that failed: the last lines that the handler printed, oldest first. */
  readonly printed?: readonly string[];
}

/** The error every layer throws at its edge. The message is one line and safe to show to a caller. */
export class GpufaasError extends Error {
  override readonly name = 'GpufaasError';
  readonly code: ErrorCode;
  readonly suggestions: readonly string[];
  readonly retryAfterMs: number | undefined;
  readonly printed: readonly string[];

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.suggestions = details.suggestions ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.printed = details.printed ?? [];
  }

  get kind(): ErrorKind {
    return ERROR_TABLE[this.code].kind;
  }

  get status(): number {
    return ERROR_TABLE[this.code].status;
  }

  get exitCode(): number {
    return ERROR_TABLE[this.code].exit;
  }

  get retryable(): boolean {
    return ERROR_TABLE[this.code].retryable;
  }
}

/** True if a string is one of our codes (for errors that arrive over a wire). */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_TABLE, code);
}

/** Turns anything thrown into our error; what we do not know is a bug and says nothing of the inside. */
export function toGpufaasError(thrown: unknown): GpufaasError {
  if (thrown instanceof GpufaasError) return thrown;
  return new GpufaasError('INTERNAL', 'Something went wrong inside gpufaas.', {
    cause: thrown,
    suggestions: ['Look at the daemon log; run with GPUFAAS_DEBUG=1 for the stack trace.'],
  });
}
