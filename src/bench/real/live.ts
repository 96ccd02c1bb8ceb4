// `--live`: real models on real devices under each policy in turn, seed by seed, and how sure the difference is. Models are
// loaded the ordinary way (no prepared files), so that a load costs what it costs without gpufaas's preparation.

import { availableParallelism } from 'node:os';
import { resolveDevices } from '../../devices/resolve.ts';
import type { Device } from '../../devices/types.ts';
import { GpufaasError } from '../../errors.ts';
import type { ModelProfile } from '../../models/types.ts';
import type { ModelSpec } from '../../scheduling/types.ts';
import { openWorkload } from '../../simulation/workloads.ts';
import type { ListWorkload } from '../../simulation/workloads.ts';
import { formatDuration } from '../../units.ts';
import { describeContext, settingsOf } from '../context.ts';
import { choosePolicy } from '../policies.ts';
import { summarise } from '../results.ts';
import type { Finished } from '../results.ts';
import type { BenchFindings, CaseDetail } from '../run-bench.ts';
import type { BenchFlags, BenchSettings } from '../settings.ts';
import { deployAll, writeSeededCnns } from './bench-functions.ts';
import type { BenchFunctions } from './bench-functions.ts';
import { drive } from './drive.ts';
import type { RealOptions } from './emulate.ts';
import { startIsolatedDaemon } from './isolated-daemon.ts';
import { geometricInterval } from './paired.ts';
import type { PairedRatio } from './paired.ts';

/** Sizes of the networks that are made when no functions are named, in megabytes. */
const CNN_MEGABYTES = [16, 20, 24, 28, 32, 36, 40, 44];
/** All devices together hold this share of the models: they do not fit together. */
const MEMORY_SHARE = 0.6;
/** The default rate keeps the devices this busy with runs alone. */
const RUN_SHARE = 0.15;
/** How long one policy is driven with one seed, unless --minutes says otherwise. */
const DEFAULT_RUN_MS = 30_000;
const MEASURING_MEMORY_BYTES = 4_000_000_000;

/** What is to be run. */
export interface LiveOrder {
  readonly settings: BenchSettings;
  /** As typed: what was not said is chosen to suit the machine. */
  readonly flags: BenchFlags;
  /** Folders or ONNX files; none: seeded CNNs. */
  readonly functions: readonly string[];
  /** How long one policy is driven with one seed, in milliseconds (default: --minutes, else 30 seconds). */
  readonly runMs?: number;
}

interface Bench {
  readonly functions: BenchFunctions;
  readonly models: readonly ModelSpec[];
  readonly profiles: Readonly<Record<string, ModelProfile>>;
  readonly devices: readonly Device[];
  readonly rpm: number;
  readonly runMs: number;
}

/** Runs every policy with every seed on daemons of their own. After the signal, what was done until then. */
export async function live(order: LiveOrder, options: RealOptions): Promise<BenchFindings> {
  const policies = (await Promise.all(order.settings.policies.map(choosePolicy))).map((policy) => policy.name);
  const functions =
    order.functions.length > 0 ? { paths: order.functions, remove: () => undefined } : writeSeededCnns(CNN_MEGABYTES);
  options.onPlan?.(describePlan(policies.length, order));
  try {
    const bench = await prepare(order, functions, options);
    const { finished, details, interrupted } = await runRounds(bench, policies, order.settings, options);
    const workingSet = bench.models.length;
    const settings = { ...settingsOf(order.settings), workingSets: [workingSet], rpm: bench.rpm, runMs: bench.runMs };
    const report = {
      context: describeContext('live', bench.devices, settings),
      workload: {
        name: 'live',
        profile:
          order.functions.length > 0
            ? 'the functions that were named, measured on this machine'
            : `${workingSet} convolutional networks with seeded weights, measured on this machine`,
        rpm: bench.rpm,
        minutes: bench.runMs / 60_000,
        skew: order.settings.skew,
        seeds: order.settings.seeds,
        trace: null,
        requestsFile: null,
        recordedSince: null,
      },
      results: summarise(finished),
      paired: comparePairs(finished, policies, workingSet),
      ...(interrupted ? { interrupted: true as const } : {}),
    };
    return { report, details, timelines: [] };
  } finally {
    functions.remove();
  }
}

