// Packs what is to be deployed as a tar stream: a function's folder, or a function made up around a bare ONNX file. Nothing
// from outside the folder gets in, and function.yaml comes first so that a bad one is refused early.

import { lstatSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path';
import { Readable } from 'node:stream';
import { GpufaasError } from '../errors.ts';
import { externalPath, missingWeights } from '../onnx/external.ts';
import { checkFunctionName } from './function-name.ts';
import { readIgnoreRules } from './ignore-rules.ts';

/** A package ready to be sent. */
export interface Package {
  /** Where it comes from: a folder, or the folder of a bare model. */
  readonly folder: string;
  readonly kind: 'folder' | 'model';
  /** The function's name where it is known without asking the daemon: --name, or from a model's file name. */
  readonly name: string | null;
  /** Content of the function.yaml that goes in. */
  readonly manifest: string;
  /** Paths inside the package with their sizes in bytes, function.yaml left out, in order. */
  readonly files: readonly PackedFile[];
  readonly totalBytes: number;
}

/** One file of a package. */
interface PackedFile {
  /** Relative to the folder, with forward slashes. */
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

const MANIFEST = 'function.yaml';
const MAX_FILES = 20_000;

/** Looks at what a path names and lists what would be sent. Throws FILE_NOT_FOUND, BAD_PACKAGE, BAD_MODEL, BAD_NAME. */
export async function preparePackage(path: string, name?: string): Promise<Package> {
  const absolute = resolve(path);
  const found = statSync(absolute, { throwIfNoEntry: false });
  if (found === undefined) {
    throw new GpufaasError('FILE_NOT_FOUND', `There is no ${path}.`, {
      suggestions: ['Name a folder with a function.yaml or an .onnx file; `gpufaas init` makes such a folder.'],
    });
  }
  if (name !== undefined) checkFunctionName(name);
  return found.isDirectory() ? await prepareFolder(absolute, name) : await prepareModel(absolute, name);
}

async function prepareFolder(folder: string, name: string | undefined): Promise<Package> {
  let manifest: string;
  try {
    manifest = readFileSync(join(folder, MANIFEST), 'utf8');
  } catch (error) {
    throw new GpufaasError('FILE_NOT_FOUND', `${folder} has no ${MANIFEST}.`, {
      cause: error,
      suggestions: ['Make a function with `gpufaas init`, or deploy a bare model: `gpufaas deploy MODEL.onnx`.'],
    });
  }
  const files = await listFolder(folder);
  const renamed = name === undefined ? manifest : await rename(manifest, name);
  return finish({ folder, kind: 'folder', name: name ?? null, manifest: renamed, files });
}

async function prepareModel(path: string, name: string | undefined): Promise<Package> {
  if (extname(path).toLowerCase() !== '.onnx') {
    throw new GpufaasError('BAD_PACKAGE', `${basename(path)} is neither a folder nor an .onnx file.`, {
      suggestions: ['Export the model to ONNX (torch.onnx.export, tf2onnx, skl2onnx) and deploy the .onnx file.'],
    });
  }
  const folder = dirname(path);
  const functionName = name ?? nameOfModel(path);
  const { inspectOnnx } = await import('../onnx/inspect.ts');
  const { stringify } = await import('yaml');
  // The weights of a model that is itself a link (a download cache) may lie beside the link or beside the model.
  const roots = [await realpath(folder), dirname(await realpath(path))];
  const { size, mtimeMs } = await stat(path);
  const files = [{ path: basename(path), bytes: size, modifiedMs: mtimeMs }];
  for (const external of inspectOnnx(path).externalFiles) {
    const file = externalPath(folder, external.location);
    if (lstatSync(file, { throwIfNoEntry: false }) === undefined) throw missingWeights(external.location);
    files.push({ path: toSlashes(relative(folder, file)), ...(await fileWithin(file, roots, external.location)) });
  }
  const manifest = stringify({
    name: functionName,
    description: `The model ${basename(path)}: tensors in, tensors out`,
    models: { model: { path: basename(path) } },
  });
  return finish({ folder, kind: 'model', name: functionName, manifest, files });
}

function finish(parts: Omit<Package, 'totalBytes'>): Package {
  const totalBytes = parts.files.reduce((sum, file) => sum + file.bytes, Buffer.byteLength(parts.manifest));
  return { ...parts, totalBytes };
}

async function listFolder(folder: string): Promise<PackedFile[]> {
  const ignores = await readIgnoreRules(folder);
  const root = realpathSync(folder);
  const files: PackedFile[] = [];
  // Folders are taken from the list as they are found, so links that form a circle end at MAX_FILES or at their depth.
  const pending = [''];
  for (let folderPath = pending.pop(); folderPath !== undefined; folderPath = pending.pop()) {
    const entries = await readdir(join(folder, folderPath), { withFileTypes: true });
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = folderPath === '' ? entry.name : `${folderPath}/${entry.name}`;
      const isFolder = entry.isDirectory();
      if (path === MANIFEST || ignores(isFolder ? `${path}/` : path)) continue;
      if (isFolder) pending.push(path);
      else if (entry.isFile() || entry.isSymbolicLink()) {
        files.push({ path, ...(await fileWithin(join(folder, path), [root], path)) });
      }
      if (files.length + pending.length > MAX_FILES) throw tooManyFiles(folder);
    }
  }
  return files;
}

/** A file that has to lie inside one of the folders once all links are followed. */
async function fileWithin(path: string, roots: readonly string[], shown: string): Promise<Omit<PackedFile, 'path'>> {
  let target: string;
  try {
    target = await realpath(path);
  } catch (error) {
    throw new GpufaasError('BAD_PACKAGE', `${shown} is a link that leads nowhere.`, {
      cause: error,
      suggestions: ['Put the file itself there, or name the link in .gpufaasignore.'],
    });
  }
  if (!roots.some((root) => target.startsWith(root.endsWith(sep) ? root : root + sep))) {
    throw new GpufaasError('BAD_PACKAGE', `${shown} is a link that leads outside the folder.`, {
      suggestions: ['Copy the file into the folder, or name it in .gpufaasignore.'],
    });
  }
  const found = await stat(target);
  if (found.isFile()) return { bytes: found.size, modifiedMs: found.mtimeMs };
  throw new GpufaasError('BAD_PACKAGE', `${shown} is a link to something that is not a file.`, {
    suggestions: ['Copy what it points to into the folder, or name it in .gpufaasignore.'],
  });
}

/**
 * The package as a tar stream. A file that is written to before all of it is read makes it fail with BAD_PACKAGE: half of
 * one model and half of another are none.
 */
export async function packageStream(packed: Package, onBytes?: (sent: number) => void): Promise<Readable> {
  const { Header, Pack, ReadEntry } = await import('tar');
  // Links were checked to stay inside: what they point to is sent in their place.
  const pack = new Pack({ cwd: packed.folder, portable: true, follow: true, noDirRecurse: true });
  const manifest = Buffer.from(packed.manifest);
  const header = new Header({ path: MANIFEST, mode: 0o644, size: manifest.length, type: 'File', mtime: new Date(0) });
  header.encode();
  const entry = new ReadEntry(header);
  pack.add(entry);
  entry.end(manifest);
  for (const file of packed.files) pack.add(file.path);
  pack.end();
  return Readable.from(guard(pack, packed, onBytes), { objectMode: false });
}

/** The chunks of an archive, counted; the last one, without which it is not whole, only if all files are as they were. */
async function* guard(
  archive: AsyncIterable<Buffer>,
  packed: Package,
  onBytes: (sent: number) => void = () => undefined,
): AsyncGenerator<Buffer> {
  let sent = 0;
  let held: Buffer | undefined;
  try {
    for await (const chunk of archive) {
      if (held !== undefined) yield held;
      held = chunk;
      sent += chunk.length;
      onBytes(sent);
    }
  } catch (error) {
    throw (await firstChanged(packed, error)) ?? error;
  }
  const changed = await firstChanged(packed);
  if (changed !== undefined) throw changed;
  if (held !== undefined) yield held;
}

/** What to say of the first file that is no longer what it was when the package was prepared. */
async function firstChanged({ folder, files }: Package, cause?: unknown): Promise<GpufaasError | undefined> {
  for (const { path, bytes, modifiedMs } of files) {
    const now = await stat(join(folder, path)).catch(() => null);
    if (now?.size === bytes && now.mtimeMs === modifiedMs) continue;
    return new GpufaasError('BAD_PACKAGE', `${path} ${now ? 'was changed' : 'went away'} while it was being sent.`, {
      cause,
      suggestions: ['Deploy again when the program that writes it is done.'],
    });
  }
  return undefined;
}

/** The sample that the manifest names, as an absolute path; null if it names none that is packed. */
export function sampleOf(packed: Package): string | null {
  const sample = /^sample:\s*["']?([^"'#\n]+?)["']?\s*(?:#.*)?$/m.exec(packed.manifest)?.[1]?.replace(/^\.\//, '');
  return packed.files.some((file) => file.path === sample) ? join(packed.folder, sample!) : null;
}

async function rename(manifest: string, name: string): Promise<string> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(manifest);
  // A manifest that can't be read goes as it is: the daemon says what is wrong with it, and where.
  if (document.errors.length > 0) return manifest;
  document.set('name', name);
  return document.toString();
}

/** `ResNet50 v2.onnx` → `resnet50-v2`. */
export function nameOfModel(path: string): string {
  const plain = basename(path, extname(path))
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return (/^[a-z]/.test(plain) ? plain : `model-${plain}`).slice(0, 63).replace(/-+$/, '');
}

function toSlashes(path: string): string {
  return path.split(sep).join('/');
}

function tooManyFiles(folder: string): GpufaasError {
  return new GpufaasError('BAD_PACKAGE', `${folder} has more than ${MAX_FILES} files.`, {
    suggestions: ['Name what the function does not need in .gpufaasignore.'],
  });
}
