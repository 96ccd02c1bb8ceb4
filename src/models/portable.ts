// A model for devices that copy it: its graph simplified as far as every provider could, its weights outside of the graph.
// The device's own provider goes on from there at each load. What a session of such a provider would write itself holds
// nodes that do not load again, so that is not kept.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Device, ownsMemory } from '../devices/types.ts';
import { GpufaasError } from '../errors.ts';
import {
  artefactKey,
  findArtefact,
  isCurrent,
  MODEL_FILE,
  newStaging,
  publishArtefact,
  stagedBytes,
} from './artefact.ts';
import { isDiskFull, loadable, type OriginalOptions, profileOf, profileOriginal } from './assess.ts';
import { prepareModel } from './prepare.ts';
import { measureLoaded, PROFILE_LIMIT_MS } from './profile.ts';
import { largestDifference } from './same-answers.ts';
import { withTrial } from './trial.ts';
import type { ModelProfile, StoredModel } from './types.ts';

/** What is measured on a device, and in which form it will be loaded there. */
export interface CardAssessment {
  readonly profile: ModelProfile;
  /** Null: the original. */
  readonly portablePath: string | null;
}

const PREPARE_LIMIT_MS = 60_000;
/** Constants fold: larger than this it would not be worth its place. */
const LARGEST_FACTOR = 1.5;
const LARGEST_EXTRA_BYTES = 16e6;
/** Devices may multiply with 10 bits of mantissa, and a folded constant rounds elsewhere. */
const TOLERANCE = 1e-2;

/** The portable form of a model, published or staged by `preparePortable`. */
export interface Portable {
  readonly path: string;
  /** Null if it is published already. */
  readonly staging: string | null;
}

/** Makes the portable form, to be measured and then published; null if this model has none. Throws DOES_NOT_FIT, CANCELLED. */
export async function preparePortable(
  stored: StoredModel,
  folder: string,
  options: OriginalOptions,
): Promise<Portable | null> {
  const { budgetBytes, signal, sessionOptions = {} } = options;
  const known = await findArtefact(folder, artefactKey(stored.sha256, sessionOptions, 1, 'any'));
  if (known !== null && isCurrent(known)) return { path: known, staging: null };
  const staging = await newStaging(folder);
  try {
    const device: Device = {
      id: 'cpu:0',
      kind: 'cpu',
      index: 0,
      name: '',
      memoryBytes: budgetBytes,
      threads: 1,
      overlap: true,
    };
    const job = { source: stored.path, staging, device, portable: true, sessionOptions };
    await prepareModel(job, { budgetBytes, limitMs: PREPARE_LIMIT_MS, ...(signal && { signal }) });
    if ((await stagedBytes(staging)) <= LARGEST_FACTOR * stored.bytes + LARGEST_EXTRA_BYTES) {
      return { path: join(staging, MODEL_FILE), staging };
    }
  } catch (error) {
    const isOurs = error instanceof GpufaasError && error.code !== 'BAD_MODEL' && error.code !== 'TIMEOUT';
    if (isOurs && !isDiskFull(error)) {
      await dropPortable({ path: '', staging });
      throw error;
    }
  }
  await dropPortable({ path: '', staging });
  return null;
}

/** Removes what was staged and not published. */
export async function dropPortable({ staging }: Portable): Promise<void> {
  if (staging !== null) await rm(staging, { recursive: true, force: true });
}

/**
 * Measures a model on a device in its portable form, if it has one that loads there and answers as the original does; else as
 * the original. Publishes the form that is kept. Throws BAD_MODEL, DOES_NOT_FIT, TIMEOUT, CANCELLED.
 */
export async function assessOnCard(
  stored: StoredModel,
  device: Device,
  portable: Portable | null,
  folder: string,
  options: OriginalOptions,
): Promise<CardAssessment> {
  const profile = portable === null ? null : await measurePortable(stored, device, portable.path, options);
  if (portable === null || profile === null) {
    return { profile: await profileOriginal(stored, device, options), portablePath: null };
  }
  if (portable.staging === null) return { profile, portablePath: portable.path };
  const key = artefactKey(stored.sha256, options.sessionOptions ?? {}, 1, 'any');
  const record = { mode: 'portable' as const, original: stored.path, key };
  return { profile, portablePath: await publishArtefact(folder, portable.staging, record) };
}

/** Null if the form is of no use on this device: the original then says whether the model is. */
async function measurePortable(
  stored: StoredModel,
  device: Device,
  path: string,
  options: OriginalOptions,
): Promise<ModelProfile | null> {
  const limitMs = options.limitMs ?? PROFILE_LIMIT_MS;
  const deadlineMs = performance.now() + limitMs;
  const model = loadable(stored, 'portable', path, false, options.sessionOptions);
  const original = loadable(stored, 'original', stored.path, false, options.sessionOptions);
  try {
    return await withTrial(device, { ...options, callLimitMs: limitMs }, async (trial) => {
      const load = await trial.load(model);
      const measured = await measureLoaded(trial, model.id, load, device, options, deadlineMs);
      await trial.evict(model.id);
      if (measured.sample !== null) {
        await trial.load(original);
        const { outputs } = await trial.run(original.id, measured.sample.inputs);
        if (largestDifference(measured.sample.outputs, outputs) > TOLERANCE) return null;
      }
      const profile = profileOf(measured);
      return ownsMemory(device) ? { ...profile, memoryBytes: Math.max(profile.memoryBytes, stored.bytes) } : profile;
    });
  } catch (error) {
    if (error instanceof GpufaasError && ['BAD_MODEL', 'BAD_TENSOR'].includes(error.code)) return null;
    throw error;
  }
}