/** How long one policy is driven with one seed. */
function runMsOf({ runMs, flags, settings }: LiveOrder): number {
  return runMs ?? (flags.minutes === undefined ? DEFAULT_RUN_MS : settings.minutes * 60_000);
}

/** What is going to be run, and the least time that it takes. */
function describePlan(policies: number, order: LiveOrder): string {
  const seeds = order.settings.seeds.length;
  const runMs = runMsOf(order);
  const runs = [
    policies === 1 ? '1 policy' : `${policies} policies`,
    seeds === 1 ? '1 seed' : `${seeds} seeds`,
    formatDuration(runMs),
  ];
  const advice = seeds === 1 ? '' : ' One seed takes less: --seed 1.';
  return `${runs.join(' × ')}: at least ${formatDuration(policies * seeds * runMs)}, more where a policy falls behind.${advice}`;
}

interface Rounds {
  readonly finished: Finished[];
  readonly details: CaseDetail[];
  readonly interrupted: boolean;
}

/** Measures the models, then chooses devices and rate to suit them. */
async function prepare(order: LiveOrder, functions: BenchFunctions, options: RealOptions): Promise<Bench> {
  const measuring = await devicesOf(`cpu:1@${MEASURING_MEMORY_BYTES}B`);
  const daemon = await startIsolatedDaemon(
    { devices: measuring, policy: 'lb', speed: 1, profiles: {} },
    options.signal,
  );
  try {
    const deployed = await deployAll(daemon.client, functions.paths, options.onStep);
    const profiles = Object.fromEntries(daemon.measured);
    const models = deployed.map(({ name, sha256 }): ModelSpec => {
      const { loadMs, runMs, memoryBytes } = profiles[sha256]!;
      return { id: name, loadMs, runMs, memoryBytes };
    });
    const devices = await chooseDevices(order.flags, models);
    const meanRunMs = models.reduce((sum, model) => sum + model.runMs, 0) / models.length;
    const chosenRpm = Math.max(10, Math.round((RUN_SHARE * devices.length * 60_000) / meanRunMs));
    const rpm = order.flags.rpm === undefined ? chosenRpm : order.settings.rpm!;
    return { functions, models, profiles, devices, rpm, runMs: runMsOf(order) };
  } finally {
    await daemon.stop();
  }
}

/** The SPEC as it was typed; a count, or nothing, means CPU devices that hold part of the models together. */
async function chooseDevices(flags: BenchFlags, models: readonly ModelSpec[]): Promise<readonly Device[]> {
  const typed = flags.devices;
  if (typed !== undefined && !/^\d+$/.test(typed)) return devicesOf(typed);
  const count = typed === undefined ? Math.min(2, availableParallelism()) : Number(typed);
  const total = models.reduce((sum, model) => sum + model.memoryBytes, 0);
  const largest = Math.max(...models.map((model) => model.memoryBytes));
  const share = Math.ceil(Math.max((MEMORY_SHARE * total) / count, largest));
  const devices = await devicesOf(`cpu:${count}@${flags.memory ?? `${share}B`}`);
  if (largest <= devices[0]!.memoryBytes) return devices;
  throw new GpufaasError('DOES_NOT_FIT', `The largest model takes ${largest} bytes: more than a device has.`, {
    suggestions: [`Give the devices at least --memory ${Math.ceil(largest / 1e6)}MB.`],
  });
}

async function devicesOf(spec: string): Promise<readonly Device[]> {
  return resolveDevices(spec, { reserveBytes: 0, onNotice: () => undefined });
}

