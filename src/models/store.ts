// The content-addressed model store in GPUFAAS_HOME/models: one folder per sha256 with the ONNX file, its external
// weights and a description. A folder appears whole, by one rename, and never changes after; equal bytes are one model.

import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { z } from 'zod';
import { GpufaasError } from '../errors.ts';
import { externalPath } from '../onnx/external.ts';
import { inspectOnnx, type OnnxInspection } from '../onnx/inspect.ts';
import type { TensorSpec } from '../tensors.ts';
import {
  badModel,
  externalFile,
  hashFile,
  needRoom,
  ordinaryFile,
  shareBytes,
  takeFile,
  translateFull,
} from './files.ts';
import type { StoredModel } from './types.ts';

/** Where a model comes from. */
export interface AddOptions {
  /** The function's folder: the ONNX file and its external weights must lie inside, reached through no link. */
  readonly root: string;
  /**
   * Share the bytes by hard links where the file system can, instead of copying them; a file of the root whose bytes are
   * stored already becomes a link to those. Only for folders that nobody else writes to.
   */
  readonly link?: boolean;
  /** What the sha256 must be; anything else is refused with BAD_MODEL. */
  readonly expectedSha256?: string;
  readonly signal?: AbortSignal;
}

/** What clearing away removed. */
export interface Cleared {
  readonly removed: readonly string[];
  readonly freedBytes: number;
}

const DESCRIPTION = 'model.json';
const TEMPORARY = '.adding-';
const SHA256 = /^[0-9a-f]{64}$/;

const specSchema = z.object({ name: z.string(), datatype: z.string(), shape: z.array(z.number()) });
const descriptionSchema = z.object({
  sha256: z.string(),
  file: z.string(),
  files: z.array(z.object({ path: z.string(), bytes: z.number(), modifiedMs: z.number() })),
  inputs: z.array(specSchema),
  outputs: z.array(specSchema),
});
type Description = z.infer<typeof descriptionSchema>;

/** Opens the store in a folder, making it, and removes what a killed process left half-done. */
export async function createModelStore(folder: string): Promise<ModelStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) {
    if (name.startsWith(TEMPORARY)) await rm(join(folder, name), { recursive: true, force: true });
  }
  return new ModelStore(folder);
}

