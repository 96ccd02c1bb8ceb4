// What the author of a version that failed is told: only what helps before it serves.

import { GpufaasError } from '../errors.ts';

/** What there is of a function whose deployment failed. */
export interface FailedDeployment {
  readonly name: string;
  /** True if a version of it serves. */
  readonly serves: boolean;
  /** The last lines that the handler printed. */
  readonly printed: readonly string[];
}

/**
 * Advice for calls, of no use to a deployment: a version that never served is not started again, to go back from it would
 * be to go back twice, and nobody knows the id of a smoke test.
 */
const FOR_CALLS = ['`gpufaas rollback`', '`gpufaas explain`', 'It is started again'];

/** The error of a failed deployment with what the handler printed last, and with suggestions that work. */
export function deployError(error: unknown, { name, serves, printed }: FailedDeployment): unknown {
  if (!(error instanceof GpufaasError)) return error;
  const kept = error.suggestions.filter((suggestion) => !FOR_CALLS.some((part) => suggestion.includes(part)));
  const fallback = kept.length === 0 ? advice(error, printed.length > 0) : [];
  const suggestions = [...kept, ...fallback]
    // There is a log where a version serves or a failed one has printed something.
    .filter((suggestion) => serves || printed.length > 0 || !suggestion.includes('`gpufaas logs`'))
    .map((suggestion) => suggestion.replaceAll('`gpufaas logs`', `\`gpufaas logs ${name}\``));
  if (error.code === 'DEPLOY_FAILED' && suggestions.length === 0)
    suggestions.push('Mend the function and deploy it again.');
  if (error.code === 'DEPLOY_FAILED' && serves) suggestions.push('The version that served before still does.');
  const { code, message, retryAfterMs } = error;
  return new GpufaasError(code, message, {
    cause: error.cause ?? error,
    suggestions,
    printed,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** What to do where the error itself suggests nothing that helps here. */
function advice(error: GpufaasError, hasPrinted: boolean): string[] {
  // Of a smoke test, the cause is what befell the call.
  const { code } = error.code === 'DEPLOY_FAILED' && error.cause instanceof GpufaasError ? error.cause : error;
  if (code === 'TIMEOUT') return ['Mend what it waits for; if it needs that long, raise `timeout` in function.yaml.'];
  if (code !== 'HANDLER_DIED') return [];
  return hasPrinted
    ? ['What it printed last may tell why; `gpufaas logs` shows more.']
    : ['It printed nothing: look for `process.exit`, and for what is thrown outside the call.'];
}