/** Every seed under every policy, the order turned from seed to seed so that none always comes first. */
async function runRounds(
  bench: Bench,
  policies: readonly string[],
  settings: BenchSettings,
  options: RealOptions,
): Promise<Rounds> {
  const finished: Finished[] = [];
  const details: CaseDetail[] = [];
  for (const [round, seed] of settings.seeds.entries()) {
    const workload = openWorkload(requestsOf(bench, settings.skew, seed));
    for (let turn = 0; turn < policies.length; turn++) {
      const policy = policies[(turn + round) % policies.length]!;
      const name = `Seed ${seed}, ${policy} (${finished.length + 1} of ${settings.seeds.length * policies.length})`;
      const onStep = (step: string): void => options.onStep(`${name}: ${step}`);
      try {
        const { metrics, cdfMs } = await runOnce(bench, policy, workload, { ...options, onStep });
        const workingSet = bench.models.length;
        finished.push({ policy, workingSet, seed, metrics });
        options.onFinished?.(`${name}: mean ${formatDuration(metrics.meanMs)}`);
        if (round === 0) details.push({ policy, workingSet, cdfMs, picture: [] });
      } catch (error) {
        if (!options.signal?.aborted) throw error;
        return { finished: inOrder(finished, policies), details, interrupted: true };
      }
    }
  }
  return { finished: inOrder(finished, policies), details, interrupted: false };
}

async function runOnce(
  bench: Bench,
  policy: string,
  workload: ReturnType<typeof openWorkload>,
  options: RealOptions,
): ReturnType<typeof drive> {
  options.onStep('Starting the daemon');
  const daemon = await startIsolatedDaemon(
    { devices: bench.devices, policy, speed: 1, profiles: bench.profiles },
    options.signal,
  );
  try {
    const deployed = await deployAll(daemon.client, bench.functions.paths, options.onStep);
    return await drive(daemon, deployed, workload, {
      speed: 1,
      devices: bench.devices.length,
      signal: options.signal,
      onProgress: (done, total) => options.onStep(`${done} of ${total} requests answered`),
    });
  } finally {
    await daemon.stop();
  }
}

/** Zipf requests for so long as a run lasts. */
function requestsOf({ models, rpm, runMs }: Bench, skew: number, seed: number): ListWorkload {
  const minutes = Math.ceil(runMs / 60_000);
  const whole = openWorkload({ kind: 'zipf', models, rpm, minutes, skew, seed });
  const atMs: number[] = [];
  const model: number[] = [];
  for (const chunk of whole.arrivals()) {
    for (let i = 0; i < chunk.count && chunk.atMs[i]! < runMs; i++) {
      atMs.push(chunk.atMs[i]!);
      model.push(chunk.model[i]!);
    }
  }
  const rows = Int32Array.from(atMs.keys());
  const workingSet = models.length;
  return { kind: 'list', models, atMs: Float64Array.from(atMs), model: Int32Array.from(model), rows, workingSet };
}

function inOrder(finished: readonly Finished[], policies: readonly string[]): Finished[] {
  return finished.toSorted((left, right) => policies.indexOf(left.policy) - policies.indexOf(right.policy));
}

/** Every policy against lb, and every other against lalbo3, over the seeds that both have run. */
function comparePairs(finished: readonly Finished[], policies: readonly string[], workingSet: number): PairedRatio[] {
  const meanOf = (policy: string, seed: number): number | undefined =>
    finished.find((one) => one.policy === policy && one.seed === seed)?.metrics.meanMs;
  const pairs: PairedRatio[] = [];
  for (const against of ['lb', 'lalbo3']) {
    for (const policy of policies) {
      if (policy === against || policy === 'lb' || (policy === 'lalb' && against === 'lalbo3')) continue;
      const ratios = finished.flatMap((one) => {
        const other = meanOf(against, one.seed);
        return one.policy === policy && other !== undefined ? [one.metrics.meanMs / other] : [];
      });
      if (ratios.length > 0)
        pairs.push({ policy, against, workingSet, pairs: ratios.length, ...geometricInterval(ratios) });
    }
  }
  return pairs;
}
