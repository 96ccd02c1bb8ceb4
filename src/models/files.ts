// Files on their way into the model store: only ordinary ones, inside the function's folder, reached through no link;
// hashed as they are taken, read-only from then on.

import { randomUUID, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, link, lstat, open, realpath, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, relative, sep } from 'node:path';
import { GpufaasError } from '../errors.ts';
import { externalPath, missingWeights } from '../onnx/external.ts';
import type { ExternalFile } from '../onnx/external.ts';
import { formatSize } from '../units.ts';

/** Small enough that hashing one chunk does not delay what else the daemon does. */
const CHUNK_BYTES = 256 * 1024;

/** The real path of an ordinary file inside the root. Throws FILE_NOT_FOUND or BAD_MODEL. */
export async function ordinaryFile(path: string, root: string): Promise<string> {
  const found = await lstat(path).catch(() => null);
  if (found === null) {
    throw new GpufaasError('FILE_NOT_FOUND', `There is no file ${relative(root, path) || path}.`, {
      suggestions: ['Check the path of the model in function.yaml; it is relative to the function folder.'],
    });
  }
  const [real, realRoot] = await Promise.all([realpath(path), realpath(root)]);
  if (!found.isFile() || !real.startsWith(realRoot + sep)) {
    throw badModel(
      `${basename(path)} is not an ordinary file inside the function folder.`,
      'Put the file itself there, not a link to it.',
    );
  }
  return real;
}

/** The real path of a model's external weights, whole. Throws BAD_MODEL. */
export async function externalFile(modelFolder: string, root: string, external: ExternalFile): Promise<string> {
  const { location, bytes } = external;
  const path = externalPath(modelFolder, location);
  const shown = JSON.stringify(location.slice(0, 200));
  const real = await ordinaryFile(path, root).catch((error: GpufaasError) => {
    if (error.code !== 'FILE_NOT_FOUND') throw error;
    throw missingWeights(location);
  });
  const { size } = await stat(real);
  if (size >= bytes) return real;
  throw badModel(`The weights in ${shown} are cut: ${size} bytes of at least ${bytes}.`, 'Copy the file again.');
}

/** Copies or links one file and hashes what stands there afterwards; the new file is read-only. */
export async function takeFile(
  from: string,
  to: string,
  mayLink: boolean,
  hash: Hash,
  signal: AbortSignal | undefined,
): Promise<{ bytes: number; modifiedMs: number }> {
  const linked =
    mayLink &&
    (await link(from, to).then(
      () => true,
      () => false,
    ));
  if (linked) {
    await hashFile(to, hash, signal);
  } else {
    await using file = await open(to, 'wx', 0o600);
    await hashFile(from, hash, signal, (chunk) => file.writeFile(chunk));
  }
  await chmod(to, 0o400);
  const { size, mtimeMs } = await stat(to);
  return { bytes: size, modifiedMs: mtimeMs };
}

/** Makes `copy` a hard link to `stored`, whose bytes it has; where the file system can't, it stays a copy. */
export async function shareBytes(stored: string, copy: string): Promise<void> {
  const linked = `${copy}.${randomUUID()}`;
  try {
    const [one, other] = await Promise.all([stat(stored), stat(copy)]);
    if (one.ino === other.ino && one.dev === other.dev) return;
    await link(stored, linked);
    await rename(linked, copy);
  } catch {
    await rm(linked, { force: true });
  }
}

/** Adds a file's bytes to the hash; `also` is given each chunk and waited for. */
export async function hashFile(
  path: string,
  hash: Hash,
  signal?: AbortSignal,
  also?: (chunk: Buffer) => Promise<void>,
): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, ...(signal && { signal }) })) {
    hash.update(chunk as Buffer);
    await also?.(chunk as Buffer);
  }
}

/** What is wrong with a model, and what to do. */
export function badModel(message: string, suggestion: string): GpufaasError {
  return new GpufaasError('BAD_MODEL', message, { suggestions: [suggestion] });
}

const NO_ROOM = {
  suggestions: ['Free space: `gpufaas models ls` shows what is stored, `gpufaas models rm` removes it.'],
};

/** Throws DISK_FULL early, so that what can't fit does not fill the disk before it fails. */
export async function needRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bytes <= bavail * bsize) return;
  const free = formatSize(bavail * bsize);
  throw new GpufaasError('DISK_FULL', `The model needs ${formatSize(bytes)}; the disk has ${free} free.`, NO_ROOM);
}

/** DISK_FULL for what the system says of a full disk; any other error as it is. */
export function translateFull(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new GpufaasError('DISK_FULL', 'There is no room on disk for the model.', { cause: error, ...NO_ROOM });
}
