// The names a function can have, checked before anything is sent.

import { GpufaasError } from '../errors.ts';

const FUNCTION_NAME = /^[a-z][a-z0-9-]{0,62}$/;

/** Throws BAD_NAME unless a function can be called so. */
export function checkFunctionName(name: string): void {
  if (FUNCTION_NAME.test(name)) return;
  const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
  throw new GpufaasError('BAD_NAME', `${shown} can't be the name of a function.`, {
    suggestions: ['Use lower-case letters, digits and hyphens, a letter first, at most 63 characters.'],
  });
}
