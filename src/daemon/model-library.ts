// The models of all functions: brought into the store, prepared and profiled once per content, listed, cleared away.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { StoredModelSummary } from '../api/schemas.ts';
import type { Clock } from '../clock.ts';
import { GpufaasError } from '../errors.ts';
import type { ManifestModel } from '../functions/types.ts';
import type { DeployStep } from '../gateway/platform.ts';
import { canBatch } from '../joined-tensors.ts';
import { checkArtefact, isCurrent } from '../models/artefact.ts';
import { keepWithinQuota } from '../models/pull.ts';
import type { ModelStore } from '../models/store.ts';
import type { Model, ModelProfile, StoredModel } from '../models/types.ts';
import type { FunctionStore } from '../store/functions.ts';

/** How a function runs a model: what its preparation and its figures depend on. */
export interface ModelUse {
  readonly sessionOptions?: Readonly<Record<string, unknown>> | undefined;
  /** Rows that requests are gathered to before a run; 1 without batching. */
  readonly batchRows: number;
}

/** Prepares a stored model and measures what it costs; throws BAD_MODEL, DOES_NOT_FIT, TIMEOUT. */
export type Assess = (
  stored: StoredModel,
  use: ModelUse,
  report: (message: string) => void,
  signal: AbortSignal,
) => Promise<Pick<Model, 'profile' | 'preparedPath' | 'portablePath'>>;

/** Fetches a model from its address into the store, or finds it there by its sha256. */
export type Fetch = (
  source: { readonly url: string; readonly sha256?: string },
  report: (done: number, total: number | null) => void,
  signal: AbortSignal,
) => Promise<StoredModel>;

/** Where a declared model lies, what its function calls it, and how many requests that gathers for a run. */
export interface Place {
  readonly folder: string;
  readonly name: string;
  readonly maxBatch: number;
}

