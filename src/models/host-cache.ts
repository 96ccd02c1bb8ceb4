// The host cache: files of models kept in host memory within a budget, so that a device which copies them reads no disk for
// a reload. One for all devices of the machine. Files are whole from the moment they can be found, and never change.

import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HostLedger } from './host-ledger.ts';

/** What the cache is made with. */
export interface HostCacheOptions {
  readonly budgetBytes: number;
  /** A folder in memory, the cache's own; null: entries have no files (emulated devices). */
  readonly folder: string | null;
  /** An entry came or went. */
  readonly onChange: (key: string, cached: boolean) => void;
  readonly onNotice: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

/** One model's bytes: the files of a folder, or where there are none a number of bytes alone. */
export interface HostItem {
  readonly key: string;
  readonly source: { readonly folder: string } | { readonly bytes: number };
}

/** What `ps` and the metrics show. */
export interface HostCacheView {
  readonly bytes: number;
  readonly budgetBytes: number;
  readonly models: number;
  /** Loads of copying devices that found their bytes here, and those that did not. */
  readonly hits: number;
  readonly misses: number;
}

/** Fills that wait for their turn; more are left out, the next load asks again. */
const MOST_FILLS = 64;

export class HostCache {
  readonly #options: HostCacheOptions;
  readonly #ledger: HostLedger;
  readonly #filling = new Set<string>();
  /** Entries whose files are there. */
  readonly #ready = new Map<string, ReadonlyMap<string, number>>();
  /** Copies and removals one after the other, so that what is accounted is what is there. */
  #tail: Promise<unknown> = Promise.resolve();
  #hits = 0;
  #misses = 0;
  #closed = false;

  constructor(options: HostCacheOptions) {
    this.#options = options;
    this.#ledger = new HostLedger(options.budgetBytes);
  }

  /** The cache's folder in memory, if it has one. */
  get folder(): string | null {
    return this.#options.folder;
  }

  view(): HostCacheView {
    const { bytes, budgetBytes } = this.#ledger;
    return { bytes, budgetBytes, models: this.#ready.size, hits: this.#hits, misses: this.#misses };
  }

  has(key: string): boolean {
    return this.#ready.has(key);
  }

  /**
   * Looks for a model's bytes before a load. On a hit they are held until `give`; `folder` is where its files are, null for
   * an entry without files.
   */
  async take(key: string): Promise<{ readonly hit: boolean; readonly folder: string | null }> {
    const files = this.#ready.get(key);
    if (files !== undefined && this.#ledger.hold(key)) {
      const folder = this.#folderOf(key);
      if (folder === null || (await isWhole(folder, files))) {
        this.#hits++;
        return { hit: true, folder };
      }
      // Others may remove files from memory, such as a session manager at log-out: the disk has them still.
      this.#options.onNotice('files of the host cache are gone', { model: key, folder });
      this.drop(key);
    }
    this.#misses++;
    return { hit: false, folder: null };
  }

  /** Ends what `take` began; `savedMs` is what the hit saved, if it is known. */
  give(key: string, savedMs?: number): void {
    this.#ledger.release(key, savedMs);
  }

  /** Brings a model's bytes in after a load that had to do without; `savedMs` is what having them would save. Never fails. */
  fill(item: HostItem, savedMs: number): Promise<void> {
    const { key } = item;
    if (this.#closed || this.#filling.has(key) || this.#ready.has(key) || this.#filling.size >= MOST_FILLS) {
      return Promise.resolve();
    }
    this.#filling.add(key);
    return this.#inOrder(async () => {
      try {
        await this.#bringIn(item, savedMs);
      } catch (error) {
        this.#ledger.remove(key);
        await this.#removeFiles(key);
        this.#options.onNotice('a model could not be kept in host memory', { model: key, error: String(error) });
      } finally {
        this.#filling.delete(key);
      }
    });
  }

  /** Forgets a model whose files may be what made a load fail; not while another load reads them. */
  dropUnused(key: string): void {
    if (!this.#ledger.isHeld(key)) this.drop(key);
  }

  /** Forgets a model, if it is there. */
  drop(key: string): void {
    if (!this.#ready.delete(key)) return;
    this.#ledger.remove(key);
    this.#options.onChange(key, false);
    void this.#inOrder(() => this.#removeFiles(key));
  }

  /** Forgets every model whose key begins so. */
  dropAll(prefix: string): void {
    for (const key of Array.from(this.#ready.keys())) if (key.startsWith(prefix)) this.drop(key);
  }

  /** Ends every copy and removes the folder. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#tail;
    if (this.#options.folder !== null) await rm(this.#options.folder, { recursive: true, force: true });
  }

  #folderOf(key: string): string | null {
    return this.#options.folder === null ? null : join(this.#options.folder, key);
  }

  #inOrder(task: () => Promise<void>): Promise<void> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #bringIn({ key, source }: HostItem, savedMs: number): Promise<void> {
    if (this.#closed || this.#ready.has(key)) return;
    const files = 'folder' in source ? await filesIn(source.folder) : new Map<string, number>();
    const bytes = 'folder' in source ? sum(files.values()) : source.bytes;
    const victims = this.#ledger.admit(key, bytes, savedMs);
    if (victims === null) return;
    for (const victim of victims) {
      this.#ready.delete(victim);
      this.#options.onChange(victim, false);
      await this.#removeFiles(victim);
    }
    const folder = this.#folderOf(key);
    if (folder !== null && 'folder' in source) await copyFolder(source.folder, folder, files.keys());
    this.#ready.set(key, files);
    this.#options.onChange(key, true);
  }

  async #removeFiles(key: string): Promise<void> {
    const folder = this.#folderOf(key);
    if (folder !== null) await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** The files below a folder with their sizes, by relative path. */
async function filesIn(folder: string): Promise<Map<string, number>> {
  const files = new Map<string, number>();
  for (const path of await readdir(folder, { recursive: true })) {
    const found = await stat(join(folder, path));
    if (found.isFile()) files.set(path, found.size);
  }
  return files;
}

/** Copies files beside where they will be, then shows them all at once. */
async function copyFolder(from: string, to: string, paths: Iterable<string>): Promise<void> {
  const draft = `${to}.draft`;
  await rm(draft, { recursive: true, force: true });
  try {
    for (const path of paths) {
      await mkdir(join(draft, path, '..'), { recursive: true, mode: 0o700 });
      await copyFile(join(from, path), join(draft, path));
    }
    await rename(draft, to);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

async function isWhole(folder: string, files: ReadonlyMap<string, number>): Promise<boolean> {
  for (const [path, bytes] of files) {
    const found = await stat(join(folder, path)).catch(() => null);
    if (found?.size !== bytes) return false;
  }
  return true;
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const each of numbers) total += each;
  return total;
}
