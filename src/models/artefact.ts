// Prepared models on disk: one folder each, named by everything its content depends on, published whole by one rename and
// never changed after. A worker maps the weights, so a file that changed under it could change its answers.

import { createHash, randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { GpufaasError } from '../errors.ts';
import { runtimeFolder } from '../devices/cuda-libraries.ts';
import { ARTEFACT_FILE } from '../workers/artefact-file.ts';

/** What a prepared model depends on. */
export interface ArtefactKey {
  readonly model: string;
  readonly runtime: string;
  readonly processor: string;
  /** Whom it is for: `cpu`, or `any` that goes on optimising it. */
  readonly provider: 'cpu' | 'any';
  readonly sessionOptions: Readonly<Record<string, unknown>>;
  /** Rows of a run that the way of loading was chosen for; absent: 1. */
  readonly batchRows?: number;
  /** Raised when the way we prepare changes. */
  readonly format: 1;
}

/** How a prepared model is to be loaded, written beside it. */
export interface ArtefactRecord {
  readonly mode: 'mapped' | 'prepacked' | 'portable';
  /** A mapped one that has run so often is to be loaded anew, prepacked; absent: that would gain nothing. */
  readonly packAfterRuns?: number;
  /** The file it was made from, for devices that can't use it. */
  readonly original: string;
  readonly key: ArtefactKey;
  /** The files as they were published; what differs now was changed on disk. */
  readonly files: readonly ArtefactFile[];
}

interface ArtefactFile {
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

const TEMPORARY = '.preparing-';
const PUBLISHED = /^[0-9a-f]{16}-[0-9a-f]{32}$/;
export const MODEL_FILE = 'model.onnx';
export const WEIGHTS_FILE = 'weights.bin';

/** The processor's instruction sets: optimised graphs use what they find. */
function processorFeatures(): string {
  try {
    const flags = /^(?:flags|Features)\s*:\s*(.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
    if (flags !== undefined)
      return createHash('sha256').update(flags.split(' ').sort().join(' ')).digest('hex').slice(0, 16);
  } catch {
    // Not Linux: the model's name stands for its features.
  }
  return `${process.arch} ${cpus()[0]?.model ?? ''}`;
}

function runtimeVersion(): string {
  const { version } = JSON.parse(readFileSync(join(runtimeFolder(), 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  return version;
}

/** The key of a model on this machine, with the runtime that is installed now. */
export function artefactKey(
  model: string,
  sessionOptions: Readonly<Record<string, unknown>> = {},
  batchRows = 1,
  provider: ArtefactKey['provider'] = 'cpu',
): ArtefactKey {
  return {
    model,
    runtime: runtimeVersion(),
    processor: processorFeatures(),
    provider,
    sessionOptions,
    ...(batchRows > 1 && { batchRows }),
    format: 1,
  };
}

function folderName(key: ArtefactKey): string {
  return `${key.model.slice(0, 16)}-${createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 32)}`;
}

/** The published artefact of a key inside `folder`, as the path to load; null if there is none. */
export async function findArtefact(folder: string, key: ArtefactKey): Promise<string | null> {
  const place = join(folder, folderName(key));
  try {
    await readFile(join(place, ARTEFACT_FILE));
    return join(place, MODEL_FILE);
  } catch {
    return null;
  }
}

/** False if a prepared path was made for another runtime or processor than this machine has now, is gone or was changed. */
export function isCurrent(preparedPath: string): boolean {
  const folder = dirname(preparedPath);
  try {
    const { key, files } = JSON.parse(readFileSync(join(folder, ARTEFACT_FILE), 'utf8')) as ArtefactRecord;
    const now = artefactKey(key.model, key.sessionOptions, key.batchRows, key.provider);
    return (
      JSON.stringify(now) === JSON.stringify(key) &&
      files.every((file) => isAsPublished(file, statSync(join(folder, file.path))))
    );
  } catch {
    return false;
  }
}

/** Throws BAD_MODEL if the files of a prepared model are not as they were published (size and time of change). */
export async function checkArtefact(preparedPath: string): Promise<void> {
  const folder = dirname(preparedPath);
  try {
    const { files } = JSON.parse(await readFile(join(folder, ARTEFACT_FILE), 'utf8')) as ArtefactRecord;
    const found = await Promise.all(files.map(({ path }) => stat(join(folder, path))));
    if (files.every((file, index) => isAsPublished(file, found[index]!))) return;
  } catch {
    // A file is gone, or the record is none.
  }
  throw new GpufaasError('BAD_MODEL', 'The prepared form of the model was changed on disk.', {
    suggestions: ['Deploy the function again: that prepares the model anew.'],
  });
}

function isAsPublished({ bytes, modifiedMs }: ArtefactFile, found: { size: number; mtimeMs: number }): boolean {
  return found.size === bytes && found.mtimeMs === modifiedMs;
}

/** True for the path of a published artefact, as against a model of the store. */
export function isArtefact(path: string): boolean {
  return PUBLISHED.test(basename(dirname(path)));
}

/** A folder to prepare in, beside where it will be published. */
export async function newStaging(folder: string): Promise<string> {
  const staging = join(folder, `${TEMPORARY}${process.pid}-${randomUUID()}`);
  await mkdir(staging, { recursive: true, mode: 0o700 });
  return staging;
}

/** Makes a staged artefact visible under its key, whole and read-only; gives the path to load. */
export async function publishArtefact(
  folder: string,
  staging: string,
  record: Omit<ArtefactRecord, 'files'>,
): Promise<string> {
  const files: ArtefactFile[] = [];
  for (const path of (await readdir(staging)).toSorted()) {
    await chmod(join(staging, path), 0o400);
    const { size, mtimeMs } = await stat(join(staging, path));
    files.push({ path, bytes: size, modifiedMs: mtimeMs });
  }
  await writeFile(join(staging, ARTEFACT_FILE), JSON.stringify({ ...record, files }), { mode: 0o600 });
  const place = join(folder, folderName(record.key));
  const path = join(place, MODEL_FILE);
  try {
    await rename(staging, place);
  } catch (error) {
    if (isCurrent(path)) {
      // Somebody else prepared the same at the same moment: theirs is as good.
      await rm(staging, { recursive: true, force: true });
      return path;
    }
    if ((await findArtefact(folder, record.key)) === null) throw error;
    // What is there was damaged on disk. Workers that map it keep what they have.
    const aside = join(folder, `${TEMPORARY}${process.pid}-${randomUUID()}`);
    await rename(place, aside);
    await rename(staging, place);
    await rm(aside, { recursive: true, force: true });
  }
  return path;
}

/** Bytes of the files of a staged artefact. */
export async function stagedBytes(staging: string): Promise<number> {
  let total = 0;
  for (const name of await readdir(staging)) total += (await stat(join(staging, name))).size;
  return total;
}

/** Removes what killed processes left half-prepared, and artefacts of models that are not in `models`. */
export async function clearArtefacts(folder: string, models: ReadonlySet<string>): Promise<void> {
  const kept = new Set(Array.from(models, (model) => model.slice(0, 16)));
  for (const name of await readdir(folder).catch(() => [])) {
    const ours = name.startsWith(TEMPORARY) || PUBLISHED.test(name);
    if (!ours || kept.has(name.slice(0, 16))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

/** Removes every prepared form of a model. */
export async function removeArtefacts(folder: string, model: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (name.startsWith(`${model.slice(0, 16)}-`)) await rm(join(folder, name), { recursive: true, force: true });
  }
}
