// Unpacks an uploaded function (tar, plain or gzip) into a folder of its own, inside the jail: ordinary files and
// folders only, nothing outside, bounded in number and bytes. The folder appears whole, by one rename, or not at all.

import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { GpufaasError } from '../errors.ts';
import { formatSize } from '../units.ts';
import { pathProblem } from './paths.ts';
import { readTar, type TarEntry } from './tar-reader.ts';

/** Bounds of one package. */
export interface PackageLimits {
  readonly maxFiles: number;
  /** Of all files together, unpacked. */
  readonly maxBytes: number;
}

/** Enough for a function with large models and its dependencies. */
const PACKAGE_LIMITS: PackageLimits = { maxFiles: 20_000, maxBytes: 32e9 };

/** What was unpacked. */
export interface PackageContents {
  readonly files: number;
  readonly bytes: number;
}

const UNFINISHED = '.unfinished';
const FILE_TYPES = new Set(['File', 'OldFile', 'ContiguousFile']);
/** What a tar header and the padding of one entry can take beyond its bytes, with room for long names. */
const ENTRY_OVERHEAD_BYTES = 4096;

/**
 * Unpacks a package into `folder`, which must not exist yet. Throws BAD_PACKAGE naming the entry, DISK_FULL, or what the
 * signal was aborted with; then nothing is left behind.
 */
export async function unpackPackage(
  archive: AsyncIterable<Uint8Array>,
  folder: string,
  limits: PackageLimits = PACKAGE_LIMITS,
  signal?: AbortSignal,
): Promise<PackageContents> {
  const unfinished = join(dirname(folder), `.${basename(folder)}${UNFINISHED}`);
  await rm(unfinished, { recursive: true, force: true });
  try {
    await mkdir(unfinished, { recursive: true, mode: 0o700 });
    const unpacking = new Unpacking(unfinished, limits);
    const maxTotalBytes = limits.maxBytes + (limits.maxFiles + 16) * ENTRY_OVERHEAD_BYTES;
    for await (const entry of readTar(archive, maxTotalBytes, signal)) await unpacking.add(entry);
    if (unpacking.files === 0) throw new GpufaasError('BAD_PACKAGE', 'The package holds no files.');
    await rename(unfinished, folder);
    return { files: unpacking.files, bytes: unpacking.bytes };
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw translate(error, signal);
  }
}

/** Removes what a killed process left half unpacked beside the folders of `parent`. */
export async function removeUnfinishedPackages(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    if (name.startsWith('.') && name.endsWith(UNFINISHED))
      await rm(join(parent, name), { recursive: true, force: true });
  }
}

/** One archive being written out, entry by entry. */
class Unpacking {
  files = 0;
  bytes = 0;
  readonly #root: string;
  readonly #limits: PackageLimits;
  /** What each name became, by its form on a file system that ignores case and composition. */
  readonly #names = new Map<string, { path: string; kind: 'file' | 'folder' }>();

  constructor(root: string, limits: PackageLimits) {
    this.#root = root;
    this.#limits = limits;
  }

  async add(entry: TarEntry): Promise<void> {
    const path = entry.path.replace(/^(\.\/)+/, '').replace(/\/+$/, '');
    if (entry.type === 'Directory' && (path === '' || path === '.')) return;
    const problem = pathProblem(path);
    if (problem !== null) throw bad(entry.path, `its path ${problem}`);
    if (entry.type === 'Directory') {
      this.#claim(path, 'folder');
      await mkdir(join(this.#root, path), { recursive: true, mode: 0o700 });
      return;
    }
    if (!FILE_TYPES.has(entry.type))
      throw bad(path, `it is ${TYPE_WORDS[entry.type] ?? 'neither a file nor a folder'}`);
    if (++this.files > this.#limits.maxFiles) {
      throw new GpufaasError('BAD_PACKAGE', `The package holds more than ${this.#limits.maxFiles} files.`, {
        suggestions: ['Leave out what the function does not need when it runs (.git, node_modules, training data).'],
      });
    }
    this.#claim(path, 'file');
    await this.#write(path, entry);
  }

  async #write(path: string, entry: TarEntry): Promise<void> {
    const full = join(this.#root, path);
    await mkdir(dirname(full), { recursive: true, mode: 0o700 });
    this.bytes += entry.size;
    if (this.bytes > this.#limits.maxBytes) {
      throw new GpufaasError('BAD_PACKAGE', `The package holds more than ${formatSize(this.#limits.maxBytes)}.`, {
        suggestions: ['Keep large models outside the package: models: { m: { url: …, sha256: … } }.'],
      });
    }
    await using file = await open(full, 'wx', 0o600);
    for await (const chunk of entry.body) await file.writeFile(chunk);
  }

  /** Refuses names that would be the same file elsewhere, and a file where a folder is needed. */
  #claim(path: string, kind: 'file' | 'folder'): void {
    const parts = path.split('/');
    for (let i = 1; i <= parts.length; i++) {
      const part = parts.slice(0, i).join('/');
      const partKind = i < parts.length ? 'folder' : kind;
      const key = part.normalize('NFC').toLowerCase();
      const known = this.#names.get(key);
      if (known === undefined) this.#names.set(key, { path: part, kind: partKind });
      else if (known.path !== part) throw bad(path, `it differs from ${shown(known.path)} only in case or accents`);
      else if (known.kind !== partKind || partKind === 'file') throw bad(path, 'the same name comes twice');
    }
  }
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  SymbolicLink: 'a symbolic link',
  Link: 'a hard link',
  CharacterDevice: 'a device',
  BlockDevice: 'a device',
  FIFO: 'a pipe',
  GNUDumpDir: 'a folder dump',
  SparseFile: 'a sparse file',
};

function translate(error: unknown, signal: AbortSignal | undefined): unknown {
  if (error instanceof GpufaasError) return error;
  if (signal?.aborted) return signal.reason;
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new GpufaasError('DISK_FULL', 'There is no room on disk for the package.', {
      cause: error,
      suggestions: ['Free space under GPUFAAS_HOME: `gpufaas rm` functions, `gpufaas models rm` models.'],
    });
  }
  return new GpufaasError('BAD_PACKAGE', 'The package broke off before its end.', {
    cause: error,
    suggestions: ['Send it again.'],
  });
}

function bad(path: string, why: string): GpufaasError {
  return new GpufaasError('BAD_PACKAGE', `The package holds ${shown(path)}, which is refused: ${why}.`, {
    suggestions: ['A package holds ordinary files and folders of the function folder, nothing else.'],
  });
}

function shown(path: string): string {
  return JSON.stringify(path.length > 80 ? `${path.slice(0, 80)}…` : path);
}
