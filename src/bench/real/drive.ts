// Calls the functions of a real daemon at the times a workload says, whatever the answers do, and adds up what came of it.

import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { routes } from '../../api/routes.ts';
import { readCallHeaders } from '../../client/call-headers.ts';
import { GpufaasError } from '../../errors.ts';
import { percentile } from '../../simulation/metrics.ts';
import type { Metrics } from '../../simulation/metrics.ts';
import { CDF_QUANTILES } from '../run-case.ts';
import type { Workload } from '../../simulation/types.ts';
import type { DeployedFunction } from './bench-functions.ts';
import type { IsolatedDaemon } from './isolated-daemon.ts';

/** How a workload is driven. */
export interface DriveOptions {
  /** How many times faster than the wall clock the workload's time passes. */
  readonly speed: number;
  readonly devices: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What a driven workload came to. */
export interface Driven {
  readonly metrics: Metrics;
  /** Latency in milliseconds at each of `CDF_QUANTILES`. */
  readonly cdfMs: readonly number[];
}

interface Counters {
  readonly misses: number;
  readonly falseMisses: number;
  readonly loads: number;
}

interface Call {
  readonly latencyMs: number;
  readonly cold: boolean;
  readonly runMs: number;
}

/** Reasons of loads that no request was dispatched with. */
const UNASKED = /reason="(hint|replica|preload|requested)"/;
/** A daemon that answers nothing for so long is given up. */
const SILENCE_MS = 60_000;

/**
 * Runs the workload and gives its figures in the workload's time: latencies counted from when a request was due until
 * its answer was read here. Throws CANCELLED at the signal, and whatever a call failed with: a bench with holes is none.
 */
export async function drive(
  daemon: IsolatedDaemon,
  functions: readonly DeployedFunction[],
  workload: Workload,
  options: DriveOptions,
): Promise<Driven> {
  return new Driver(daemon, functions, workload, options).run();
}

class Driver {
  readonly #http: typeof import('node:http') = process.getBuiltinModule('node:http');
  readonly #agent = new this.#http.Agent({ keepAlive: true, maxSockets: Infinity });
  readonly #daemon: IsolatedDaemon;
  readonly #functions: readonly DeployedFunction[];
  readonly #workload: Workload;
  readonly #options: DriveOptions;
  readonly #calls: Call[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #failure: unknown;
  #startMs = 0;
  #endMs = 0;

  constructor(
    daemon: IsolatedDaemon,
    functions: readonly DeployedFunction[],
    workload: Workload,
    options: DriveOptions,
  ) {
    this.#daemon = daemon;
    this.#functions = functions;
    this.#workload = workload;
    this.#options = options;
  }

  async run(): Promise<Driven> {
    const before = await this.#counters();
    this.#startMs = performance.now();
    try {
      await this.#sendAll();
      await this.#answersOrSilence();
    } finally {
      this.#agent.destroy();
    }
    this.#throwIfOver();
    return this.#sumUp(before, await this.#counters());
  }

  async #sendAll(): Promise<void> {
    const { speed, signal, onProgress } = this.#options;
    for (const chunk of this.#workload.arrivals()) {
      for (let i = 0; i < chunk.count; i++) {
        const dueMs = this.#startMs + chunk.atMs[i]! / speed;
        const waitMs = dueMs - performance.now();
        if (waitMs > 1) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
        this.#throwIfOver();
        const call = this.#call(this.#functions[chunk.model[i]!]!, dueMs).catch((error: unknown) => {
          this.#failure ??= error;
        });
        this.#underWay.add(call);
        void call.finally(() => this.#underWay.delete(call));
        onProgress?.(this.#calls.length, this.#workload.requests);
      }
    }
  }

