// The host cache as loads meet it: before a load on a device that copies models, looks whether the model's bytes are in host
// memory; after one that had to do without, brings them in.

import { basename, dirname, join } from 'node:path';
import { type Device, ownsMemory } from '../devices/types.ts';
import { HostCache, type HostCacheView, type HostItem } from '../models/host-cache.ts';
import type { LoadableModel } from '../workers/types.ts';
import type { LoadPlan } from './executor.ts';

const SHA256_DIGITS = 64;
/** How much faster a load is taken to be from host memory before one was seen: what it saves of a load from disk. */
const SAVED_SHARE = 0.5;
/** Models whose times are kept. */
const MOST_TIMES = 10_000;

/** The files of a model are the same whatever its session options. */
const contentOf = (model: string): string => model.slice(0, SHA256_DIGITS);

export class HostTier {
  readonly #cache: HostCache;
  /** What the last load from disk took, by content. */
  readonly #diskMs = new Map<string, number>();

  constructor(cache: HostCache) {
    this.#cache = cache;
  }

  view(): HostCacheView {
    return this.#cache.view();
  }

  /** True if the model's bytes are in host memory; `model` is the scheduler's key or a sha256. */
  has(model: string): boolean {
    return this.#cache.has(contentOf(model));
  }

  /** The model has left the store. */
  forget(sha256: string): void {
    this.#cache.drop(sha256);
    this.#diskMs.delete(sha256);
  }

  /** How a load is to be done; `ended` of what it gives has to be called when it is over. */
  async plan(model: LoadableModel, device: Device): Promise<LoadPlan> {
    const item = itemOf(model, device);
    if (item === null) return { model, tier: 'disk', ended: () => undefined };
    const { key } = item;
    const { hit, folder } = await this.#cache.take(key);
    if (!hit) {
      const ended = (loadMs: number | null): void => {
        if (loadMs === null) return;
        if (this.#diskMs.size < MOST_TIMES || this.#diskMs.has(key)) this.#diskMs.set(key, loadMs);
        void this.#cache.fill(item, loadMs * SAVED_SHARE);
      };
      return { model: fromDisk(model), tier: 'disk', ended };
    }
    const ended = (loadMs: number | null): void => {
      const diskMs = this.#diskMs.get(key);
      this.#cache.give(key, loadMs === null || diskMs === undefined ? undefined : diskMs - loadMs);
      // Whatever went wrong: the next attempt reads the files that everything else is checked against.
      if (loadMs === null) this.#cache.drop(key);
    };
    return { model: fromHost(model, folder), tier: 'host', ended };
  }
}

/** What the cache would hold of the model for this device; null if the device does not copy. */
function itemOf(model: LoadableModel, device: Device): HostItem | null {
  const key = contentOf(model.id);
  if (ownsMemory(device)) return { key, source: { folder: dirname(model.original ?? model.path) } };
  const { emulation } = model;
  if (device.kind !== 'emulated' || emulation?.hostLoadMs === undefined) return null;
  return { key, source: { bytes: emulation.memoryBytes } };
}

function fromDisk(model: LoadableModel): LoadableModel {
  return model.original === undefined ? model : { ...model, path: model.original, prepared: false };
}

function fromHost(model: LoadableModel, folder: string | null): LoadableModel {
  const plain = fromDisk(model);
  if (folder !== null) return { ...plain, path: join(folder, basename(plain.path)) };
  const { emulation } = model;
  return { ...model, emulation: { ...emulation!, loadMs: emulation!.hostLoadMs! } };
}
