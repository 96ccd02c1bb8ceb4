// One daemon per home. The lock is an exclusive transaction on a small SQLite file: the operating system holds it for
// exactly as long as the process lives, so a killed predecessor leaves nothing stale behind.

import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { daemonFileSchema, type DaemonFile } from '../api/schemas.ts';
import { GpufaasError } from '../errors.ts';
import type { Home } from '../home.ts';

/** Held until released or until the process ends. */
export interface InstanceLock {
  release(): void;
}

/** Takes the lock of a home, or throws DAEMON_RUNNING naming who has it. */
export function acquireInstanceLock(home: Home): InstanceLock {
  const database = openLockFile(home.lockFile);
  try {
    database.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE;');
  } catch (error) {
    database.close();
    if (!isBusy(error)) throw unusable(error);
    const other = readDaemonFile(home);
    throw new GpufaasError(
      'DAEMON_RUNNING',
      other === null
        ? 'Another gpufaas daemon is starting in this GPUFAAS_HOME.'
        : `A gpufaas daemon (pid ${other.pid}) already runs in this GPUFAAS_HOME at ${other.url}.`,
      { cause: error, suggestions: ['Use it as it is, stop it with `gpufaas down`, or set another GPUFAAS_HOME.'] },
    );
  }
  return { release: () => database.close() };
}

function openLockFile(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path);
  } catch (error) {
    throw unusable(error);
  }
}

/** Another process holds it (SQLITE_BUSY). */
function isBusy(error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === 5;
}

/** A full disk or one that fails; a folder nobody may write to. */
function unusable(error: unknown): GpufaasError {
  return new GpufaasError('DISK_FULL', 'GPUFAAS_HOME can not be written to: the disk is full, failing or read-only.', {
    cause: error,
    suggestions: ['Make room there, or set GPUFAAS_HOME to another disk.'],
  });
}

/** What the running (or the last, killed) daemon wrote of itself; null if there is nothing readable. */
export function readDaemonFile(home: Home): DaemonFile | null {
  try {
    return daemonFileSchema.parse(JSON.parse(readFileSync(home.daemonFile, 'utf8')));
  } catch {
    return null;
  }
}
