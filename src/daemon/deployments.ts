// From an uploaded package to a serving version. Everything is made beside what serves; the switch is one write to the
// database and one to memory, and whatever fails before it leaves the old version as it was.

import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeployResult } from '../api/schemas.ts';
import type { Clock } from '../clock.ts';
import { GpufaasError } from '../errors.ts';
import { parseManifest } from '../functions/manifest.ts';
import { removeUnfinishedPackages, unpackPackage } from '../functions/package.ts';
import { fileInside } from '../functions/paths.ts';
import type { FunctionProcess, FunctionVersion, LogLine, Manifest } from '../functions/types.ts';
import type { DeployStep, DeployUpload } from '../gateway/platform.ts';
import type { Home } from '../home.ts';
import { canBatch } from '../joined-tensors.ts';
import type { Model } from '../models/types.ts';
import type { FunctionStore } from '../store/functions.ts';
import { formatSize } from '../units.ts';
import type { Calls } from './calls.ts';
import { deployError } from './deploy-error.ts';
import { LastLines } from './last-lines.ts';
import { servableModels, type ModelIntake } from './model-library.ts';
import { smokeTest } from './smoke-test.ts';
import { createServing, type Catalog, type Serving } from './catalog.ts';

export interface DeploymentsOptions {
  readonly home: Home;
  readonly store: FunctionStore;
  readonly catalog: Catalog;
  readonly calls: Calls;
  readonly intake: ModelIntake;
  readonly clock: Clock;
  /** Makes the process of a version's handler; not started yet. `onLine` hears what it prints, as the log does. */
  readonly createProcess: (version: FunctionVersion, onLine?: (line: LogLine) => void) => FunctionProcess;
  /** Installs what the version's package.json asks for, if it has one. */
  readonly installDependencies: (folder: string, signal: AbortSignal) => Promise<boolean>;
  /** The memory of the largest device, in bytes. */
  readonly largestDevice: () => number;
  /** Makes models resident that take the place of others, if those are resident; never fails. */
  readonly warm: (models: readonly string[], replaced: readonly string[]) => Promise<void>;
  readonly url: () => string;
  readonly onChange: (name: string, version: number, change: 'deployed' | 'removed' | 'rolled-back') => void;
  /** A problem that does not concern the caller. */
  readonly onNotice: (message: string, error: unknown) => void;
}

/** A package that was unpacked, and what was said of it. */
type Unpacked = Pick<DeployUpload, 'note'> & { readonly folder: string };

/** Versions of a function that are kept for a rollback, the serving one included. */
const VERSIONS_KEPT = 5;
/** How long the calls of a replaced version may still take before its process is ended. */
const REPLACED_GRACE_MS = 60_000;