/** Brings a declared model into the store, prepared and profiled. */
export interface ModelIntake {
  /** The model is kept until it is released, even where no version of a function uses it yet. */
  obtain(
    declared: ManifestModel,
    place: Place,
    report: (step: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<Model>;
  /** The deployment that obtained these models has ended, well or not. */
  release(models: Iterable<Pick<Model, 'sha256'>>): void;
}

export interface ModelLibraryOptions {
  readonly store: FunctionStore;
  readonly modelStore: ModelStore;
  readonly assess: Assess;
  /** False for a profile that lacks a kind of device that the daemon has now: then the model is assessed again. */
  readonly isMeasured: (profile: ModelProfile) => boolean;
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** The most the store may hold, in bytes; absent: as much as the disk does. */
  readonly quotaBytes?: number | undefined;
  /** Removes every prepared form of a model from the disk. */
  readonly removePrepared: (sha256: string) => Promise<void>;
}

const SHA256_DIGITS = 64;

/** The scheduler's name for a model that is used in this way. */
export function modelKey(sha256: string, { sessionOptions = {}, batchRows }: ModelUse): string {
  if (Object.keys(sessionOptions).length === 0 && batchRows === 1) return sha256;
  const use = JSON.stringify(batchRows === 1 ? sessionOptions : [sessionOptions, batchRows]);
  return `${sha256}+${createHash('sha256').update(use).digest('hex').slice(0, 12)}`;
}

export class ModelLibrary implements ModelIntake {
  readonly #options: ModelLibraryOptions;
  /** Profiling wants the machine for itself: one model at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Models of deployments that are under way, with how many hold each. */
  readonly #held = new Map<string, number>();

  constructor(options: ModelLibraryOptions) {
    this.#options = options;
  }

  async obtain(
    declared: ManifestModel,
    place: Place,
    report: (step: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<Model> {
    const before = 'path' in declared ? await this.#storedNow() : null;
    const stored = await this.#bringIn(declared, place, report, signal);
    this.#held.set(stored.sha256, (this.#held.get(stored.sha256) ?? 0) + 1);
    try {
      if ('path' in declared) await this.#keepWithinQuota();
      const batchRows = canBatch(stored) ? place.maxBatch : 1;
      return await this.#assessed(stored, { sessionOptions: declared.sessionOptions, batchRows }, report, signal);
    } catch (error) {
      this.release([stored]);
      // It came with a deployment that it is no good for. What was fetched, or stored before, may be wanted yet.
      if (before?.has(stored.sha256) === false) await this.#dropUnused(stored.sha256);
      throw error;
    }
  }

  async #storedNow(): Promise<ReadonlySet<string>> {
    return new Set((await this.#options.modelStore.list()).map(({ sha256 }) => sha256));
  }

  async #dropUnused(sha256: string): Promise<void> {
    if (this.inUse().has(sha256)) return;
    await this.#options.modelStore.remove(sha256).catch(() => undefined);
    await this.forget([sha256]);
  }

  release(models: Iterable<Pick<Model, 'sha256'>>): void {
    for (const { sha256 } of models) {
      const left = (this.#held.get(sha256) ?? 1) - 1;
      if (left > 0) this.#held.set(sha256, left);
      else this.#held.delete(sha256);
    }
  }

  /** What is known of the model, or what measuring it shows. */
  async #assessed(
    stored: StoredModel,
    use: ModelUse,
    report: (step: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<Model> {
    const { store, assess, isMeasured } = this.#options;
    const key = modelKey(stored.sha256, use);
    const known = store.models().find((model) => model.key === key);
    if (known !== undefined && known.path === stored.path && isServable(known) && isMeasured(known.profile)) {
      return known;
    }
    const tell = (message: string): void => report({ type: 'step', step: 'profile', message });
    const work = async (): Promise<Model> => {
      const model: Model = { ...stored, key, ...(await assess(stored, use, tell, signal)) };
      store.saveModel(model);
      return model;
    };
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Makes room for a model that came with its function. Throws DISK_FULL. */
  async #keepWithinQuota(): Promise<void> {
    const { modelStore, quotaBytes } = this.#options;
    await keepWithinQuota(modelStore, 0, {
      quotaBytes,
      used: () => this.inUse(),
      onCleared: (removed: readonly string[]) => this.forget(removed),
    });
  }

  /** Sha256 of every model that a kept version of a function uses, or a deployment that is under way. */
  inUse(): ReadonlySet<string> {
    const { store } = this.#options;
    const keys = store
      .functions()
      .flatMap(({ name }) => store.versions(name).flatMap((version) => Object.values(version.models)));
    return new Set([...keys.map((key) => key.slice(0, SHA256_DIGITS)), ...this.#held.keys()]);
  }

  /** Models have left the store: so does what was known of them and their prepared forms. */
  async forget(removed: readonly string[]): Promise<void> {
    for (const sha256 of removed) {
      for (const key of keysOf(this.#options.store, sha256)) this.#options.store.removeModel(key);
      await this.#options.removePrepared(sha256);
    }
  }

  async #bringIn(
    declared: ManifestModel,
    { folder, name }: Place,
    report: (step: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<StoredModel> {
    if ('path' in declared) {
      report({ type: 'step', step: 'store', message: `Checking the model "${name}"` });
      return this.#options.modelStore.add(join(folder, declared.path), { root: folder, link: true, signal });
    }
    return this.#fetch(declared, `Fetching the model "${name}"`, report, signal);
  }

  #fetch(
    source: { readonly url: string; readonly sha256?: string },
    message: string,
    report: (step: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<StoredModel> {
    report({ type: 'step', step: 'pull', message });
    const progress = (done: number, total: number | null): void =>
      report({ type: 'step', step: 'pull', message, done, ...(total === null ? {} : { total }) });
    return this.#options.fetch(source, progress, signal);
  }

  /** Fetches a model into the store for a later deployment. */
  async pull(
    source: { readonly url: string; readonly sha256?: string },
    report: (step: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<StoredModelSummary> {
    const { sha256 } = await this.#fetch(source, 'Fetching the model', report, signal);
    return (await this.list()).find((model) => model.sha256 === sha256)!;
  }

  /** Throws BAD_MODEL if the files of a model, as they will be loaded, are not as they were stored. */
  async check(loadable: { readonly id: string; readonly path: string; readonly prepared: boolean }): Promise<void> {
    const sha256 = loadable.id.slice(0, SHA256_DIGITS);
    void this.#options.modelStore.touch(sha256, this.#options.clock.wall());
    if ((await this.#options.modelStore.get(sha256)) === undefined) {
      throw new GpufaasError('BAD_MODEL', `The stored model ${sha256.slice(0, 12)} is gone from the disk.`, {
        suggestions: ['Deploy the function again: that stores the model anew.'],
      });
    }
    if (loadable.prepared) await checkArtefact(loadable.path);
  }

  /** Every stored model with the functions that use it. */
  async list(): Promise<StoredModelSummary[]> {
    const { modelStore, store } = this.#options;
    const stored = await modelStore.list();
    return Promise.all(
      stored.map(async ({ sha256, bytes }) => {
        const used = keysOf(store, sha256).map((key) => store.modelLastUsed(key) ?? 0);
        const lastUsedMs = Math.max(0, ...used) || (await modelStore.lastUsedMs(sha256));
        return {
          sha256,
          bytes,
          functions: this.#usersOf(sha256),
          lastUsedAt: lastUsedMs === null ? null : new Date(lastUsedMs).toISOString(),
        };
      }),
    );
  }

  /** Removes a model that no version of a function uses. */
  async remove(sha256: string): Promise<void> {
    const matching = (await this.#options.modelStore.list()).filter((model) => model.sha256.startsWith(sha256));
    if (matching.length !== 1 || sha256.length < 8) {
      throw new GpufaasError(
        'MODEL_NOT_FOUND',
        `${matching.length > 1 ? 'More than one' : 'No'} stored model begins with ${JSON.stringify(sha256.slice(0, 64))}.`,
        {
          suggestions: ['`gpufaas models ls` shows them; at least 8 digits are needed.'],
        },
      );
    }
    const found = matching[0]!.sha256;
    if (this.#held.has(found)) {
      throw new GpufaasError('CONFLICT', 'The model is being deployed.', {
        suggestions: ['Try again when the deployment has ended.'],
      });
    }
    await this.#options.modelStore.remove(found, this.#usersOf(found));
    await this.forget([found]);
  }

  /** Functions with any version, serving or kept, that uses the model. */
  #usersOf(sha256: string): string[] {
    const { store } = this.#options;
    return store
      .functions()
      .map((row) => row.name)
      .filter((name) =>
        store.versions(name).some((version) => Object.values(version.models).some((key) => key.startsWith(sha256))),
      );
  }
}

/** The keys under which a stored model is used. */
function keysOf(store: FunctionStore, sha256: string): string[] {
  return store
    .models()
    .filter((model) => model.sha256 === sha256)
    .map((model) => model.key);
}

/** False if the prepared form was made for another runtime or processor, or is gone. */
function isServable(model: Model): boolean {
  return isUsable(model.preparedPath) && isUsable(model.portablePath ?? null);
}

const isUsable = (path: string | null): boolean => path === null || isCurrent(path);

function withoutStale(model: Model): Model {
  const keep = (path: string | null): string | null => (isUsable(path) ? path : null);
  return { ...model, preparedPath: keep(model.preparedPath), portablePath: keep(model.portablePath ?? null) };
}

/** What is known of all models, by key; a prepared form that no longer fits this machine is left out: the original serves. */
export function servableModels(store: FunctionStore): Map<string, Model> {
  return new Map(store.models().map((model) => [model.key, isServable(model) ? model : withoutStale(model)]));
}
