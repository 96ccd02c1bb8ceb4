// Brings a model from an address into the store: fetched with its external weights, checked, stored under its sha256.
// Within the quota, at the cost of models that no function uses; a failure leaves the store as it was.

import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GpufaasError } from '../errors.ts';
import { externalPath } from '../onnx/external.ts';
import { inspectOnnx } from '../onnx/inspect.ts';
import { formatSize } from '../units.ts';
import { HUB_URL, modelUrl } from './address.ts';
import { download, TAG, type DownloadOptions } from './download.ts';
import { needRoom } from './files.ts';
import type { ModelStore } from './store.ts';
import type { StoredModel } from './types.ts';

/** What a fetcher keeps to. */
export interface FetcherOptions extends Omit<DownloadOptions, 'headers' | 'fromHub'> {
  /** The most the store may hold, in bytes; absent: as much as the disk does. */
  readonly quotaBytes?: number | undefined;
  /** Sha256 of the models in use, which are never cleared away. */
  readonly used?: () => ReadonlySet<string>;
  /** Told of the models that were cleared away for the quota, before the download goes on. */
  readonly onCleared?: (removed: readonly string[]) => void | Promise<void>;
  /** Where hf:// leads (default HF_ENDPOINT of the environment, else the Hugging Face hub). */
  readonly hubUrl?: string;
  /** For private repositories of the hub (default HF_TOKEN of the environment); sent to the hub alone. */
  readonly hubToken?: string;
}

/** What to fetch. */
export interface ModelSource {
  /** `https://…` or `hf://owner/repo/path`. */
  readonly url: string;
  /** Over the ONNX file, and over its external weights where it has them; absent: whatever arrives. */
  readonly sha256?: string | undefined;
}

export type FetchModel = (
  source: ModelSource,
  onProgress: (doneBytes: number, totalBytes: number | null) => void,
  signal: AbortSignal,
) => Promise<StoredModel>;

const PULLING = '.pulling-';
/** What arrived of a download is of no use to anybody after this. */
const KEEP_PARTS_MS = 3 * 86_400_000;
const MODEL_FILE = 'model.onnx';

/**
 * Makes the fetcher of a store. It throws FETCH_FAILED, MODEL_NOT_FOUND, BAD_REQUEST (address), BAD_MODEL (no model, or
 * another sha256), DISK_FULL, or what the signal was aborted with.
 */
export function createModelFetcher(store: ModelStore, options: FetcherOptions = {}): FetchModel {
  /** One download of an address at a time: the next one finds the model stored. */
  const turns = new Map<string, Promise<unknown>>();
  return async (source, onProgress, signal) => {
    const url = modelUrl(source.url, hubOf(options).url);
    const before = turns.get(url.href) ?? Promise.resolve();
    const turn = before.then(() => pull(store, url, source, onProgress, signal, options));
    const settled = turn.catch(() => undefined);
    turns.set(url.href, settled);
    try {
      return await turn;
    } finally {
      if (turns.get(url.href) === settled) turns.delete(url.href);
    }
  };
}