export class Deployments {
  readonly #options: DeploymentsOptions;
  /** One change of a function at a time; the next one waits its turn. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(options: DeploymentsOptions) {
    this.#options = options;
  }

  /** The folder of a version. */
  folderOf(name: string, version: number): string {
    return join(this.#options.home.functions, name, String(version));
  }

  async deploy(upload: DeployUpload, report: (step: DeployStep) => void, signal: AbortSignal): Promise<DeployResult> {
    const { home } = this.#options;
    const folder = join(home.uploads, randomUUID());
    try {
      report({ type: 'step', step: 'upload', message: 'Receiving the package' });
      await unpackPackage(upload.archive, folder, undefined, signal);
      const manifest = await readManifest(folder);
      return await this.#inTurn(manifest.name, () =>
        this.#install(manifest, { folder, note: upload.note }, report, signal),
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Makes an earlier version serve again: the one named, or the one before the serving one. */
  rollback(name: string, version: number | undefined): Promise<{ name: string; version: number }> {
    return this.#inTurn(name, async () => {
      const { store, catalog, onChange } = this.#options;
      const serving = catalog.need(name).version.version;
      const versions = store.versions(name);
      const wanted = version ?? versions.findLast((row) => row.version < serving)?.version;
      const row = versions.find((candidate) => candidate.version === wanted);
      if (row === undefined) {
        throw new GpufaasError(
          'VERSION_NOT_FOUND',
          wanted === undefined ? `${name} has no version before ${serving}.` : `${name} has no version ${wanted}.`,
          { suggestions: [`It has: ${versions.map((candidate) => candidate.version).join(', ')}.`] },
        );
      }
      if (row.version === serving) return { name, version: serving };
      const candidate = await this.#start({ ...row, folder: this.folderOf(name, row.version) });
      const dismiss = catalog.introduce(candidate);
      try {
        await this.#warm(candidate);
        store.serve(name, row.version);
        this.#replace(candidate);
      } catch (error) {
        await candidate.process?.stop();
        throw error;
      } finally {
        dismiss();
      }
      onChange(name, row.version, 'rolled-back');
      return { name, version: row.version };
    });
  }

  /** Takes a function out of service and forgets it; calls under way are answered. */
  remove(name: string): Promise<void> {
    return this.#inTurn(name, async () => {
      const { store, catalog, home, onChange } = this.#options;
      const { version } = catalog.need(name).version;
      store.remove(name);
      const previous = catalog.retire(name);
      if (previous !== undefined)
        this.#finish(previous, () => rm(join(home.functions, name), { recursive: true, force: true }));
      onChange(name, version, 'removed');
    });
  }

  /** Puts back into service what the database holds; a function that can't be is reported and left out. */
  async restore(): Promise<void> {
    const { store, home, catalog, onNotice } = this.#options;
    await removeUnfinishedPackages(home.uploads);
    await emptyFolder(home.uploads);
    await this.#removeStrayFolders();
    const models = servableModels(store);
    for (const row of store.functions()) {
      const version = store.versions(row.name).find((candidate) => candidate.version === row.servingVersion);
      if (version === undefined) continue;
      try {
        const full = { ...version, folder: this.folderOf(row.name, version.version) };
        const process = full.manifest.handler === null ? null : this.#options.createProcess(full);
        catalog.serve(createServing(full, models, process));
        if (row.pinned) catalog.setPinned(row.name, true);
        // Started behind the scenes: the daemon is up before every handler is; the first call waits for its own.
        process?.start().catch((error: unknown) => onNotice(`The handler of ${row.name} does not start.`, error));
      } catch (error) {
        onNotice(`Function ${row.name} could not be restored.`, error);
      }
    }
  }

  /** Ends every handler process. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all(this.#options.catalog.all().map(async (serving) => serving.process?.stop()));
    await Promise.all(Array.from(this.#finishing));
  }

  async #install(
    manifest: Manifest,
    upload: Unpacked,
    report: (step: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<DeployResult> {
    const { intake } = this.#options;
    const models: Record<string, Model> = {};
    try {
      for (const [name, declared] of Object.entries(manifest.models)) {
        const place = { folder: upload.folder, name, maxBatch: (manifest.batching || null)?.maxSize ?? 1 };
        models[name] = await intake.obtain(declared, place, report, signal);
      }
      return await this.#installWith(models, manifest, upload, report, signal);
    } finally {
      intake.release(Object.values(models));
    }
  }

  async #installWith(
    models: Readonly<Record<string, Model>>,
    manifest: Manifest,
    upload: Unpacked,
    report: (step: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<DeployResult> {
    const { store, clock, installDependencies, catalog, onChange } = this.#options;
    this.#checkFit(models);
    if (manifest.batching) warnAboutBatching(models, report);
    if (manifest.handler === null) warnAboutHandler(manifest, report);
    if (existsSync(join(upload.folder, 'package.json'))) {
      report({ type: 'step', step: 'install', message: 'Installing the dependencies of the function' });
      await installDependencies(upload.folder, signal);
    }
    const number = store.nextVersion(manifest.name);
    const folder = this.folderOf(manifest.name, number);
    const version: FunctionVersion = {
      name: manifest.name,
      version: number,
      manifest,
      folder,
      models: Object.fromEntries(Object.entries(models).map(([name, model]) => [name, model.key])),
      createdAtMs: clock.wall(),
      ...(upload.note !== '' && { note: upload.note }),
    };
    let candidate: Serving | null = null;
    const lines = new LastLines();
    let dismiss = (): void => undefined;
    try {
      await mkdir(join(folder, '..'), { recursive: true, mode: 0o700 });
      await rm(folder, { recursive: true, force: true });
      await rename(upload.folder, folder);
      if (manifest.handler !== null) report({ type: 'step', step: 'handler', message: `Starting ${manifest.handler}` });
      candidate = await this.#start(version, (line) => lines.add(line));
      // Until it serves, the scheduler would not know its models, and forget them after the smoke test.
      dismiss = catalog.introduce(candidate);
      await this.#warm(candidate);
      const smoke = await smokeTest(candidate, this.#options, report, signal);
      if (signal.aborted) throw new GpufaasError('CANCELLED', 'The deployment was given up.');
      store.publish(version);
      this.#replace(candidate);
      await this.#prune(manifest.name, number);
      onChange(manifest.name, number, 'deployed');
      return {
        name: manifest.name,
        version: number,
        url: `${this.#options.url()}/function/${manifest.name}`,
        models: Object.entries(models).map(([name, model]) => summarize(name, model)),
        smokeTest: smoke,
      };
    } catch (error) {
      if (candidate === null || catalog.get(manifest.name) !== candidate) {
        await candidate?.process?.stop();
        await rm(folder, { recursive: true, force: true });
      }
      const printed = error instanceof GpufaasError ? lines.besides(error.message) : [];
      throw deployError(error, { name: manifest.name, serves: catalog.get(manifest.name) !== undefined, printed });
    } finally {
      dismiss();
      lines.close();
    }
  }

  /** Nobody should wait for a load because of a new version: it takes over as warm as the old one is. */
  async #warm(candidate: Serving): Promise<void> {
    const previous = this.#options.catalog.get(candidate.version.name);
    if (previous !== undefined) await this.#options.warm(keysOf(candidate), keysOf(previous));
  }

  /** A version ready to serve: its handler's process is up. */
  async #start(version: FunctionVersion, onLine?: (line: LogLine) => void): Promise<Serving> {
    const models = servableModels(this.#options.store);
    const process = version.manifest.handler === null ? null : this.#options.createProcess(version, onLine);
    const serving = createServing(version, models, process);
    try {
      await process?.start();
    } catch (error) {
      await process?.stop();
      throw error;
    }
    return serving;
  }

  #checkFit(models: Readonly<Record<string, Model>>): void {
    const largest = this.#options.largestDevice();
    for (const [name, model] of Object.entries(models)) {
      if (model.profile.memoryBytes <= largest) continue;
      throw new GpufaasError(
        'DOES_NOT_FIT',
        `The model "${name}" needs ${formatSize(model.profile.memoryBytes)}; the largest device has ${formatSize(largest)}.`,
        {
          suggestions: [
            'Give the daemon larger devices (`gpufaas down`, then `gpufaas up --devices SPEC`), or deploy a smaller model.',
          ],
        },
      );
    }
  }

  #replace(candidate: Serving): void {
    const previous = this.#options.catalog.serve(candidate);
    if (previous !== undefined) this.#finish(previous, async () => undefined);
  }

  readonly #finishing = new Set<Promise<void>>();
  #closing = false;

  /** Lets the calls of a replaced version end, then ends its process. */
  #finish(replaced: Serving, afterwards: () => Promise<void>): void {
    const deadlineMs = this.#options.clock.now() + REPLACED_GRACE_MS;
    const work = async (): Promise<void> => {
      while (!this.#closing && replaced.calls.underWay > 0 && this.#options.clock.now() < deadlineMs) {
        await new Promise<void>((resolve) => void this.#options.clock.after(50, resolve));
      }
      await replaced.process?.stop();
      await afterwards();
    };
    const finishing = work().catch((error: unknown) =>
      this.#options.onNotice('A replaced version did not end cleanly.', error),
    );
    this.#finishing.add(finishing);
    void finishing.then(() => this.#finishing.delete(finishing));
  }

  async #prune(name: string, serving: number): Promise<void> {
    const { store } = this.#options;
    const versions = store
      .versions(name)
      .map((row) => row.version)
      .filter((version) => version !== serving);
    for (const version of versions.slice(0, Math.max(0, versions.length - (VERSIONS_KEPT - 1)))) {
      store.dropVersion(name, version);
      await rm(this.folderOf(name, version), { recursive: true, force: true });
    }
  }

  /** Folders without a row are what a killed daemon left of a deployment or a removal. */
  async #removeStrayFolders(): Promise<void> {
    const { store, home } = this.#options;
    for (const name of await readdir(home.functions)) {
      const known = new Set(store.versions(name).map((row) => String(row.version)));
      const folders = await readdir(join(home.functions, name));
      if (known.size === 0) await rm(join(home.functions, name), { recursive: true, force: true });
      else
        for (const folder of folders)
          if (!known.has(folder)) await rm(join(home.functions, name, folder), { recursive: true, force: true });
    }
  }

  async #inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(name) ?? Promise.resolve();
    const turn = before.then(work, work);
    const settled = turn.catch(() => undefined);
    this.#turns.set(name, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(name) === settled) this.#turns.delete(name);
    }
  }
}

