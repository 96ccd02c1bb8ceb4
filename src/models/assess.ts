// What happens to a model at deploy: prepared, measured in every way it could be loaded, and the best way kept. Everything
// that could go wrong with somebody's file goes wrong in throwaway processes.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Device, ownsMemory } from '../devices/types.ts';
import { freeMemory } from '../devices/host-memory.ts';
import { GpufaasError } from '../errors.ts';
import type { LoadableModel } from '../workers/types.ts';
import { artefactKey, MODEL_FILE, newStaging, publishArtefact, stagedBytes } from './artefact.ts';
import { prepareModel } from './prepare.ts';
import {
  MAX_ROWS,
  measureLoaded,
  type Measurement,
  PROFILE_LIMIT_MS,
  type ProfileOptions,
  profileModel,
} from './profile.ts';
import { whenToPack } from './race.ts';
import { largestDifference } from './same-answers.ts';
import { trySharedRuns } from './shared-runs.ts';
import { type Trial, withTrial } from './trial.ts';
import type { ModelProfile, StoredModel } from './types.ts';

/** What assessing needs to know. */
export interface AssessOptions extends ProfileOptions {
  /** Where prepared models are kept; made if it is not there. */
  readonly folder: string;
  /** What the measurements are for: the CPU, or an emulated device, which the CPU stands in for. */
  readonly device: Device;
  readonly sessionOptions?: Readonly<Record<string, unknown>>;
  /** Rows that requests are gathered to before a run (default 1): what the way of loading is chosen for. */
  readonly batchRows?: number;
  /** The longest the preparation may take (default 60,000). */
  readonly prepareLimitMs?: number;
  readonly report?: (message: string) => void;
}

/** How a model will be loaded, and what that costs. */
export interface Assessment {
  readonly profile: ModelProfile;
  /** The prepared file to load instead of the original; null: load the original. */
  readonly preparedPath: string | null;
  readonly mode: 'original' | 'mapped' | 'prepacked';
}

const PREPARE_LIMIT_MS = 60_000;
/** Ways of loading that are resident side by side while they are compared. */
const COPIES = 2;
/** The largest |difference| / max(1, |y|) between a prepared model and its original. */
const TOLERANCE = 1e-4;
/** A prepared model may be larger than its original by this factor, and this much: constants fold. */
const LARGEST_FACTOR = 2;
const LARGEST_EXTRA_BYTES = 16e6;
/** Shares of the limit after which measuring alone, comparing, and trying shared runs end. */
const ALONE_SHARE = 0.4;
const RACE_SHARE = 0.7;
const SHARING_SHARE = 0.8;

/**
 * Prepares and measures a stored model. Throws BAD_MODEL, DOES_NOT_FIT (over `budgetBytes`), TIMEOUT, CANCELLED; whatever it
 * throws, nothing of it is left.
 */
export async function assessModel(stored: StoredModel, wanted: AssessOptions): Promise<Assessment> {
  const options = { ...wanted, maxRows: wanted.maxRows ?? Math.max(MAX_ROWS, wanted.batchRows ?? 1) };
  const { report } = options;
  const device: Device = { ...options.device, kind: 'cpu' };
  const original = loadable(stored, 'original', stored.path, false, options.sessionOptions);
  let staging: string | undefined;
  try {
    staging = await newStaging(options.folder);
    report?.('Preparing the model');
    const prepared = await stage(stored, staging, device, options);
    report?.('Measuring the model');
    if (prepared) return await compare(stored, original, staging, device, options);
    return { profile: profileOf(await profileModel(original, device, options)), preparedPath: null, mode: 'original' };
  } catch (error) {
    throw isDiskFull(error)
      ? new GpufaasError('DISK_FULL', 'There is no room on the disk to prepare the model.', {
          cause: error,
          suggestions: ['Free some space under GPUFAAS_HOME; `gpufaas models ls` shows what is stored.'],
        })
      : error;
  } finally {
    if (staging !== undefined) await rm(staging, { recursive: true, force: true });
  }
}

/** What measuring on a device needs to know. */
export type OriginalOptions = ProfileOptions & { readonly sessionOptions?: Readonly<Record<string, unknown>> };

/**
 * Measures a model as its original file is loaded, on any device. Throws BAD_MODEL, DOES_NOT_FIT (over `budgetBytes`),
 * TIMEOUT, CANCELLED.
 */
export async function profileOriginal(
  stored: StoredModel,
  device: Device,
  options: OriginalOptions,
): Promise<ModelProfile> {
  const original = loadable(stored, 'original', stored.path, false, options.sessionOptions);
  const profile = profileOf(await profileModel(original, device, options));
  // Not every driver shows what a model takes of the device: it is never less than its weights.
  return ownsMemory(device) ? { ...profile, memoryBytes: Math.max(profile.memoryBytes, stored.bytes) } : profile;
}

