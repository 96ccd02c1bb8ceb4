// The host cache as loads meet it: before a load on a device that copies models, looks whether the model's bytes are in host
// memory; after one that had to do without, brings them in.

import { basename, dirname, join } from 'node:path';
import { type Device, ownsMemory } from '../devices/types.ts';
import { checkArtefact, isArtefact } from '../models/artefact.ts';
import { HostCache, type HostCacheView, type HostItem } from '../models/host-cache.ts';
import type { LoadableModel } from '../workers/types.ts';
import type { LoadPlan } from './load-plan.ts';

/** How much faster a load is taken to be from host memory before one was seen: what it saves of a load from disk. */
const SAVED_SHARE = 0.5;
/** Models whose times are kept. */
const MOST_TIMES = 10_000;

export class HostTier {
  readonly #cache: HostCache | null;
  /** What the last load from disk took, by model. */
  readonly #diskMs = new Map<string, number>();

  /** Without a cache devices that copy still load the form that is made for them, from disk. */
  constructor(cache: HostCache | null) {
    this.#cache = cache;
  }

  /** Null if there is no cache. */
  view(): HostCacheView | null {
    return this.#cache?.view() ?? null;
  }

  /** True if the model's bytes are in host memory; `model` is the scheduler's key. */
  has(model: string): boolean {
    return this.#cache?.has(model) ?? false;
  }

  /** The model has left the store. */
  forget(sha256: string): void {
    this.#cache?.dropAll(sha256);
    for (const model of this.#diskMs.keys()) if (model.startsWith(sha256)) this.#diskMs.delete(model);
  }

  /** How a load is to be done; `ended` of what it gives has to be called when it is over. */
  async plan(model: LoadableModel, device: Device): Promise<LoadPlan> {
    const cache = this.#cache;
    const item = itemOf(model, device);
    if (ownsMemory(device) && model.copied !== undefined) await checkCopied(model.copied);
    if (item === null) return { model, tier: 'disk', ended: () => undefined };
    if (cache === null) return { model: fromDisk(model), tier: 'disk', ended: () => undefined };
    const { key } = item;
    const { hit, folder } = await cache.take(key);
    if (!hit) {
      const ended = (loadMs: number | null): void => {
        if (loadMs === null) return;
        if (this.#diskMs.size < MOST_TIMES || this.#diskMs.has(key)) this.#diskMs.set(key, loadMs);
        void cache.fill(item, loadMs * SAVED_SHARE);
      };
      return { model: fromDisk(model), tier: 'disk', ended };
    }
    const ended = (loadMs: number | null): void => {
      const diskMs = this.#diskMs.get(key);
      cache.give(key, loadMs === null || diskMs === undefined ? undefined : diskMs - loadMs);
      // Whatever went wrong: the next attempt reads the files that everything else is checked against.
      if (loadMs === null) cache.dropUnused(key);
    };
    return { model: fromHost(model, folder), tier: 'host', ended };
  }
}

/** What the cache would hold of the model for this device; null if the device does not copy. */
function itemOf(model: LoadableModel, device: Device): HostItem | null {
  // With the session options in it: they may have shaped the files.
  const key = model.id;
  if (ownsMemory(device)) return { key, source: { folder: dirname(model.copied ?? model.path) } };
  const { emulation } = model;
  if (device.kind !== 'emulated' || emulation?.hostLoadMs === undefined) return null;
  return { key, source: { bytes: emulation.memoryBytes } };
}

/** The store looks at its own files; a prepared form is looked at here. Throws BAD_MODEL. */
async function checkCopied(path: string): Promise<void> {
  if (isArtefact(path)) await checkArtefact(path);
}

function fromDisk(model: LoadableModel): LoadableModel {
  return { ...model, path: model.copied ?? model.path, prepared: false };
}

function fromHost(model: LoadableModel, folder: string | null): LoadableModel {
  const plain = fromDisk(model);
  if (folder !== null) return { ...plain, path: join(folder, basename(plain.path)) };
  const { emulation } = model;
  return { ...model, emulation: { ...emulation!, loadMs: emulation!.hostLoadMs! } };
}
