// The names that functions and calls can have, checked before anything is sent.

import { GpufaasError } from '../errors.ts';

const FUNCTION_NAME = /^[a-z][a-z0-9-]{0,62}$/;

/** As a call may name it: with OpenFaaS's suffix of a namespace, too. */
const CALLED_NAME = /^[a-z][a-z0-9-]{0,62}(\.[a-z0-9-]{1,63})?$/;
const CALL_ID = /^[A-Za-z0-9_-]{1,128}$/;

/** The name, if a function can have it. Throws FUNCTION_NOT_FOUND: what can't be a name is none, and must not reach a path. */
export function existingName(name: string): string {
  if (CALLED_NAME.test(name)) return name;
  const lower = name.toLowerCase();
  throw new GpufaasError('FUNCTION_NOT_FOUND', `There is no function ${shown(name)}.`, {
    suggestions: [
      ...(CALLED_NAME.test(lower) ? [`Names are in lower case: did you mean ${lower}?`] : []),
      '`gpufaas ls` lists the functions.',
    ],
  });
}

/** The id of a call, if it can be one. Throws CALL_NOT_FOUND. */
export function existingCall(id: string): string {
  if (CALL_ID.test(id)) return id;
  throw new GpufaasError('CALL_NOT_FOUND', `There is no call ${shown(id)}.`, {
    suggestions: ['An id is what X-Call-Id says, or `id` in `gpufaas invoke FN --json`.'],
  });
}

/** Throws BAD_NAME unless a function can be called so. */
export function checkFunctionName(name: string): void {
  if (FUNCTION_NAME.test(name)) return;
  throw new GpufaasError('BAD_NAME', `${shown(name)} can't be the name of a function.`, {
    suggestions: ['Use lower-case letters, digits and hyphens, a letter first, at most 63 characters.'],
  });
}

function shown(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}