/** What `deploy` and `describe` show of a model. */
export function summarize(name: string, model: Model): DeployResult['models'][number] {
  const { sha256, bytes, profile } = model;
  const { loadMs, runMs, memoryBytes, kinds } = profile;
  const profiles = kinds?.map(({ runMsByRows: _rows, ...figures }) => figures);
  return { name, sha256, bytes, loadMs, runMs, memoryBytes, ...(profiles !== undefined && { profiles }) };
}

async function readManifest(folder: string): Promise<Manifest> {
  const path = fileInside(folder, 'function.yaml');
  if (path === null) {
    throw new GpufaasError('BAD_PACKAGE', 'The package has no function.yaml.', {
      suggestions: ['`gpufaas init NAME --template digits` makes a folder to start from.'],
    });
  }
  const manifest = parseManifest(await readFile(path, 'utf8'), { source: 'function.yaml' });
  if (manifest.handler !== null && fileInside(folder, manifest.handler) === null) {
    throw new GpufaasError('BAD_PACKAGE', `The handler ${manifest.handler} is not in the package.`, {
      suggestions: ['Check `handler` in function.yaml; the path is relative to its folder.'],
    });
  }
  if (manifest.handler === null && Object.keys(manifest.models).length === 0) {
    throw new GpufaasError('BAD_MANIFEST', 'function.yaml: declares neither a handler nor a model.', {
      suggestions: ['Add `handler: handler.ts`, or a model under `models`.'],
    });
  }
  // Folders of the package may have come without the right to write; the daemon must be able to remove them.
  await chmod(folder, 0o700);
  return manifest;
}

function warnAboutBatching(models: Readonly<Record<string, Model>>, report: (step: DeployStep) => void): void {
  for (const [name, model] of Object.entries(models)) {
    if (canBatch(model)) continue;
    const message = `Batching is off for the model "${name}": it needs a free first dimension and fixed ones after it.`;
    report({ type: 'step', step: 'warning', message });
  }
}

/** What only a handler is given. */
function warnAboutHandler({ secrets, environment }: Manifest, report: (step: DeployStep) => void): void {
  const given = [
    ...(secrets.length > 0 ? ['secrets'] : []),
    ...(Object.keys(environment).length > 0 ? ['environment'] : []),
  ];
  if (given.length === 0) return;
  const named = given.map((key) => `\`${key}\``).join(' and ');
  report({ type: 'step', step: 'warning', message: `Nothing reads ${named}: the function has no handler.` });
}

function keysOf(serving: Serving): string[] {
  return Array.from(serving.models.values(), (model) => model.key);
}

async function emptyFolder(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
}