  /** Waits for the last answers; a daemon that gives none for a minute is given up. */
  async #answersOrSilence(): Promise<void> {
    let seen = -1;
    let seenAtMs = performance.now();
    while (this.#underWay.size > 0) {
      await Promise.race([...this.#underWay, sleep(200)]);
      this.#throwIfOver();
      this.#options.onProgress?.(this.#calls.length, this.#workload.requests);
      if (this.#calls.length !== seen) [seen, seenAtMs] = [this.#calls.length, performance.now()];
      else if (performance.now() - seenAtMs > SILENCE_MS)
        throw new GpufaasError('TIMEOUT', `The daemon left ${this.#underWay.size} calls without an answer.`);
    }
  }

  #throwIfOver(): void {
    if (this.#options.signal?.aborted) throw new GpufaasError('CANCELLED', 'Interrupted.');
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #call(target: DeployedFunction, dueMs: number): Promise<void> {
    const response = await this.#send(target);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    this.#endMs = performance.now();
    if ((response.statusCode ?? 0) >= 400) {
      const text = Buffer.concat(chunks).toString().slice(0, 300);
      throw new GpufaasError('INTERNAL', `${target.name} answered ${response.statusCode}: ${text}`);
    }
    const { cache, durations } = readCallHeaders(response.headers as Record<string, string>);
    this.#calls.push({
      latencyMs: (this.#endMs - dueMs) * this.#options.speed,
      cold: cache === 'miss',
      runMs: durations['run'] ?? 0,
    });
  }

  #send({ name, input }: DeployedFunction): Promise<IncomingMessage> {
    const { url, token } = this.#daemon;
    return new Promise((resolve, reject) => {
      const outgoing = this.#http.request(new URL(routes.call(name), url), {
        method: 'POST',
        headers: { ...input.headers, 'content-length': input.body.length, authorization: `Bearer ${token}` },
        agent: this.#agent,
        ...(this.#options.signal === undefined ? {} : { signal: this.#options.signal }),
      });
      outgoing.on('response', resolve);
      outgoing.on('error', reject);
      outgoing.end(input.body);
    });
  }

  /** Sums of the daemon's own counters. */
  async #counters(): Promise<Counters> {
    const response = await fetch(new URL('/metrics', this.#daemon.url), {
      headers: { authorization: `Bearer ${this.#daemon.token}` },
      signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    const sum = (name: string, wanted: (line: string) => boolean = () => true): number => {
      const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) && wanted(line));
      return lines.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    };
    const replicas = sum('gpufaas_loads_total', (line) => line.includes('reason="replica"'));
    return {
      // Loads that a request was dispatched with; the daemon's own counter of misses also has those that joined one.
      misses: sum('gpufaas_loads_total', (line) => !UNASKED.test(line)),
      // Every replica is a load of what is resident elsewhere, and none is a miss.
      falseMisses: Math.max(0, sum('gpufaas_cache_false_misses_total') - replicas),
      loads: sum('gpufaas_loads_total'),
    };
  }

  #sumUp(before: Counters, after: Counters): Driven {
    const sorted = Float64Array.from(this.#calls, (call) => call.latencyMs).sort();
    const count = sorted.length;
    const runMs = this.#calls.reduce((sum, call) => sum + call.runMs, 0);
    const makespanMs = (this.#endMs - this.#startMs) * this.#options.speed;
    const misses = after.misses - before.misses;
    const metrics = {
      requests: count,
      meanMs: sorted.reduce((sum, ms) => sum + ms, 0) / count,
      p50Ms: percentile(sorted, 0.5),
      p99Ms: percentile(sorted, 0.99),
      maxMs: sorted.at(-1) ?? 0,
      missRatio: misses / count,
      coldRatio: this.#calls.filter((call) => call.cold).length / count,
      falseMissRatio: misses === 0 ? 0 : (after.falseMisses - before.falseMisses) / misses,
      utilization: runMs / makespanMs / this.#options.devices,
      makespanMs,
      loads: after.loads - before.loads,
      meanRunMs: runMs / count,
    };
    return { metrics, cdfMs: CDF_QUANTILES.map((quantile) => percentile(sorted, quantile)) };
  }
}
