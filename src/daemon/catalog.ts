// The functions as they serve at this moment, in memory: who serves which version, with which models, and which
// models the scheduler therefore knows. Durable state lies in the store; this follows it.

import { GpufaasError } from '../errors.ts';
import type { FunctionProcess, FunctionVersion, Manifest, ManifestModel } from '../functions/types.ts';
import type { ServedFunction } from '../gateway/platform.ts';
import { canBatch } from '../joined-tensors.ts';
import type { Model } from '../models/types.ts';
import { nearest } from '../nearest.ts';
import type { BatchingSpec, ModelSpec } from '../scheduling/types.ts';
import type { TensorSpec } from '../tensors.ts';
import type { LoadableModel } from '../workers/types.ts';
import type { Dispatcher } from './dispatcher.ts';
import { Gate } from './gate.ts';

/** One model of a serving function. */
export interface ServingModel {
  /** Its name in the manifest. */
  readonly name: string;
  /** Under which the scheduler knows it: the sha256, and the session options where there are any. */
  readonly key: string;
  readonly model: Model;
  readonly sessionOptions: Readonly<Record<string, unknown>> | undefined;
}

/** A version that answers calls. */
export interface Serving {
  readonly version: FunctionVersion;
  readonly models: ReadonlyMap<string, ServingModel>;
  /** null for a function without handler. */
  readonly process: FunctionProcess | null;
  /** Handler calls at once, and those that wait. */
  readonly calls: Gate;
  /** Runs under way. */
  readonly runs: Gate;
}

/** Runs of one function under way for each handler call it may have at once. */
const RUNS_PER_CALL = 16;

/** Puts together what serves a version. */
export function createServing(
  version: FunctionVersion,
  /** By key. */
  models: ReadonlyMap<string, Model>,
  process: FunctionProcess | null,
): Serving {
  const { concurrency } = version.manifest;
  const serving = new Map<string, ServingModel>();
  for (const [name, key] of Object.entries(version.models)) {
    const model = models.get(key);
    if (model === undefined) {
      throw new GpufaasError(
        'MODEL_NOT_FOUND',
        `The model "${name}" of function ${version.name} is not in the model store.`,
        {
          suggestions: [`Deploy the function again.`],
        },
      );
    }
    const declared: ManifestModel | undefined = version.manifest.models[name];
    const sessionOptions = declared?.sessionOptions;
    serving.set(name, { name, key, model, sessionOptions });
  }
  const runs = concurrency * RUNS_PER_CALL;
  return {
    version,
    models: serving,
    process,
    calls: process === null ? new Gate(runs, 0) : new Gate(concurrency, runs),
    runs: new Gate(runs, process === null ? 0 : runs * RUNS_PER_CALL),
  };
}

export class Catalog {
  readonly #serving = new Map<string, Serving>();
  readonly #pinned = new Set<string>();
  readonly #dispatcher: Dispatcher;
  readonly #batchesUnasked: boolean;

  /** `batchesUnasked`: models that were found to profit from it are batched where no manifest says otherwise. */
  constructor(dispatcher: Dispatcher, batchesUnasked: boolean) {
    this.#dispatcher = dispatcher;
    this.#batchesUnasked = batchesUnasked;
  }

  get(name: string): Serving | undefined {
    return this.#serving.get(name);
  }