export function isDiskFull(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

export function loadable(
  stored: StoredModel,
  id: string,
  path: string,
  prepared: boolean,
  sessionOptions: Readonly<Record<string, unknown>> = {},
): LoadableModel {
  return { id, path, prepared, sessionOptions, inputs: stored.inputs, outputs: stored.outputs };
}

/** The measured figures alone, rounded to what they are good for. */
export function profileOf({ loadMs, runMs, memoryBytes, runMsByRows, sharedRows, device }: Measurement): ModelProfile {
  const round = (ms: number): number => Number(ms.toPrecision(4));
  return {
    loadMs: round(loadMs),
    runMs: round(runMs),
    memoryBytes,
    ...(runMsByRows !== undefined && { runMsByRows: runMsByRows.map(round) }),
    ...(sharedRows !== undefined && { sharedRows }),
    device,
  };
}

/** True if a prepared model lies in the staging folder; false if preparing failed in a way that loading may not. */
async function stage(stored: StoredModel, staging: string, device: Device, options: AssessOptions): Promise<boolean> {
  const { budgetBytes, signal, sessionOptions = {} } = options;
  try {
    await prepareModel(
      { source: stored.path, staging, device, sessionOptions },
      { budgetBytes, limitMs: options.prepareLimitMs ?? PREPARE_LIMIT_MS, ...(signal && { signal }) },
    );
  } catch (error) {
    // The disk may be full, or an operator can't be written: whether the model itself is bad, loading it will tell.
    if (error instanceof GpufaasError && error.code === 'BAD_MODEL') return false;
    throw error;
  }
  return (await stagedBytes(staging)) <= LARGEST_FACTOR * stored.bytes + LARGEST_EXTRA_BYTES;
}

/** The prepared model measured alone, checked against its original, then mapped against prepacked; published if it is right. */
async function compare(
  stored: StoredModel,
  original: LoadableModel,
  staging: string,
  device: Device,
  options: AssessOptions,
): Promise<Assessment> {
  const { folder, sessionOptions = {}, batchRows = 1 } = options;
  const limitMs = options.limitMs ?? PROFILE_LIMIT_MS;
  const startedMs = performance.now();
  const mapped = loadable(stored, 'mapped', join(staging, MODEL_FILE), true, sessionOptions);
  const prepacked = { ...mapped, id: 'prepacked', sessionOptions: withPrepacking(sessionOptions) };
  return withTrial(device, { ...options, copies: COPIES, callLimitMs: limitMs }, async (trial) => {
    /** Measures one way of loading with nothing else resident. */
    const measureAlone = async (
      model: LoadableModel,
      evict: readonly LoadableModel[],
      share: number,
    ): Promise<Measurement> => {
      for (const { id } of evict) await trial.evict(id);
      return measureLoaded(trial, model.id, await trial.load(model), device, options, startedMs + limitMs * share);
    };
    const alone = await measureAlone(mapped, [], ALONE_SHARE);
    const { sample } = alone;
    const hasRoom = sample !== null && COPIES * alone.memoryBytes < freeMemory() / 2;
    if (hasRoom && !(await agrees(trial, original, sample))) {
      // An optimisation changed the answers beyond rounding: the original's are the right ones.
      return { profile: profileOf(await measureAlone(original, [mapped], 1)), preparedPath: null, mode: 'original' };
    }
    const asItIs: Choice = { mode: 'mapped', measured: alone };
    const choose = async (): Promise<Choice> => {
      const deadlineMs = startedMs + limitMs * RACE_SHARE;
      const when = await whenToPack(trial, { mapped, prepacked }, stored, alone, batchRows, deadlineMs);
      if (when === null) return asItIs;
      if (when === 'at the load')
        return { mode: 'prepacked', measured: await measureAlone(prepacked, [mapped, prepacked], 1) };
      for (const { id } of [mapped, prepacked]) await trial.evict(id);
      const memoryBytes = Math.max(alone.memoryBytes, await bytesOnceRun(trial, prepacked, sample!.inputs));
      if (memoryBytes > options.budgetBytes) return asItIs;
      return { mode: 'mapped', measured: { ...alone, memoryBytes }, packAfterRuns: when };
    };
    // Whatever goes wrong with packing, or with inputs that nobody has sent yet: the model as it is was measured and is right.
    const { measured, ...how } = hasRoom ? await choose().catch(() => asItIs) : asItIs;
    // As it will be once it is in use: packed models read their weights once for all rows.
    const served = how.mode === 'prepacked' || how.packAfterRuns !== undefined ? prepacked : mapped;
    const asksForNone = hasRoom && batchRows === 1 && options.device.kind === 'cpu';
    const deadlineMs = startedMs + limitMs * SHARING_SHARE;
    const times = asksForNone
      ? await trySharedRuns(trial, served.id, stored, measured, deadlineMs).catch(() => null)
      : null;
    const shared = times === null ? {} : { runMsByRows: times, sharedRows: times.length };
    options.signal?.throwIfAborted();
    const key = artefactKey(stored.sha256, sessionOptions, batchRows);
    const preparedPath = await publishArtefact(folder, staging, { ...how, original: stored.path, key });
    return { profile: profileOf({ ...measured, ...shared }), preparedPath, mode: how.mode };
  });
}

/** How a prepared model is loaded, with its figures. */
interface Choice {
  readonly mode: 'mapped' | 'prepacked';
  readonly measured: Measurement;
  readonly packAfterRuns?: number;
}

type Sample = NonNullable<Measurement['sample']>;

/** What the model holds as the only one in a trial, in bytes. */
async function bytesOnceRun(trial: Trial, model: LoadableModel, inputs: Sample['inputs']): Promise<number> {
  await trial.load(model);
  await trial.run(model.id, inputs);
  return (await trial.memory()).residentBytes;
}

/** True if the original gives the answers that the prepared model gave. */
async function agrees(trial: Trial, original: LoadableModel, sample: Sample): Promise<boolean> {
  await trial.load(original);
  const { outputs } = await trial.run(original.id, sample.inputs);
  await trial.evict(original.id);
  return largestDifference(sample.outputs, outputs) <= TOLERANCE;
}

/** The options of a prepared model that is prepacked at its load. */
function withPrepacking(sessionOptions: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const extra = (sessionOptions['extra'] ?? {}) as Record<string, Record<string, unknown>>;
  return { ...sessionOptions, extra: { ...extra, session: { ...extra['session'], disable_prepacking: '0' } } };
}
