// Asynchronous calls, kept so that a killed daemon loses none: one row each, their bodies as files beside the database (a large
// one would hold up everybody while SQLite writes it). Bounded in number, bytes and time by `trim`.

import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite';
import type { AsyncCallSummary, CacheOutcome, Timing } from '../api/schemas.ts';
import { GpufaasError } from '../errors.ts';
import { inTransaction } from './database.ts';

/** What is asked of a function, without the body. */
export interface AsyncRequest {
  readonly method: string;
  /** What follows the function's name in the address; begins with a slash. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A call as it comes. */
export interface NewAsyncCall extends AsyncRequest {
  readonly id: string;
  readonly function: string;
  readonly body: Uint8Array;
  readonly callbackUrl: string | null;
}

/** What a call ended with, without the body. */
export interface AsyncAnswerHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** How it ran; null if it did not come to an end. */
  readonly summary: {
    readonly version: number;
    readonly cache: CacheOutcome;
    readonly device: string | null;
    readonly timing: Timing;
  } | null;
  /** null if the function itself answered. */
  readonly errorCode: string | null;
}

/** What a call ended with. */
export interface AsyncAnswer extends AsyncAnswerHead {
  readonly body: Uint8Array;
}

export type AsyncCallState = AsyncCallSummary['state'];
export type CallbackState = AsyncCallSummary['callback'];

/** A call as it is kept; times in milliseconds since the epoch. */
export interface AsyncCallRow extends AsyncRequest {
  readonly id: string;
  readonly function: string;
  readonly state: AsyncCallState;
  readonly requestBytes: number;
  readonly callbackUrl: string | null;
  readonly callback: CallbackState;
  readonly attempts: number;
  readonly submittedAtMs: number;
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  readonly answer: AsyncAnswerHead | null;
  readonly answerBytes: number;
}

/** Narrows the list; newest first. */
export interface AsyncCallQuery {
  readonly function?: string;
  readonly state?: AsyncCallState;
  readonly limit: number;
}

/** What of the calls that have ended may stay. */
export interface KeepLimits {
  readonly maxCalls: number;
  /** Of their requests and answers together. */
  readonly maxBytes: number;
  readonly keepMs: number;
}

export interface AsyncCallStore {
  /** Keeps a call that waits; once it resolves, a kill of the daemon does not lose it. Throws DISK_FULL. */
  accept(call: NewAsyncCall, atMs: number): Promise<void>;
  /** Those that have not ended, in the order they are to run. */
  unended(): AsyncCallRow[];
  /** Those that ended and whose callback is still owed. */
  undelivered(): AsyncCallRow[];
  find(id: string): AsyncCallRow | null;
  list(query: AsyncCallQuery): AsyncCallRow[];
  requestBody(row: AsyncCallRow): Promise<Uint8Array>;
  answerBody(row: AsyncCallRow): Promise<Uint8Array>;
  /** It runs from now on. */
  begin(id: string, atMs: number): void;
  /** It waits again: what began was refused before it did anything. */
  putBack(id: string): void;
  end(id: string, state: AsyncCallState, answer: AsyncAnswer, atMs: number): Promise<void>;
  /** A call that has ended waits again, behind all others; its answer is forgotten. */
  again(id: string, atMs: number): void;
  /** What became of the callback of the ending at that time; nothing if the call was retried since. */
  setCallback(id: string, endedAtMs: number | null, state: CallbackState): void;
  /** Drops calls that ended: those too old, and the oldest of too many. */
  trim(limits: KeepLimits, atMs: number): void;
  /** Removes bodies that belong to no call: what a killed daemon left half-done. */
  sweep(): Promise<void>;
}

/** Old calls leave a few at a time, so that nobody waits for a thousand of them. */
const TRIMMED_AT_ONCE = 100;
const SIZE = 'request_bytes + answer_bytes';