  /** The serving version, or FUNCTION_NOT_FOUND. */
  need(name: string): Serving {
    const serving = this.#serving.get(name);
    if (serving !== undefined) return serving;
    const shown = name.length > 80 ? `${name.slice(0, 77)}…` : name;
    const meant = nearest(name, this.#serving.keys());
    throw new GpufaasError('FUNCTION_NOT_FOUND', `There is no function ${JSON.stringify(shown)}.`, {
      suggestions: [
        ...(meant === undefined ? [] : [`Did you mean ${meant}?`]),
        '`gpufaas ls` shows the functions there are; `gpufaas deploy DIR` adds one.',
      ],
    });
  }

  all(): Serving[] {
    return Array.from(this.#serving.values());
  }

  isPinned(name: string): boolean {
    return this.#pinned.has(name);
  }

  setPinned(name: string, pinned: boolean): void {
    if (pinned) this.#pinned.add(name);
    else this.#pinned.delete(name);
    for (const { key } of this.need(name).models.values()) this.#refresh(key);
  }

  /** Makes a version the one that serves; returns the one that served before. */
  serve(serving: Serving): Serving | undefined {
    const previous = this.#serving.get(serving.version.name);
    this.#serving.set(serving.version.name, serving);
    for (const { key } of serving.models.values()) this.#refresh(key);
    for (const { key } of previous?.models.values() ?? []) this.#refresh(key);
    return previous;
  }

  /** Takes a function out of service; returns what served. */
  retire(name: string): Serving | undefined {
    const previous = this.#serving.get(name);
    this.#serving.delete(name);
    this.#pinned.delete(name);
    for (const { key } of previous?.models.values() ?? []) this.#refresh(key);
    return previous;
  }

  /** Models of a version that does not serve yet become known to the scheduler, for its smoke test. */
  introduce(serving: Serving): () => void {
    this.#guests.add(serving);
    for (const { key } of serving.models.values()) this.#refresh(key);
    return () => {
      this.#guests.delete(serving);
      for (const { key } of serving.models.values()) this.#refresh(key);
    };
  }

  readonly #guests = new Set<Serving>();
  readonly #known = new Set<string>();

  /** The names of the functions that use a model, by the scheduler's key. */
  functionsOf(key: string): string[] {
    const names: string[] = [];
    for (const [name, serving] of this.#serving) {
      for (const model of serving.models.values()) if (model.key === key && !names.includes(name)) names.push(name);
    }
    return names;
  }

  /** Every use of a model by a serving function or one that is being deployed. */
  usesOf(key: string): { serving: Serving; model: ServingModel }[] {
    const uses: { serving: Serving; model: ServingModel }[] = [];
    for (const serving of [...this.#serving.values(), ...this.#guests]) {
      for (const model of serving.models.values()) if (model.key === key) uses.push({ serving, model });
    }
    return uses;
  }

  /** How requests for a model share runs; null: they don't. */
  batching(key: string): BatchingSpec | null {
    return this.#specOf(key, this.usesOf(key)).batching ?? null;
  }

  #specOf(key: string, uses: readonly { serving: Serving; model: ServingModel }[]): ModelSpec {
    return modelSpec(key, uses, this.#batchesUnasked && !this.#dispatcher.batchesDiffer(key));
  }

  /** Tells the scheduler what the uses of a model ask for now. */
  #refresh(key: string): void {
    const uses = this.usesOf(key);
    const first = uses[0];
    if (first === undefined) {
      if (this.#known.delete(key)) this.#dispatcher.removeModel(key);
      return;
    }
    this.#known.add(key);
    this.#dispatcher.addModel(loadable(first.model), this.#specOf(key, uses));
    const pinned = uses.some(
      ({ serving }) => serving.version.manifest.keepAliveMs === null || this.#pinned.has(serving.version.name),
    );
    this.#dispatcher.pin(key, pinned);
  }

  /** What routing sees of a serving version. */
  served(serving: Serving): ServedFunction {
    const cached = this.#served.get(serving);
    if (cached !== undefined) return cached;
    const { version } = serving;
    const served: ServedFunction = {
      name: version.name,
      version: version.version,
      description: version.manifest.description,
      hasHandler: version.manifest.handler !== null,
      maxBodyBytes: version.manifest.maxBodyBytes,
      createdAtMs: version.createdAtMs,
      models: Array.from(serving.models.values(), ({ name, key, model }) => ({
        name,
        sha256: model.sha256,
        inputs: model.inputs,
        outputs: model.outputs,
        quarantined: this.#dispatcher.isQuarantined(key),
      })),
    };
    this.#served.set(serving, served);
    return served;
  }

  /** A quarantine began or ended: what routing sees is made anew. */
  changed(): void {
    this.#served = new WeakMap();
  }

  #served = new WeakMap<Serving, ServedFunction>();
}

/** What devices load that copy models, if it is not what the CPU loads. */
function copiedOf({ path, preparedPath, portablePath }: Model): Pick<LoadableModel, 'copied'> {
  const copied = portablePath ?? path;
  return copied === (preparedPath ?? path) ? {} : { copied };
}

function loadable({ key, model, sessionOptions }: ServingModel): LoadableModel {
  return {
    id: key,
    path: model.preparedPath ?? model.path,
    prepared: model.preparedPath !== null,
    ...copiedOf(model),
    inputs: model.inputs,
    outputs: model.outputs,
    emulation: {
      loadMs: model.profile.loadMs,
      ...(model.profile.hostLoadMs === undefined ? {} : { hostLoadMs: model.profile.hostLoadMs }),
      runMs: model.profile.runMs,
      memoryBytes: model.profile.memoryBytes,
      ...(model.profile.runMsByRows === undefined ? {} : { runMsByRows: model.profile.runMsByRows }),
    },
    ...(sessionOptions === undefined ? {} : { sessionOptions }),
  };
}

/** Several functions may use one model: the longest keep-alive holds. */
function modelSpec(
  key: string,
  uses: readonly { serving: Serving; model: ServingModel }[],
  batchesUnasked: boolean,
): ModelSpec {
  const { model } = uses[0]!.model;
  const { profile } = model;
  const manifests = uses.map(({ serving }) => serving.version.manifest);
  const keepAlive = manifests.map((manifest) => manifest.keepAliveMs ?? Infinity);
  const keepAliveMs = Math.max(...keepAlive);
  const batching = batchingOf(model, manifests, batchesUnasked);
  return {
    id: key,
    memoryBytes: profile.memoryBytes,
    loadMs: profile.loadMs,
    ...(profile.hostLoadMs === undefined ? {} : { hostLoadMs: profile.hostLoadMs }),
    runMs: profile.runMs,
    ...(keepAliveMs === Infinity ? {} : { keepAliveMs }),
    ...(batching === null ? {} : { batching }),
  };
}

/** The largest batch that any of them asks for; where none does and none refuses, what was found to be worth it; null: none. */
function batchingOf(model: Model, manifests: readonly Manifest[], unasked: boolean): BatchingSpec | null {
  const { sharedRows, runMsByRows } = model.profile;
  const times = runMsByRows === undefined ? {} : { runMsByRows };
  const asked = manifests.map(({ batching }) => batching).filter((spec) => spec !== null && spec !== false);
  if (asked.length > 0 && canBatch(model)) {
    return {
      maxSize: Math.max(...asked.map((spec) => spec.maxSize)),
      maxDelayMs: Math.max(...asked.map((spec) => spec.maxDelayMs)),
      ...times,
    };
  }
  if (!unasked || sharedRows === undefined || manifests.some(({ batching }) => batching !== null)) return null;
  return { maxSize: sharedRows, maxDelayMs: 0, unasked: true, ...times };
}

/** Rows of a request along the batch axis; 1 for a model without one. */
export function rowsOf(
  model: { readonly inputs: readonly TensorSpec[] },
  shape: readonly number[] | undefined,
): number {
  return model.inputs[0]?.shape[0] === -1 ? (shape?.[0] ?? 1) : 1;
}
