// What one check of `gpufaas doctor` finds.

/** `ok`; `warning`: works, but not as well as it could; `problem`: something will fail. */
export type CheckStatus = 'ok' | 'warning' | 'problem';

/** One finding, with what to do about it where there is something to do. */
export interface Check {
  readonly name: string;
  readonly status: CheckStatus;
  readonly message: string;
  readonly advice: string | null;
}

/** A finding that needs nothing done. */
export function ok(name: string, message: string): Check {
  return { name, status: 'ok', message, advice: null };
}

/** A finding with what to do about it. */
export function trouble(name: string, status: 'warning' | 'problem', message: string, advice: string): Check {
  return { name, status, message, advice };
}