/** See `createModelStore`. */
export class ModelStore {
  /** Absolute. */
  readonly folder: string;
  /** The last model that is being put in its place: one after the other, so that none takes another's for damaged. */
  #publishing: Promise<unknown> = Promise.resolve();

  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Stores an ONNX file with its external weights. Throws BAD_MODEL (no ONNX file, weights missing, cut or outside of the
   * root), FILE_NOT_FOUND, DISK_FULL; then the store is as it was.
   */
  async add(onnxPath: string, options: AddOptions): Promise<StoredModel> {
    const { root, link: mayLink = false, expectedSha256, signal } = options;
    const source = await ordinaryFile(onnxPath, root);
    if (/\.ort$/i.test(onnxPath)) {
      throw badModel(
        `${basename(onnxPath)} is in ORT format, which is not accepted.`,
        'Deploy the .onnx file it was made from.',
      );
    }
    const temporary = join(this.folder, `${TEMPORARY}${process.pid}-${randomUUID()}`);
    try {
      await mkdir(temporary, { mode: 0o700 });
      const { description, sources } = await this.#take(source, root, temporary, mayLink, signal);
      if (expectedSha256 !== undefined && expectedSha256 !== description.sha256) {
        throw badModel(
          `The model has the sha256 ${description.sha256}, not ${expectedSha256} as expected.`,
          'If these are the right bytes, write that sha256 into function.yaml; else look at where they come from.',
        );
      }
      await writeFile(join(temporary, DESCRIPTION), JSON.stringify(description), { mode: 0o600 });
      await this.#publish(temporary, description.sha256);
      const place = join(this.folder, description.sha256);
      if (mayLink) {
        await Promise.all(description.files.map(({ path }, i) => shareBytes(join(place, path), sources[i]!)));
      }
      return toStored(place, description);
    } catch (error) {
      throw translateFull(error);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }

  /** A stored model, or undefined. Throws BAD_MODEL if its files are not as they were stored (size and time of change). */
  async get(sha256: string): Promise<StoredModel | undefined> {
    const description = await this.#describe(sha256);
    if (description === undefined) return undefined;
    const folder = join(this.folder, sha256);
    for (const file of description.files) {
      const found = await stat(join(folder, file.path)).catch(() => null);
      if (found?.size !== file.bytes || found.mtimeMs !== file.modifiedMs) throw changed(sha256, file.path);
    }
    return toStored(folder, description);
  }

  /** Reads every byte again. Throws MODEL_NOT_FOUND, or BAD_MODEL if the content is not what the name says. */
  async verify(sha256: string, signal?: AbortSignal): Promise<void> {
    const description = await this.#describe(sha256);
    if (description === undefined) throw unknownModel(sha256);
    const hash = createHash('sha256');
    for (const file of description.files) {
      if (file.path !== description.file) hash.update(separator(file.path));
      await hashFile(join(this.folder, sha256, file.path), hash, signal).catch((error: unknown) => {
        throw signal?.aborted ? error : changed(sha256, file.path, error);
      });
    }
    if (hash.digest('hex') !== sha256) throw changed(sha256, description.file);
  }

  /** Every stored model, damaged ones included, in order of sha256. */
  async list(): Promise<StoredModel[]> {
    const models: StoredModel[] = [];
    for (const name of (await readdir(this.folder)).toSorted()) {
      const description = await this.#describe(name);
      if (description) models.push(toStored(join(this.folder, name), description));
    }
    return models;
  }

  /** Forgets a model. Throws MODEL_NOT_FOUND, or CONFLICT if functions use it (the caller knows which). */
  async remove(sha256: string, usedBy: readonly string[] = []): Promise<void> {
    if ((await this.#describe(sha256)) === undefined) throw unknownModel(sha256);
    if (usedBy.length > 0) {
      throw new GpufaasError('CONFLICT', `The model ${short(sha256)} is used by ${usedBy.join(', ')}.`, {
        suggestions: [`Remove the function first: \`gpufaas rm ${usedBy[0]}\``],
      });
    }
    await this.#drop(sha256);
  }

  /** Remembers that a model was used just now, for `makeRoom`. */
  async touch(sha256: string, atMs = Date.now()): Promise<void> {
    if (!SHA256.test(sha256)) return;
    await utimes(join(this.folder, sha256, DESCRIPTION), atMs / 1000, atMs / 1000).catch(() => undefined);
  }

  /** When a model was last used or stored (milliseconds since the epoch), or null if it is not there. */
  async lastUsedMs(sha256: string): Promise<number | null> {
    if (!SHA256.test(sha256)) return null;
    return stat(join(this.folder, sha256, DESCRIPTION)).then(
      (found) => found.mtimeMs,
      () => null,
    );
  }

  /** Removes models that nobody uses, longest unused first, until the store holds at most `quotaBytes`. */
  async makeRoom(quotaBytes: number, used: ReadonlySet<string>): Promise<Cleared> {
    const models = await this.list();
    let total = models.reduce((sum, model) => sum + model.bytes, 0);
    const idle = await Promise.all(
      models
        .filter((model) => !used.has(model.sha256))
        .map(async (model) => ({ model, usedMs: (await this.lastUsedMs(model.sha256)) ?? 0 })),
    );
    const removed: string[] = [];
    let freedBytes = 0;
    for (const { model } of idle.toSorted((a, b) => a.usedMs - b.usedMs)) {
      if (total <= quotaBytes) break;
      await this.#drop(model.sha256);
      total -= model.bytes;
      freedBytes += model.bytes;
      removed.push(model.sha256);
    }
    return { removed, freedBytes };
  }

  async #describe(sha256: string): Promise<Description | undefined> {
    if (!SHA256.test(sha256)) return undefined;
    const path = join(this.folder, sha256, DESCRIPTION);
    try {
      return descriptionSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    } catch {
      // Without a readable description the folder is not a model: the next `add` of these bytes replaces it.
      return undefined;
    }
  }

  /** Brings the files into the temporary folder, hashing on the way, and checks what has arrived there; tells where from. */
  async #take(
    source: string,
    root: string,
    temporary: string,
    mayLink: boolean,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly description: Description; readonly sources: readonly string[] }> {
    const name = 'model.onnx';
    const sources = [source];
    if (!mayLink) await needRoom(this.folder, (await stat(source)).size);
    const hash = createHash('sha256');
    const files = [{ path: name, ...(await takeFile(source, join(temporary, name), mayLink, hash, signal)) }];
    const inspection = inspectOnnx(join(temporary, name));
    const externals = inspection.externalFiles.toSorted((a, b) => (a.location < b.location ? -1 : 1));
    for (const external of externals) {
      const from = await externalFile(dirname(source), root, external);
      const to = externalPath(temporary, external.location);
      if (to === join(temporary, name) || to === join(temporary, DESCRIPTION)) {
        throw badModel(
          `The model keeps its weights in a file called ${basename(to)}.`,
          'Save the weights under another name, such as weights.bin.',
        );
      }
      if (!mayLink) await needRoom(this.folder, (await stat(from)).size);
      await mkdir(dirname(to), { recursive: true, mode: 0o700 });
      const path = relative(temporary, to).split(sep).join('/');
      hash.update(separator(path));
      files.push({ path, ...(await takeFile(from, to, mayLink, hash, signal)) });
      sources.push(from);
    }
    return { description: { sha256: hash.digest('hex'), file: name, files, ...signature(inspection) }, sources };
  }

  #publish(temporary: string, sha256: string): Promise<void> {
    const published = this.#publishing.then(() => this.#place(temporary, sha256));
    this.#publishing = published.catch(() => undefined);
    return published;
  }

