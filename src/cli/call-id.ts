// The id of a call as people type it: whole, or only as much of it as `top` shows.

import type { GpufaasClient } from '../client/client.ts';
import { GpufaasError } from '../errors.ts';

/** A beginning of an id that the daemon gave: shorter than one, long enough to mean one. */
const BEGINNING = /^[0-9a-f-]{8,35}$/;
/** How far back a beginning is looked for. */
const MOST_CALLS = 1000;

/** The whole id of the recorded call that is meant. Throws USAGE for a beginning that several share. */
export function wholeCallId(client: GpufaasClient, given: string): Promise<string> {
  return whole(given, () => client.invocations({ limit: MOST_CALLS }));
}

/** The same of an asynchronous call. */
export function wholeAsyncCallId(client: GpufaasClient, given: string): Promise<string> {
  return whole(given, () => client.asyncCalls({ limit: MOST_CALLS }));
}

/** What is no beginning of one known call goes on as it is: it may be an id of the caller's own, or one that is long past. */
async function whole(given: string, list: () => Promise<readonly { readonly id: string }[]>): Promise<string> {
  if (!BEGINNING.test(given)) return given;
  const calls = await list().catch((error: unknown) => {
    // Answers can be had without the token, lists can't.
    if (error instanceof GpufaasError && error.code === 'UNAUTHORIZED') return [];
    throw error;
  });
  const ids = new Set(calls.map(({ id }) => id).filter((id) => id.startsWith(given)));
  if (ids.size <= 1 || ids.has(given)) return ids.has(given) ? given : ([...ids][0] ?? given);
  throw new GpufaasError('USAGE', `${ids.size} calls begin with ${given}.`, {
    suggestions: ['Write more of the id; `--json` of the command that listed it has it whole.'],
  });
}