/** Bodies go to `folder`, rows to `database`. */
export function createAsyncCallStore(database: DatabaseSync, folder: string): AsyncCallStore {
  const insert = database.prepare(
    `INSERT INTO async_calls (id, function, state, request, request_bytes, callback_url, callback, submitted_at, queued_at)
     VALUES (?1, ?2, 'queued', ?3, ?4, ?5, ?6, ?7, ?7)`,
  );
  const unended = database.prepare('SELECT * FROM async_calls WHERE ended_at IS NULL ORDER BY queued_at, sequence');
  const undelivered = database.prepare(
    `SELECT * FROM async_calls WHERE ended_at IS NOT NULL AND callback = 'pending' ORDER BY ended_at`,
  );
  const byId = database.prepare('SELECT * FROM async_calls WHERE id = ?');
  const begin = database.prepare(
    `UPDATE async_calls SET state = 'running', started_at = ?2, attempts = attempts + 1 WHERE id = ?1`,
  );
  const putBack = database.prepare(`UPDATE async_calls SET state = 'queued' WHERE id = ?`);
  const end = database.prepare(
    'UPDATE async_calls SET state = ?2, answer = ?3, answer_bytes = ?4, ended_at = ?5 WHERE id = ?1',
  );
  const again = database.prepare(
    `UPDATE async_calls SET state = 'queued', answer = NULL, answer_bytes = 0, ended_at = NULL, queued_at = ?2,
       callback = iif(callback_url IS NULL, 'none', 'pending') WHERE id = ?1`,
  );
  const setCallback = database.prepare('UPDATE async_calls SET callback = ?3 WHERE id = ?1 AND ended_at IS ?2');
  const kept = database.prepare(
    `SELECT count(*) AS calls, coalesce(sum(${SIZE}), 0) AS bytes FROM async_calls WHERE ended_at IS NOT NULL`,
  );
  const oldest = database.prepare(
    `SELECT id, ended_at, ${SIZE} AS bytes FROM async_calls WHERE ended_at IS NOT NULL ORDER BY ended_at, sequence LIMIT ?`,
  );
  const remove = database.prepare('DELETE FROM async_calls WHERE id = ?');
  const ids = database.prepare('SELECT id FROM async_calls');

  const change = (work: () => void): void => inTransaction(database, work);
  const path = (id: string, part: 'request' | 'answer'): string => join(folder, `${id}.${part}`);
  const read = async (id: string, part: 'request' | 'answer', bytes: number): Promise<Uint8Array> => {
    if (bytes === 0) return new Uint8Array();
    const body = await readFile(path(id, part)).catch(() => null);
    if (body?.byteLength === bytes) return body;
    throw new GpufaasError('INTERNAL', `The ${part} of this call was kept, and is not there any more.`);
  };
  const write = async (id: string, part: 'request' | 'answer', body: Uint8Array): Promise<void> => {
    if (body.byteLength === 0) return;
    try {
      await writeFile(path(id, part), body, { mode: 0o600 });
    } catch (error) {
      await discard(id, part);
      throw translateFull(error);
    }
  };
  const discard = (id: string, part: 'request' | 'answer'): Promise<void> =>
    // What can't be removed now is swept at the next start.
    rm(path(id, part), { force: true }).catch(() => undefined);
  const count = (): { calls: number; bytes: number } => {
    const row = kept.get()!;
    return { calls: Number(row['calls']), bytes: Number(row['bytes']) };
  };
  // Counted once and then kept up: a sum over all rows at every end would not be free.
  const total = count();

  return {
    async accept({ id, function: name, method, path: subPath, headers, body, callbackUrl }, atMs) {
      const request = JSON.stringify({ method, path: subPath, headers });
      const callback: CallbackState = callbackUrl === null ? 'none' : 'pending';
      await write(id, 'request', body);
      try {
        change(() => insert.run(id, name, request, body.byteLength, callbackUrl, callback, Math.round(atMs)));
      } catch (error) {
        await discard(id, 'request');
        throw error;
      }
    },
    unended: () => unended.all().map(rowOf),
    undelivered: () => undelivered.all().map(rowOf),
    find: (id) => {
      const row = byId.get(id);
      return row === undefined ? null : rowOf(row);
    },
    list: ({ function: name, state, limit }) => {
      const conditions: string[] = [];
      const values: SQLInputValue[] = [];
      for (const [column, value] of [['function', name] as const, ['state', state] as const]) {
        if (value === undefined) continue;
        conditions.push(`${column} = ?`);
        values.push(value);
      }
      const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
      const select = database.prepare(`SELECT * FROM async_calls ${where} ORDER BY sequence DESC LIMIT ?`);
      return select.all(...values, limit).map(rowOf);
    },
    requestBody: (row) => read(row.id, 'request', row.requestBytes),
    answerBody: (row) => read(row.id, 'answer', row.answerBytes),
    begin: (id, atMs) => change(() => begin.run(id, Math.round(atMs))),
    putBack: (id) => change(() => putBack.run(id)),
    async end(id, state, { body, ...head }, atMs) {
      await write(id, 'answer', body);
      change(() => end.run(id, state, JSON.stringify(head), body.byteLength, Math.round(atMs)));
      total.calls++;
      total.bytes += Number(byId.get(id)?.['request_bytes'] ?? 0) + body.byteLength;
    },
    again(id, atMs) {
      const row = byId.get(id);
      if (row === undefined) return;
      change(() => again.run(id, Math.round(atMs)));
      if (row['ended_at'] === null) return;
      total.calls--;
      total.bytes -= Number(row['request_bytes']) + Number(row['answer_bytes']);
    },
    setCallback: (id, endedAtMs, state) => change(() => setCallback.run(id, endedAtMs, state)),
    trim({ maxCalls, maxBytes, keepMs }, atMs) {
      const dropped: string[] = [];
      for (const row of oldest.all(TRIMMED_AT_ONCE)) {
        // One that is larger than all that may be kept stays until the next one ends: it was promised.
        const tooMany = total.calls > 1 && (total.calls > maxCalls || total.bytes > maxBytes);
        if (!tooMany && Number(row['ended_at']) >= atMs - keepMs) break;
        dropped.push(String(row['id']));
        total.calls--;
        total.bytes -= Number(row['bytes']);
      }
      if (dropped.length === 0) return;
      try {
        change(() => dropped.forEach((id) => remove.run(id)));
      } catch (error) {
        Object.assign(total, count());
        throw error;
      }
      for (const id of dropped) void Promise.all([discard(id, 'request'), discard(id, 'answer')]);
    },
    async sweep() {
      const known = new Set(ids.all().map((row) => String(row['id'])));
      for (const file of await readdir(folder)) {
        if (!known.has(file.slice(0, file.lastIndexOf('.')))) await rm(join(folder, file), { force: true });
      }
    },
  };
}

function rowOf(row: Record<string, SQLOutputValue>): AsyncCallRow {
  const number = (value: SQLOutputValue | undefined): number | null => (value == null ? null : Number(value));
  const { answer = null } = row;
  return {
    ...(JSON.parse(String(row['request'])) as AsyncRequest),
    id: String(row['id']),
    function: String(row['function']),
    state: row['state'] as AsyncCallState,
    requestBytes: Number(row['request_bytes']),
    callbackUrl: row['callback_url'] as string | null,
    callback: row['callback'] as CallbackState,
    attempts: Number(row['attempts']),
    submittedAtMs: Number(row['submitted_at']),
    startedAtMs: number(row['started_at']),
    endedAtMs: number(row['ended_at']),
    answer: typeof answer === 'string' ? (JSON.parse(answer) as AsyncAnswerHead) : null,
    answerBytes: Number(row['answer_bytes']),
  };
}

function translateFull(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new GpufaasError('DISK_FULL', 'There is no room on disk for the call.', {
    cause: error,
    suggestions: ['Free some space under GPUFAAS_HOME and try again.'],
  });
}