  async #place(temporary: string, sha256: string): Promise<void> {
    const place = join(this.folder, sha256);
    const intact = await this.get(sha256).catch(() => undefined);
    if (intact !== undefined) return this.touch(sha256);
    // What is there and not intact was damaged on disk: these bytes take its place.
    await this.#drop(sha256);
    await rename(temporary, place);
  }

  /** Out of sight by one rename, then gone. */
  async #drop(sha256: string): Promise<void> {
    const aside = join(this.folder, `${TEMPORARY}${process.pid}-${randomUUID()}`);
    const moved = await rename(join(this.folder, sha256), aside).then(
      () => true,
      () => false,
    );
    if (moved) await rm(aside, { recursive: true, force: true });
  }
}

function signature({ inputs, outputs }: OnnxInspection): Pick<Description, 'inputs' | 'outputs'> {
  const plain = ({ name, datatype, shape }: TensorSpec) => ({ name, datatype, shape: [...shape] });
  return { inputs: inputs.map(plain), outputs: outputs.map(plain) };
}

function toStored(folder: string, { sha256, file, files, inputs, outputs }: Description): StoredModel {
  return {
    sha256,
    path: join(folder, file),
    bytes: files.reduce((sum, one) => sum + one.bytes, 0),
    inputs: inputs as TensorSpec[],
    outputs: outputs as TensorSpec[],
  };
}

/** Between two files in the hash: so that bytes can't move from one to the other unseen. */
const separator = (path: string): string => `\0${path}\0`;
const short = (sha256: string): string => sha256.slice(0, 12);

function unknownModel(sha256: string): GpufaasError {
  const shown = sha256.length > 64 ? `${sha256.slice(0, 64)}…` : sha256;
  return new GpufaasError('MODEL_NOT_FOUND', `No model ${JSON.stringify(shown)} is stored.`, {
    suggestions: ['`gpufaas models ls` lists what is.'],
  });
}

function changed(sha256: string, file: string, cause?: unknown): GpufaasError {
  return new GpufaasError('BAD_MODEL', `The stored model ${short(sha256)} was changed on disk (${file}).`, {
    cause,
    suggestions: ['Deploy the function again: that stores the model anew.'],
  });
}
