// Opens the SQLite database of a home and brings its schema up to date. What was committed is there after a kill, and
// with full durability after a power cut too.

import { DatabaseSync } from 'node:sqlite';
import { GpufaasError } from '../errors.ts';

/** Each entry takes the schema one version further; entries are never edited once released. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE functions (
     name TEXT PRIMARY KEY,
     serving_version INTEGER NOT NULL,
     pinned INTEGER NOT NULL DEFAULT 0,
     next_version INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE versions (
     name TEXT NOT NULL,
     version INTEGER NOT NULL,
     manifest TEXT NOT NULL,
     models TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     PRIMARY KEY (name, version)
   ) STRICT;
   CREATE TABLE models (
     key TEXT PRIMARY KEY,
     model TEXT NOT NULL,
     last_used_at INTEGER
   ) STRICT;
   CREATE TABLE invocations (
     sequence INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     function TEXT NOT NULL,
     arrived_at INTEGER NOT NULL,
     record TEXT NOT NULL
   ) STRICT;
   CREATE INDEX invocations_by_function ON invocations (function, sequence);
   CREATE INDEX invocations_by_time ON invocations (arrived_at);
   CREATE TABLE counts (
     function TEXT PRIMARY KEY,
     invocations INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE logs (
     sequence INTEGER PRIMARY KEY,
     function TEXT NOT NULL,
     line TEXT NOT NULL
   ) STRICT;
   CREATE INDEX logs_by_function ON logs (function, sequence);
   CREATE TABLE residents (
     key TEXT PRIMARY KEY,
     value REAL NOT NULL
   ) STRICT;`,
  `CREATE TABLE async_calls (
     sequence INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     function TEXT NOT NULL,
     state TEXT NOT NULL,
     request TEXT NOT NULL,
     request_bytes INTEGER NOT NULL,
     callback_url TEXT,
     callback TEXT NOT NULL,
     attempts INTEGER NOT NULL DEFAULT 0,
     submitted_at INTEGER NOT NULL,
     queued_at INTEGER NOT NULL,
     started_at INTEGER,
     ended_at INTEGER,
     answer TEXT,
     answer_bytes INTEGER NOT NULL DEFAULT 0
   ) STRICT;
   CREATE INDEX async_calls_unended ON async_calls (queued_at, sequence) WHERE ended_at IS NULL;
   CREATE INDEX async_calls_by_end ON async_calls (ended_at) WHERE ended_at IS NOT NULL;
   CREATE INDEX async_calls_by_function ON async_calls (function, sequence);`,
  `ALTER TABLE versions ADD COLUMN note TEXT NOT NULL DEFAULT '';`,
];

/**
 * Opens (and creates or migrates) the database at `path`; a database of a newer gpufaas is refused. `full`: a commit waits for
 * the disk. `normal`: it does not; a power cut may cost the last commits, a killed process costs nothing.
 */
export function openDatabase(path: string, durability: 'full' | 'normal' = 'full'): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    return prepare(database, durability);
  } catch (error) {
    database.close();
    throw translate(error);
  }
}

function prepare(database: DatabaseSync, durability: 'full' | 'normal'): DatabaseSync {
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${durability}; PRAGMA busy_timeout = 5000;`);
  const version = Number(database.prepare('PRAGMA user_version').get()!['user_version']);
  if (version > MIGRATIONS.length) {
    throw new GpufaasError('VERSION_MISMATCH', 'The state in GPUFAAS_HOME was written by a newer gpufaas.', {
      suggestions: ['Install the newer version, or use another GPUFAAS_HOME.'],
    });
  }
  for (let next = version; next < MIGRATIONS.length; next++) {
    inTransaction(database, () => {
      database.exec(MIGRATIONS[next]!);
      database.exec(`PRAGMA user_version = ${next + 1}`);
    });
  }
  return database;
}

/** Runs `work` in one transaction; nothing of it stays if it throws. A full disk becomes DISK_FULL. */
export function inTransaction<T>(database: DatabaseSync, work: () => T): T {
  try {
    database.exec('BEGIN IMMEDIATE');
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw translate(error);
  }
}

/** A full disk, a disk that fails, and a file that is no database, by SQLite's own numbers. */
function translate(error: unknown): unknown {
  const code = (error as { errcode?: number } | null)?.errcode;
  if (code === undefined) return error;
  const primary = code & 0xff;
  if (primary === 11 || primary === 26) {
    return new GpufaasError('INTERNAL', 'The state in GPUFAAS_HOME (state.db) is damaged.', {
      cause: error,
      suggestions: ['Put a copy of it back, or move state.db away and deploy the functions again.'],
    });
  }
  if (primary === 13 || primary === 10) {
    return new GpufaasError(
      'DISK_FULL',
      'The state could not be written: the disk under GPUFAAS_HOME is full or failing.',
      {
        cause: error,
        suggestions: ['Free some space (`gpufaas models ls` shows what the model store holds) and try again.'],
      },
    );
  }
  return error;
}
