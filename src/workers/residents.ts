// The models of one worker process: loads and evictions strictly in the order given, runs beside them. Keeps one warm
// empty host ahead, so that a load does not wait for a thread to start; where evictions make room for loads, none starts at all.

import { GpufaasError } from '../errors.ts';
import type { HostedSignature, ModelHost } from './model-host.ts';
import type { RunAnswer, RunRequest } from './payload.ts';
import type { EvictResult, LoadableModel, LoadResult } from './types.ts';

/** Starts a host; resolves when it is warm. */
export type StartHost = () => Promise<ModelHost>;

interface Resident {
  readonly model: LoadableModel;
  readonly host: ModelHost;
  /** Hosts of its instances, each for runs on one core. */
  readonly instances: ModelHost[];
  /** Runs under way; an eviction waits for them. */
  readonly runs: Set<Promise<unknown>>;
}

const rssBytes = (): number => process.memoryUsage.rss();

/** How long an emptied host waits for a load, in milliseconds. */
const NEXT_LOAD_MS = 100;

/** What is resident in this process. */
export class Residents {
  readonly #startHost: StartHost;
  readonly #resident = new Map<string, Resident>();
  #spare: Promise<ModelHost> | undefined;
  #spareWarm = false;
  /** An empty host beside the spare, until it ends. */
  #next: { readonly host: ModelHost; readonly timer: NodeJS.Timeout } | undefined;
  /** Hosts that are no longer wanted and have not ended. */
  #late = 0;
  #memoryTail: Promise<unknown> = Promise.resolve();
  #refill: NodeJS.Timeout | undefined;

  constructor(startHost: StartHost) {
    this.#startHost = startHost;
  }

  /** Makes the first host ready. Throws NO_DEVICE if the device can't be used. */
  async warmUp(): Promise<void> {
    await this.#ensureSpare();
  }

  /** True if an empty host stands ready, and no other one. */
  get settled(): boolean {
    return this.#spareWarm && this.#late === 0;
  }

  #ensureSpare(): Promise<ModelHost> {
    if (this.#spare === undefined) {
      const spare = this.#startHost();
      this.#spare = spare;
      spare.then(
        () => {
          if (this.#spare === spare) this.#spareWarm = true;
        },
        () => {
          // A host that does not start is not kept: the next load tries again.
          if (this.#spare === spare) this.#spare = undefined;
        },
      );
    }
    return this.#spare;
  }

  /** Not at once: what was just loaded is about to run, and a thread that starts would take its cores. */
  #refillSoon(): void {
    clearTimeout(this.#refill);
    this.#refill = setTimeout(() => void this.#ensureSpare().catch(() => undefined), 100);
    this.#refill.unref();
  }

  /** The one that an eviction emptied a moment ago takes its place. */
  #takeSpare(): void {
    const next = this.#next;
    clearTimeout(next?.timer);
    this.#next = undefined;
    if (next !== undefined) this.#late--;
    this.#spare = next === undefined ? undefined : Promise.resolve(next.host);
    this.#spareWarm = next !== undefined;
  }

  /**
   * An empty host becomes the spare; one that only starts is too late, and ends when it is up. If one is warm already, it waits for a
   * moment: most evictions make room for a load, which takes the spare.
   */
  async #keep(host: ModelHost): Promise<void> {
    if (this.#spareWarm && this.#next !== undefined) return host.end();
    if (this.#spareWarm) {
      this.#late++;
      const end = (): void => {
        this.#next = undefined;
        const ended = (): void => void this.#late--;
        host.end().then(ended, ended);
      };
      this.#next = { host, timer: setTimeout(end, NEXT_LOAD_MS) };
      return;
    }
    clearTimeout(this.#refill);
    if (this.#spare !== undefined) this.#endWhenUp(this.#spare);
    this.#spare = Promise.resolve(host);
    this.#spareWarm = true;
  }

  #endWhenUp(starting: Promise<ModelHost>): void {
    this.#late++;
    const ended = (): void => void this.#late--;
    starting.then((host) => host.end()).then(ended, ended);
  }

  #inOrder<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#memoryTail.then(task);
    this.#memoryTail = result.catch(() => undefined);
    return result;
  }

