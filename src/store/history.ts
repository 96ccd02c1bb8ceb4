// What happened: one record per invocation and the lines that functions logged. Both are bounded; writes are gathered
// and committed together, so that nothing on the path of an invocation waits for the disk.

import type { DatabaseSync } from 'node:sqlite';
import type { InvocationRecord, LogLineMessage } from '../api/schemas.ts';
import type { Clock } from '../clock.ts';
import { inTransaction } from './database.ts';

/** Bounds of the history and how it is written. */
export interface HistoryOptions {
  readonly maxInvocations: number;
  readonly maxLogLines: number;
  /** The longest a record waits in memory, in milliseconds. */
  readonly flushAfterMs: number;
  /** Records in memory at which they are written at once. */
  readonly flushAtRecords: number;
  /** Told when a write fails (a full disk): the records concerned are dropped, serving goes on. */
  readonly onWriteError: (error: unknown, dropped: number) => void;
}

export interface InvocationQuery {
  readonly function?: string;
  readonly limit: number;
  /** Milliseconds since the epoch. */
  readonly sinceMs?: number;
}

export interface History {
  record(invocation: InvocationRecord): void;
  log(line: LogLineMessage): void;
  invocation(id: string): InvocationRecord | null;
  /** Newest first, without smoke tests: those are read by their ids. */
  invocations(query: InvocationQuery): InvocationRecord[];
  /** The calls of a function that failed, newest first; one that its caller gave up is none. */
  failures(name: string, limit: number): InvocationRecord[];
  /** Invocations ever answered, by function; smoke tests are none. */
  counts(): Map<string, number>;
  /** The last `tail` lines of a function, oldest first. */
  logs(name: string, tail: number): LogLineMessage[];
  flush(): void;
  close(): void;
}

/** The calls among which failures are looked for: each is parsed for it. */
const LOOKED_AT = 2000;
/** What somebody called, in SQL and here. */
const CALLED = "json_extract(record, '$.surface') <> 'smoke'";
const isCall = ({ surface }: InvocationRecord): boolean => surface !== 'smoke';

const toRecord = (row: Readonly<Record<string, unknown>>): InvocationRecord =>
  JSON.parse(String(row['record'])) as InvocationRecord;

export function createHistory(database: DatabaseSync, clock: Clock, options: HistoryOptions): History {
  const insertInvocation = database.prepare(
    'INSERT OR REPLACE INTO invocations (id, function, arrived_at, record) VALUES (?, ?, ?, ?)',
  );
  const trimInvocations = database.prepare(
    'DELETE FROM invocations WHERE sequence <= (SELECT max(sequence) FROM invocations) - ?',
  );
  const insertLog = database.prepare('INSERT INTO logs (function, line) VALUES (?, ?)');
  const trimLogs = database.prepare('DELETE FROM logs WHERE sequence <= (SELECT max(sequence) FROM logs) - ?');
  const count = database.prepare(
    `INSERT INTO counts (function, invocations) VALUES (?1, ?2)
     ON CONFLICT (function) DO UPDATE SET invocations = invocations + ?2`,
  );
  const allCounts = database.prepare('SELECT function, invocations FROM counts');
  const byId = database.prepare('SELECT record FROM invocations WHERE id = ?');
  const recent = database.prepare(
    `SELECT record FROM invocations WHERE arrived_at >= ?1 AND ${CALLED} ORDER BY sequence DESC LIMIT ?2`,
  );
  const recentOf = database.prepare(
    `SELECT record FROM invocations WHERE function = ?3 AND arrived_at >= ?1 AND ${CALLED} ORDER BY sequence DESC LIMIT ?2`,
  );
  // A call that nothing befell has no code, and null is unequal to nothing.
  const failuresOf = database.prepare(
    `SELECT record FROM (
       SELECT record, arrived_at FROM invocations WHERE function = ?1 ORDER BY sequence DESC LIMIT ${LOOKED_AT}
     ) WHERE ${CALLED} AND json_extract(record, '$.errorCode') <> 'CANCELLED' ORDER BY arrived_at DESC LIMIT ?2`,
  );
  const lastLogs = database.prepare('SELECT line FROM logs WHERE function = ? ORDER BY sequence DESC LIMIT ?');

  let pendingInvocations: InvocationRecord[] = [];
  let pendingLogs: LogLineMessage[] = [];
  let cancelTimer: (() => void) | null = null;

  const write = (invocations: readonly InvocationRecord[], logs: readonly LogLineMessage[]): void => {
    inTransaction(database, () => {
      const byFunction = new Map<string, number>();
      for (const invocation of invocations) {
        insertInvocation.run(
          invocation.id,
          invocation.function,
          Date.parse(invocation.arrivedAt),
          JSON.stringify(invocation),
        );
        if (isCall(invocation)) byFunction.set(invocation.function, (byFunction.get(invocation.function) ?? 0) + 1);
      }
      for (const [name, added] of byFunction) count.run(name, added);
      for (const line of logs) insertLog.run(line.function, JSON.stringify(line));
      if (invocations.length > 0) trimInvocations.run(options.maxInvocations);
      if (logs.length > 0) trimLogs.run(options.maxLogLines);
    });
  };

  const flush = (): void => {
    cancelTimer?.();
    cancelTimer = null;
    if (pendingInvocations.length === 0 && pendingLogs.length === 0) return;
    const invocations = pendingInvocations;
    const logs = pendingLogs;
    pendingInvocations = [];
    pendingLogs = [];
    try {
      write(invocations, logs);
    } catch (error) {
      options.onWriteError(error, invocations.length + logs.length);
    }
  };

  const schedule = (): void => {
    if (pendingInvocations.length + pendingLogs.length >= options.flushAtRecords) flush();
    else cancelTimer ??= clock.after(options.flushAfterMs, flush);
  };

  return {
    record(invocation) {
      pendingInvocations.push(invocation);
      schedule();
    },
    log(line) {
      pendingLogs.push(line);
      schedule();
    },
    invocation(id) {
      const pending = pendingInvocations.findLast((record) => record.id === id);
      if (pending !== undefined) return pending;
      const row = byId.get(id);
      return row === undefined ? null : (JSON.parse(String(row['record'])) as InvocationRecord);
    },
    invocations(query) {
      flush();
      const since = query.sinceMs ?? 0;
      const rows =
        query.function === undefined
          ? recent.all(since, query.limit)
          : recentOf.all(since, query.limit, query.function);
      return rows.map(toRecord);
    },
    failures(name, limit) {
      flush();
      return failuresOf.all(name, limit).map(toRecord);
    },
    counts() {
      const counts = new Map<string, number>();
      for (const row of allCounts.all()) counts.set(String(row['function']), Number(row['invocations']));
      for (const record of pendingInvocations.filter(isCall))
        counts.set(record.function, (counts.get(record.function) ?? 0) + 1);
      return counts;
    },
    logs(name, tail) {
      flush();
      return lastLogs
        .all(name, tail)
        .map((row) => JSON.parse(String(row['line'])) as LogLineMessage)
        .toReversed();
    },
    flush,
    close() {
      flush();
    },
  };
}
