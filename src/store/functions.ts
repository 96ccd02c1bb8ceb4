// Functions, their versions and the models they use, kept durably. Verbs only; every write is one transaction.

import type { DatabaseSync } from 'node:sqlite';
import { GpufaasError } from '../errors.ts';
import type { FunctionVersion, Manifest } from '../functions/types.ts';
import type { Model } from '../models/types.ts';
import { inTransaction } from './database.ts';
import type { DiskReserve } from './reserve.ts';

/** A function as it stands in the database. */
export interface FunctionRow {
  readonly name: string;
  readonly servingVersion: number;
  readonly pinned: boolean;
}

/** A version without its folder, which the caller derives. */
export type VersionRow = Omit<FunctionVersion, 'folder'>;

export interface FunctionStore {
  functions(): FunctionRow[];
  versions(name: string): VersionRow[];
  /** The number the next deployment of `name` will get; numbers are never used twice while the function exists. */
  nextVersion(name: string): number;
  /** Records a version and makes it the serving one. */
  publish(version: VersionRow): void;
  /** Makes an existing version the serving one. */
  serve(name: string, version: number): void;
  setPinned(name: string, pinned: boolean): void;
  dropVersion(name: string, version: number): void;
  remove(name: string): void;
  models(): Model[];
  saveModel(model: Model): void;
  touchModels(keys: Iterable<string>, atMs: number): void;
  modelLastUsed(key: string): number | null;
  removeModel(key: string): void;
  /** The models that were resident, most valuable first. */
  residents(): string[];
  saveResidents(residents: readonly { readonly key: string; readonly value: number }[]): void;
}

/** With a reserve, what takes no room in the end can be written on a full disk too. */
export function createFunctionStore(database: DatabaseSync, reserve?: DiskReserve): FunctionStore {
  const allFunctions = database.prepare('SELECT name, serving_version, pinned FROM functions ORDER BY name');
  const versionsOf = database.prepare(
    'SELECT name, version, manifest, models, created_at, note FROM versions WHERE name = ? ORDER BY version',
  );
  const next = database.prepare('SELECT next_version FROM functions WHERE name = ?');
  const insertVersion = database.prepare(
    'INSERT INTO versions (name, version, manifest, models, created_at, note) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const upsertFunction = database.prepare(
    `INSERT INTO functions (name, serving_version, next_version) VALUES (?1, ?2, ?2 + 1)
     ON CONFLICT (name) DO UPDATE SET serving_version = ?2, next_version = max(next_version, ?2 + 1)`,
  );
  const setServing = database.prepare('UPDATE functions SET serving_version = ? WHERE name = ?');
  const pin = database.prepare('UPDATE functions SET pinned = ? WHERE name = ?');
  const deleteVersion = database.prepare('DELETE FROM versions WHERE name = ? AND version = ?');
  const deleteVersions = database.prepare('DELETE FROM versions WHERE name = ?');
  const deleteFunction = database.prepare('DELETE FROM functions WHERE name = ?');
  const deleteCount = database.prepare('DELETE FROM counts WHERE function = ?');
  const deleteLogs = database.prepare(
    'DELETE FROM logs WHERE sequence IN (SELECT sequence FROM logs WHERE function = ? LIMIT 500)',
  );
  const allModels = database.prepare('SELECT model FROM models ORDER BY key');
  const upsertModel = database.prepare(
    'INSERT INTO models (key, model) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET model = excluded.model',
  );
  const touch = database.prepare('UPDATE models SET last_used_at = ? WHERE key = ?');
  const lastUsed = database.prepare('SELECT last_used_at FROM models WHERE key = ?');
  const deleteModel = database.prepare('DELETE FROM models WHERE key = ?');
  const allResidents = database.prepare('SELECT key FROM residents ORDER BY value DESC, key');
  const insertResident = database.prepare('INSERT OR REPLACE INTO residents (key, value) VALUES (?, ?)');

  const small = (work: () => unknown): void => {
    const write = (): void => void inTransaction(database, work);
    if (reserve === undefined) write();
    else reserve.spend(write);
  };

  return {
    functions: () =>
      allFunctions.all().map((row) => ({
        name: String(row['name']),
        servingVersion: Number(row['serving_version']),
        pinned: Number(row['pinned']) === 1,
      })),
    versions: (name) =>
      versionsOf.all(name).map((row) => ({
        name: String(row['name']),
        version: Number(row['version']),
        manifest: JSON.parse(String(row['manifest'])) as Manifest,
        models: JSON.parse(String(row['models'])) as Record<string, string>,
        createdAtMs: Number(row['created_at']),
        ...(row['note'] !== '' && { note: String(row['note']) }),
      })),
    nextVersion: (name) => Number(next.get(name)?.['next_version'] ?? 1),
    publish: (version) =>
      inTransaction(database, () => {
        insertVersion.run(
          version.name,
          version.version,
          JSON.stringify(version.manifest),
          JSON.stringify(version.models),
          version.createdAtMs,
          version.note ?? '',
        );
        upsertFunction.run(version.name, version.version);
      }),
    serve: (name, version) => small(() => setServing.run(version, name)),
    setPinned: (name, pinned) => small(() => pin.run(pinned ? 1 : 0, name)),
    dropVersion: (name, version) => small(() => deleteVersion.run(name, version)),
    remove: (name) => {
      small(() => {
        deleteVersions.run(name);
        deleteFunction.run(name);
        deleteCount.run(name);
      });
      // Not in one with the rest: of many lines the log of the change alone would fill what room there is.
      inPieces(
        () => Number(deleteLogs.run(name).changes),
        (work) => small(work),
      );
    },
    models: () => allModels.all().map((row) => JSON.parse(String(row['model'])) as Model),
    saveModel: (model) => void inTransaction(database, () => upsertModel.run(model.key, JSON.stringify(model))),
    touchModels: (keys, atMs) =>
      inTransaction(database, () => {
        for (const key of keys) touch.run(atMs, key);
      }),
    modelLastUsed: (key) => {
      const value = lastUsed.get(key)?.['last_used_at'];
      return value == null ? null : Number(value);
    },
    removeModel: (key) => small(() => deleteModel.run(key)),
    residents: () => allResidents.all().map((row) => String(row['key'])),
    saveResidents: (residents) =>
      inTransaction(database, () => {
        database.exec('DELETE FROM residents');
        for (const { key, value } of residents) insertResident.run(key, value);
      }),
  };
}

/** Deletes piece by piece until nothing is left. A disk too full for it keeps the rest: newer lines drive them out in time. */
function inPieces(deletePiece: () => number, write: (work: () => void) => void): void {
  let deleted: number;
  do {
    try {
      deleted = 0;
      write(() => {
        deleted = deletePiece();
      });
    } catch (error) {
      if (error instanceof GpufaasError && error.code === 'DISK_FULL') return;
      throw error;
    }
  } while (deleted > 0);
}