async function pull(
  store: ModelStore,
  url: URL,
  { sha256 }: ModelSource,
  onProgress: (doneBytes: number, totalBytes: number | null) => void,
  signal: AbortSignal,
  options: FetcherOptions,
): Promise<StoredModel> {
  signal.throwIfAborted();
  const stored = sha256 === undefined ? undefined : await store.get(sha256).catch(() => undefined);
  if (stored !== undefined) {
    await store.touch(stored.sha256);
    return stored;
  }
  await removeOldParts(store);
  const folder = join(store.folder, `${PULLING}${createHash('sha256').update(url.href).digest('hex').slice(0, 32)}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  let arrivedBytes = 0;
  const fetchInto = async (from: URL, path: string): Promise<void> => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const task = {
      url: from,
      path,
      onProgress: (done: number, total: number | null) =>
        onProgress(arrivedBytes + done, total === null ? null : arrivedBytes + total),
      onSize: async (bytes: number, missing: number) => {
        await keepWithinQuota(store, arrivedBytes + bytes, options);
        await needRoom(store.folder, missing);
      },
      signal,
    };
    const hub = hubOf(options);
    const fromHub = from.origin === new URL(hub.url).origin;
    const headers = fromHub && hub.token !== undefined ? { authorization: `Bearer ${hub.token}` } : {};
    await download(task, { ...options, fromHub, headers });
    arrivedBytes += (await stat(path)).size;
  };
  try {
    const model = join(folder, MODEL_FILE);
    await fetchInto(url, model);
    for (const { location } of inspectOnnx(model).externalFiles) {
      const path = externalPath(folder, location);
      if (path === model)
        throw new GpufaasError('BAD_MODEL', 'The model names itself as its weights.', {
          suggestions: ['Export it again.'],
        });
      await fetchInto(beside(url, location), path);
    }
    const added = await store.add(model, {
      root: folder,
      link: true,
      signal,
      ...(sha256 !== undefined && { expectedSha256: sha256 }),
    });
    await rm(folder, { recursive: true, force: true });
    return added;
  } catch (error) {
    // Only what a next try can go on with stays: the parts of a download that broke off.
    const resumable = signal.aborted || (error instanceof GpufaasError && error.code === 'FETCH_FAILED');
    if (!resumable || !(await holdsParts(folder))) await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** True if something of the model has arrived. */
async function holdsParts(folder: string): Promise<boolean> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(TAG))
    .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size);
  return (await Promise.all(sizes)).some((size) => size > 0);
}

/** The hub and its token, by the names that the hub's own tools read. */
function hubOf({ hubUrl, hubToken }: FetcherOptions): { readonly url: string; readonly token: string | undefined } {
  return {
    url: (hubUrl ?? (process.env['HF_ENDPOINT'] || HUB_URL)).replace(/\/$/, ''),
    token: hubToken ?? (process.env['HF_TOKEN'] || undefined),
  };
}

/** The address of a file beside the model's, with the query (a signature, a revision) that the model's has. */
function beside(url: URL, location: string): URL {
  const encoded = location.split('/').map(encodeURIComponent).join('/');
  const next = new URL(encoded, url);
  next.search = url.search;
  return next;
}

/** What keeping a store within its quota takes. */
export type QuotaOptions = Pick<FetcherOptions, 'quotaBytes' | 'used' | 'onCleared'>;

/** Clears away unused models until so many bytes more are within the quota. Throws DISK_FULL. */
export async function keepWithinQuota(
  store: ModelStore,
  bytes: number,
  { quotaBytes, used, onCleared }: QuotaOptions,
): Promise<void> {
  if (quotaBytes === undefined) return;
  const inUse = used?.() ?? new Set<string>();
  const kept = (await store.list()).filter((model) => inUse.has(model.sha256));
  const leftBytes = quotaBytes - kept.reduce((sum, model) => sum + model.bytes, 0);
  if (bytes <= leftBytes) {
    const { removed } = await store.makeRoom(quotaBytes - bytes, inUse);
    if (removed.length > 0) await onCleared?.(removed);
    return;
  }
  const quota = formatSize(quotaBytes);
  throw new GpufaasError(
    'DISK_FULL',
    bytes === 0
      ? `The models in use take more than the ${quota} of the model store.`
      : `The model has ${formatSize(bytes)}; of the store's ${quota} the models in use leave ${formatSize(Math.max(0, leftBytes))}.`,
    {
      suggestions: [
        'Remove functions that are no longer needed (`gpufaas rm`).',
        'Or raise the quota: `gpufaas config set model-quota SIZE`, then start the daemon again.',
      ],
    },
  );
}

async function removeOldParts(store: ModelStore): Promise<void> {
  for (const name of await readdir(store.folder)) {
    if (!name.startsWith(PULLING)) continue;
    const folder = join(store.folder, name);
    const age = await stat(folder).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > KEEP_PARTS_MS) await rm(folder, { recursive: true, force: true });
  }
}
