// What the author of a version that failed is told: only what helps before it serves.

import { GpufaasError } from '../errors.ts';

/**
 * The error of a failed deployment with suggestions that work: the logs of a function can be read once a version of it
 * serves, and only then is there one that still does.
 */
export function deployError(error: unknown, name: string, serves: boolean): unknown {
  if (!(error instanceof GpufaasError)) return error;
  const suggestions = error.suggestions
    // To go back from a version that never served would be to go back twice.
    .filter((suggestion) => !suggestion.includes('`gpufaas rollback`'))
    .filter((suggestion) => serves || !suggestion.includes('`gpufaas logs`'))
    .map((suggestion) => suggestion.replaceAll('`gpufaas logs`', `\`gpufaas logs ${name}\``));
  if (error.code === 'DEPLOY_FAILED' && serves) suggestions.push('The version that served before still does.');
  const { code, message, retryAfterMs } = error;
  return new GpufaasError(code, message, {
    cause: error.cause ?? error,
    suggestions,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}
