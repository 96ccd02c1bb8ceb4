// A function's answer as `invoke --json` gives it: its result as data, and the record of the call.

import { once } from 'node:events';
import { fstatSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InvocationRecord, RunTiming, Timing, CacheOutcome } from '../api/schemas.ts';
import type { CallHeaders } from '../client/call-headers.ts';
import type { GpufaasClient } from '../client/client.ts';
import { GpufaasError, isErrorCode } from '../errors.ts';
import { asText } from './input.ts';

/** The shape of the contract. */
export interface InvokeResult {
  readonly id: string | null;
  readonly function: string;
  readonly version: number | null;
  readonly status: number;
  readonly result: unknown;
  readonly cache: CacheOutcome;
  readonly device: string | null;
  readonly runs: readonly RunTiming[];
  readonly timing: Timing;
}

/** Writes an answer to stdout as it comes, byte for byte; what follows on stderr begins a new line where both go to one place. */
export async function copyToStdout(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  let last: number | undefined;
  for await (const chunk of body) {
    last = chunk.at(-1) ?? last;
    if (!process.stdout.write(chunk)) await once(process.stdout, 'drain', { signal });
  }
  if (last !== undefined && last !== 0x0a && isOnePlace(1, 2)) process.stderr.write('\n');
}

/** True if two descriptors lead to the same terminal, pipe or file. */
function isOnePlace(a: number, b: number): boolean {
  const [first, second] = [fstatSync(a), fstatSync(b)];
  return first.dev === second.dev && first.ino === second.ino && first.ino !== 0;
}

/** The whole of an answer. */
export async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** JSON as data, text as text, anything else as `{base64}`. */
export function resultOf(body: Uint8Array, contentType: string | undefined): unknown {
  const text = asText(body);
  if (text === null) return { base64: Buffer.from(body).toString('base64') };
  if (contentType !== undefined && !/json/i.test(contentType)) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** The result with what the daemon recorded of the call; from the headers alone where the record can't be had. */
export async function describeCall(
  client: GpufaasClient,
  answer: { name: string; status: number; result: unknown; headers: CallHeaders },
): Promise<InvokeResult> {
  const { headers, name, status, result } = answer;
  const record = headers.id === null ? null : await findRecord(client, headers.id);
  const { queue = 0, load = 0, run = 0, handler = 0 } = headers.durations;
  return {
    id: headers.id,
    function: record?.function ?? name,
    version: record?.version ?? headers.version,
    status,
    result,
    cache: record?.cache ?? headers.cache,
    device: record?.device ?? headers.device,
    runs: record?.runs ?? [],
    timing: record?.timing ?? {
      queueMs: queue,
      loadMs: load,
      runMs: run,
      handlerMs: handler,
      totalMs: headers.totalMs ?? 0,
    },
  };
}

/** Why the body of an answer broke off, where the daemon knows; else the error as it is. */
export async function whyBrokenOff(error: unknown, client: GpufaasClient, id: string | null): Promise<unknown> {
  if (!(error instanceof GpufaasError) || error.code !== 'NO_DAEMON' || id === null) return error;
  const record = await findRecord(client, id).catch(() => null);
  if (record === null || !isErrorCode(record.errorCode)) return error;
  return new GpufaasError(record.errorCode, `The answer broke off: ${record.errorMessage ?? record.errorCode}`, {
    cause: error,
    suggestions: ['`gpufaas logs` shows what it printed.'],
  });
}

/** The record is written when the call has ended, which may be a moment after its answer has. */
async function findRecord(client: GpufaasClient, id: string): Promise<InvocationRecord | null> {
  for (const waitMs of [0, 20, 100, 300]) {
    await sleep(waitMs);
    try {
      return await client.invocation(id);
    } catch (error) {
      // Without the token only the headers can be had.
      if (!(error instanceof GpufaasError) || !['CALL_NOT_FOUND', 'UNAUTHORIZED'].includes(error.code)) throw error;
      if (error.code === 'UNAUTHORIZED') return null;
    }
  }
  return null;
}