  /** The lane of the model's thread, if it is resident and has one. */
  laneOf(modelId: string): number | null {
    return this.#resident.get(modelId)?.host.lane ?? null;
  }

  load(model: LoadableModel): Promise<LoadResult> {
    return this.#inOrder(async () => {
      if (this.#resident.has(model.id)) throw new GpufaasError('INTERNAL', 'The model is resident already.');
      const { host, signature, grownBytes } = await this.#loadOnSpare(model);
      this.#resident.set(model.id, { model, host, instances: [], runs: new Set() });
      const { loadMs, inputs, outputs } = signature;
      // Mapped weights appear in the resident set when the first run reads them, not now.
      const measuredBytes = model.prepared || model.emulation ? null : grownBytes;
      return { loadMs, measuredBytes: model.emulation?.memoryBytes ?? measuredBytes, inputs, outputs };
    });
  }

  async #loadOnSpare(
    model: LoadableModel,
    threads?: number,
  ): Promise<{ host: ModelHost; signature: HostedSignature; grownBytes: number }> {
    const host = await this.#ensureSpare();
    this.#takeSpare();
    const beforeBytes = rssBytes();
    try {
      const signature = await host.load(model, threads);
      return { host, signature, grownBytes: Math.max(0, rssBytes() - beforeBytes) };
    } catch (error) {
      await this.#keep(host);
      throw error;
    } finally {
      if (this.#spare === undefined) this.#refillSoon();
    }
  }

  /** Gives the memory of hosts back, of each whatever becomes of the others; throws the first error. */
  async #release(hosts: readonly ModelHost[]): Promise<void> {
    const errors: unknown[] = [];
    for (const host of hosts) {
      try {
        await host.release();
        await this.#keep(host);
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  evict(modelId: string): Promise<EvictResult> {
    return this.#inOrder(async () => {
      const startMs = performance.now();
      const resident = this.#resident.get(modelId);
      if (resident === undefined) return { evictMs: 0, releasedBytes: 0 };
      this.#resident.delete(modelId);
      await Promise.allSettled(resident.runs);
      const beforeBytes = rssBytes();
      await this.#release([...resident.instances, resident.host]);
      return { evictMs: performance.now() - startMs, releasedBytes: Math.max(0, beforeBytes - rssBytes()) };
    });
  }

  /** Loads a resident model once more, with one thread; resolves with the lane of this instance. */
  widen(modelId: string): Promise<number | null> {
    return this.#inOrder(async () => {
      const resident = this.#resident.get(modelId);
      if (resident === undefined) throw new GpufaasError('INTERNAL', 'The model is not resident.');
      const { host } = await this.#loadOnSpare(resident.model, 1);
      resident.instances.push(host);
      return host.lane;
    });
  }

  /** Releases the instances of a model, if it has any. */
  narrow(modelId: string): Promise<void> {
    return this.#inOrder(async () => {
      const resident = this.#resident.get(modelId);
      if (resident === undefined) return;
      await Promise.allSettled(resident.runs);
      await this.#release(resident.instances.splice(0));
    });
  }

  /** On the instance of that number, or on the host for runs alone. */
  async run(modelId: string, request: RunRequest, instance: number | null = null): Promise<RunAnswer> {
    const resident = this.#resident.get(modelId);
    const host = instance === null ? resident?.host : resident?.instances[instance];
    if (resident === undefined) throw new GpufaasError('WORKER_DIED', 'The model is not resident any more.');
    if (host === undefined) throw new GpufaasError('INTERNAL', 'The model has no such instance.');
    const run = host.run(request);
    resident.runs.add(run);
    try {
      return await run;
    } finally {
      resident.runs.delete(run);
    }
  }

  /** Evicts everything, in order, and ends the hosts. */
  async clear(): Promise<void> {
    await Promise.all([...this.#resident.keys()].map((modelId) => this.evict(modelId)));
    clearTimeout(this.#refill);
    for (let spare = this.#spare; spare !== undefined; spare = this.#spare) {
      this.#takeSpare();
      await spare.then(
        (host) => host.end(),
        () => undefined,
      );
    }
  }
}
