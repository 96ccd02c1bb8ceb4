// `--emulate`: the workload on the real daemon with emulated devices, time scaled, beside what the simulator says of it.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../devices/types.ts';
import { GpufaasError } from '../../errors.ts';
import type { ModelProfile } from '../../models/types.ts';
import type { SimulatedDevice } from '../../simulation/types.ts';
import { openWorkload } from '../../simulation/workloads.ts';
import { formatDuration } from '../../units.ts';
import { listCases } from '../cases.ts';
import type { BenchCase } from '../cases.ts';
import { describeContext, describeWorkload, settingsOf } from '../context.ts';
import { choosePolicy } from '../policies.ts';
import { finishedCases, summarise } from '../results.ts';
import type { Finished } from '../results.ts';
import type { BenchFindings, CaseDetail } from '../run-bench.ts';
import { runCases } from '../run-cases.ts';
import type { BenchSettings } from '../settings.ts';
import { deployAll, writeEmulatedFunctions } from './bench-functions.ts';
import { drive } from './drive.ts';
import { startIsolatedDaemon } from './isolated-daemon.ts';

/** What an emulation is given besides its settings. */
export interface RealOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told what is being done. */
  readonly onStep: (message: string) => void;
  /** Told once, before the first case, how long all will take. */
  readonly onPlan?: (message: string) => void;
  /** Told of each case that has ended. */
  readonly onFinished?: (message: string) => void;
}

/** Each device is a process: more than this and the machine is what is measured. */
const MOST_DEVICES = 64;

/** Runs every case on a daemon of its own. After the signal, what was done until then. */
export async function emulate(settings: BenchSettings, speed: number, options: RealOptions): Promise<BenchFindings> {
  refuseUnsupported(settings);
  const cases = listCases(settings, await Promise.all(settings.policies.map(choosePolicy)));
  const finished: Finished[] = [];
  const details: CaseDetail[] = [];
  let interrupted = false;
  for (const [index, one] of cases.entries()) {
    const name = `${one.policy.name}, working set ${one.workingSet} (${index + 1} of ${cases.length})`;
    try {
      const driven = await emulateCase(one, speed, {
        ...options,
        onStep: (step) => options.onStep(`${name}: ${step}`),
      });
      finished.push({ ...labelOf(one), seed: one.seed, metrics: driven.metrics });
      options.onFinished?.(`${name}: mean ${formatDuration(driven.metrics.meanMs)}`);
      if (one.seed === settings.seeds[0]) details.push({ ...labelOf(one), cdfMs: driven.cdfMs, picture: [] });
    } catch (error) {
      if (!options.signal?.aborted) throw error;
      interrupted = true;
      break;
    }
  }
  options.onStep('Simulating the same');
  const simulated = await runCases(cases.slice(0, finished.length));
  const report = {
    context: describeContext('emulate', settings.devices, { ...settingsOf(settings), speed }),
    workload: describeWorkload(settings),
    results: summarise(finished),
    simulated: summarise(finishedCases(cases, simulated, null)),
    ...(interrupted ? { interrupted: true as const } : {}),
  };
  return { report, details, timelines: [] };
}

function labelOf(one: BenchCase): { readonly policy: string; readonly workingSet: number } {
  return { policy: one.policy.name, workingSet: one.workingSet };
}

function refuseUnsupported(settings: BenchSettings): void {
  const refuse = (what: string): GpufaasError =>
    new GpufaasError('USAGE', `--emulate does not go with ${what}.`, { suggestions: ['Leave one of them out.'] });
  if (settings.sweepRpm.length > 0) throw refuse('--sweep');
  if (settings.preload || settings.loadLanes !== null || settings.disable.length > 0)
    throw refuse('--preload, --load-lanes or --disable: a daemon has no such switches');
  if (settings.devices.length > MOST_DEVICES) throw refuse(`more than ${MOST_DEVICES} devices: each is a process`);
}

async function emulateCase(one: BenchCase, speed: number, options: RealOptions): ReturnType<typeof drive> {
  const workload = openWorkload(one.workload);
  const functions = writeEmulatedFunctions(workload.models.length);
  try {
    options.onStep('Starting the daemon');
    const profiles = profilesFor(functions.paths, one);
    const daemon = await startIsolatedDaemon(
      {
        devices: one.devices.map((device, index) => emulated(device, index, speed)),
        policy: one.policy.name,
        speed,
        profiles,
      },
      options.signal,
    );
    try {
      const deployed = await deployAll(daemon.client, functions.paths, options.onStep);
      return await drive(daemon, deployed, workload, {
        speed,
        devices: one.devices.length,
        signal: options.signal,
        onProgress: (done, total) => options.onStep(`${done} of ${total} requests answered`),
      });
    } finally {
      await daemon.stop();
    }
  } finally {
    functions.remove();
  }
}

/** The profile of each function's model, by the sha256 the daemon's store will give it. */
function profilesFor(paths: readonly string[], one: BenchCase): Record<string, ModelProfile> {
  const profiles: Record<string, ModelProfile> = {};
  for (const [index, path] of paths.entries()) {
    const sha256 = createHash('sha256')
      .update(readFileSync(join(path, 'model.onnx')))
      .digest('hex');
    const { loadMs, runMs, memoryBytes } = one.workload.models[index]!;
    profiles[sha256] = { loadMs, runMs, memoryBytes, device: 'emulated' };
  }
  return profiles;
}

function emulated({ memoryBytes, overlap }: SimulatedDevice, index: number, speed: number): Device {
  return {
    id: `emulated:${index}`,
    kind: 'emulated',
    index,
    name: 'emulated',
    memoryBytes,
    threads: 1,
    overlap,
    speed,
  };
}
