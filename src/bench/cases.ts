// A bench as a list of independent simulations: every policy, working set, seed and rate. Each is data that a worker
// thread can be sent; models that fit no device are refused here, before anything runs.

import { GpufaasError } from '../errors.ts';
import type { ModelSpec } from '../scheduling/types.ts';
import { workingSetModels } from '../simulation/profile.ts';
import { traceCounts } from '../simulation/trace.ts';
import type { SimulatedDevice } from '../simulation/types.ts';
import type { ListWorkload, WorkloadSpec } from '../simulation/workloads.ts';
import { formatSize } from '../units.ts';
import type { PolicyChoice, PolicySetting } from './policies.ts';
import type { BenchSettings } from './settings.ts';

/** One simulation of a bench. */
export interface BenchCase extends PolicySetting {
  readonly workingSet: number;
  readonly seed: number;
  /** The rate of a point of the sweep; null for the bench itself. */
  readonly sweepRpm: number | null;
  readonly workload: WorkloadSpec;
  readonly devices: readonly SimulatedDevice[];
}

/** All simulations of a bench: the bench itself first, then the sweep. Throws DOES_NOT_FIT for a model that fits none. */
export function listCases(settings: BenchSettings, policies: readonly PolicyChoice[]): BenchCase[] {
  const rates = [null, ...settings.sweepRpm];
  const cases: BenchCase[] = [];
  for (const workingSet of settings.workingSets) {
    const models =
      'list' in settings.source ? usedModels(settings.source.list) : workingSetModels(settings.profile, workingSet);
    refuseMisfits(models, settings.devices);
  }
  for (const sweepRpm of rates) {
    for (const workingSet of settings.workingSets) {
      for (const seed of settings.seeds) {
        const workload = describeWorkload(settings, workingSet, seed, sweepRpm ?? settings.rpm);
        const { devices, preload, loadLanes, skipLimit, disable } = settings;
        for (const policy of policies)
          cases.push({ policy, workingSet, seed, sweepRpm, workload, devices, preload, loadLanes, skipLimit, disable });
      }
    }
  }
  return cases;
}

function describeWorkload(settings: BenchSettings, workingSet: number, seed: number, rpm: number | null): WorkloadSpec {
  const { source, minutes, skew, profile } = settings;
  if ('list' in source) return source.list;
  if (source.kind === 'zipf') {
    const models = workingSetModels(profile, workingSet);
    return { kind: 'zipf', models, rpm: rpm!, minutes, skew, seed };
  }
  const { functions, counts } = traceCounts(source.trace, workingSet);
  return { kind: 'trace', models: workingSetModels(profile, functions), counts, minutes, rpm, seed };
}

function usedModels(list: ListWorkload): ModelSpec[] {
  return [...new Set(list.model)].map((index) => list.models[index]!);
}

function refuseMisfits(models: readonly ModelSpec[], devices: readonly SimulatedDevice[]): void {
  const largest = Math.max(...devices.map((device) => device.memoryBytes));
  const misfit = models.reduce((one, other) => (other.memoryBytes > one.memoryBytes ? other : one));
  if (misfit.memoryBytes <= largest) return;
  throw new GpufaasError(
    'DOES_NOT_FIT',
    `${misfit.id} takes ${formatSize(misfit.memoryBytes)}, and the largest device has ${formatSize(largest)}.`,
    { suggestions: [`Give the devices at least --memory ${Math.ceil(misfit.memoryBytes / 1e6)}MB.`] },
  );
}
