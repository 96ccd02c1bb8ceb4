// Advice of a daemon or a default names the function as FN, or not at all: where the command knows its name, the advice
// can be typed as it stands.

import { GpufaasError } from '../errors.ts';

/** The same error, with the function's name in the commands it suggests. */
export function aboutFunction(error: unknown, name: string): unknown {
  if (!(error instanceof GpufaasError)) return error;
  const { code, message, retryAfterMs } = error;
  const suggestions = error.suggestions.map((text) =>
    text.replace(/`gpufaas (logs|rollback|describe|load)(?: FN)?`/g, (_, command) => `\`gpufaas ${command} ${name}\``),
  );
  if (suggestions.length === 0 && (code === 'BAD_TENSOR' || code === 'BAD_REQUEST'))
    suggestions.push(`\`gpufaas describe ${name}\` shows the inputs that it takes.`);
  return new GpufaasError(code, message, {
    cause: error,
    suggestions,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}
