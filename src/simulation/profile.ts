// Profiles: what models cost. Reads the JSON of `--profile` with errors that say where, and makes working sets.

import { GpufaasError } from '../errors.ts';
import type { BatchingSpec, ModelSpec } from '../scheduling/types.ts';
import { PAPER_MODELS, PAPER_PROVENANCE } from './paper-profile.ts';

/** Models with their costs, and where the figures come from. */
export interface Profile {
  readonly provenance: string;
  /** Memory of the devices the profile was made for, where it says so. */
  readonly deviceMemoryBytes?: number;
  readonly models: readonly ModelSpec[];
}

const MB = 1_000_000;

/** The profile that `gpufaas bench` uses by itself: the paper's 22 CNNs, reconstructed. */
export function paperProfile(): Profile {
  const models = PAPER_MODELS.map(([id, memoryMB, loadMs, runMs]) => ({
    id,
    memoryBytes: memoryMB * MB,
    loadMs,
    runMs,
  }));
  return { provenance: PAPER_PROVENANCE, models };
}

/**
 * Reads a profile: `{"models": {"NAME": {"memoryMB", "loadMs", "runMs", "batching"?}}}`. Times are rounded up to whole
 * milliseconds. Throws GpufaasError USAGE that names the model and the field.
 */
export function parseProfile(text: string, source: string): Profile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new GpufaasError('USAGE', `${source} is not JSON: ${(error as Error).message}`, { suggestions: [EXAMPLE] });
  }
  const models = isRecord(json) ? json['models'] : undefined;
  if (!isRecord(models) || Object.keys(models).length === 0)
    throw new GpufaasError('USAGE', `${source} names no models.`, { suggestions: [EXAMPLE] });
  const provenance = isRecord(json) && typeof json['provenance'] === 'string' ? json['provenance'] : source;
  const memoryMB = isRecord(json) ? json['deviceMemoryMB'] : undefined;
  if (memoryMB !== undefined && !(typeof memoryMB === 'number' && memoryMB > 0 && Number.isFinite(memoryMB)))
    throw new GpufaasError('USAGE', `${source}: deviceMemoryMB is not a positive number.`, { suggestions: [EXAMPLE] });
  return {
    provenance,
    models: Object.entries(models).map(([name, entry]) => parseModel(name, entry, source)),
    ...(memoryMB === undefined ? {} : { deviceMemoryBytes: Math.floor(memoryMB * MB) }),
  };
}

const EXAMPLE = 'Expected {"models": {"resnet50": {"memoryMB": 1701, "loadMs": 2670, "runMs": 1280}}}.';

function parseModel(name: string, entry: unknown, source: string): ModelSpec {
  const where = `${source}: model ${JSON.stringify(name)}`;
  if (!isRecord(entry)) throw new GpufaasError('USAGE', `${where} is not an object.`, { suggestions: [EXAMPLE] });
  const field = (key: string, least: number): number => {
    const value = entry[key];
    if (typeof value !== 'number' || !Number.isFinite(value) || value < least) {
      const got = value === undefined ? 'is missing' : `is ${JSON.stringify(value)}`;
      throw new GpufaasError('USAGE', `${where}: ${key} ${got}; expected a number of at least ${least}.`, {
        suggestions: [EXAMPLE],
      });
    }
    return value;
  };
  const memoryBytes = Math.ceil(field('memoryMB', 0) * MB);
  const loadMs = Math.ceil(field('loadMs', 0));
  const runMs = Math.ceil(field('runMs', 0.001));
  const batching = entry['batching'] === undefined ? undefined : parseBatching(entry['batching'], where);
  return { id: name, memoryBytes, loadMs, runMs, ...(batching === undefined ? {} : { batching }) };
}

function parseBatching(entry: unknown, where: string): BatchingSpec {
  const bad = (what: string): GpufaasError =>
    new GpufaasError('USAGE', `${where}: batching ${what}.`, {
      suggestions: ['Expected {"maxSize": 8, "maxDelayMs": 2, "runMsByRows": [10, 12, 14]}; runMsByRows is optional.'],
    });
  if (!isRecord(entry)) throw bad('is not an object');
  const { maxSize, maxDelayMs, runMsByRows } = entry;
  if (typeof maxSize !== 'number' || !Number.isInteger(maxSize) || maxSize < 1)
    throw bad('needs a whole maxSize from 1');
  if (typeof maxDelayMs !== 'number' || !(maxDelayMs >= 0)) throw bad('needs a maxDelayMs from 0');
  if (runMsByRows === undefined) return { maxSize, maxDelayMs };
  if (!Array.isArray(runMsByRows) || runMsByRows.length === 0)
    throw bad('has a runMsByRows that is not a list of times');
  const times = runMsByRows.map((time: unknown) => {
    if (typeof time !== 'number' || !(time > 0) || !Number.isFinite(time))
      throw bad('has a run time that is not positive');
    return Math.ceil(time);
  });
  return { maxSize, maxDelayMs, runMsByRows: times };
}

/** `count` functions, each with a model of its own, cycling through the profile: `resnet18`, … `resnet18.2`, … */
export function workingSetModels(profile: Profile, count: number): ModelSpec[] {
  const size = profile.models.length;
  return Array.from({ length: count }, (_, index) => {
    const model = profile.models[index % size]!;
    const round = Math.floor(index / size) + 1;
    return round === 1 ? model : { ...model, id: `${model.id}.${round}` };
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
