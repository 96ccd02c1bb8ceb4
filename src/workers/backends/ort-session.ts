// What all backends on ONNX Runtime share: sessions with our options, checked inputs, translated errors. A backend
// adds its provider and what that needs.

import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import type { Device } from '../../devices/types.ts';
import { GpufaasError } from '../../errors.ts';
import type { Tensor } from '../../tensors.ts';
import { ARTEFACT_FILE } from '../artefact-file.ts';
import { InputChecks, type InputSpec } from '../check-inputs.ts';
import type { LoadableModel } from '../types.ts';
import { type Backend, type LoadedModel, type Manner, type Reload, SPIN_US } from './backend.ts';
import { InferenceSession, probeModel, type Session } from './ort.ts';
import { translateOrtError } from './ort-errors.ts';
import { fromOrt, specOf, toOrt } from './ort-tensors.ts';
import { ResidentSession } from './resident-session.ts';
import { type ExtraOptions, mergeSessionOptions } from './session-options.ts';

/** What a provider adds to every session. */
export interface ProviderOptions {
  readonly executionProviders: Session.SessionOptions['executionProviders'];
  readonly extra?: ExtraOptions;
}

/** How long threads spin otherwise: long enough to find the next operator's work, too short to take a core from anybody else. */
const BRIEF_SPIN_US = 30;

/** The session options of a device: its threads, how they spin, activations in an arena, weights not, its provider. */
export function deviceOptions(device: Device, provider: ProviderOptions, spins = false): Session.SessionOptions {
  return {
    executionProviders: [...(provider.executionProviders ?? [])],
    intraOpNumThreads: device.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    // Without it each run takes the memory of its activations anew from the system, page by page.
    enableCpuMemArena: true,
    logSeverityLevel: 4,
    extra: {
      ...provider.extra,
      session: {
        ...provider.extra?.['session'],
        use_device_allocator_for_initializers: '1',
        'intra_op.spin_duration_us': String(spins ? SPIN_US : BRIEF_SPIN_US),
      },
    },
  };
}

interface Loading {
  readonly path: string;
  /** How it is packed at first; null: it is loaded as it is, and stays so. */
  readonly packed: boolean | null;
  readonly packAfterRuns?: number;
}

/**
 * How a model is loaded. A prepared one is never optimised again and its weights are mapped, unless its artefact asks for
 * prepacking, at once or later; only the CPU can use it, other devices load the original.
 */
async function loadingOf(model: LoadableModel, device: Device): Promise<Loading> {
  if (!model.prepared) return { path: model.path, packed: null };
  let artefact: { readonly mode?: string; readonly original?: string; readonly packAfterRuns?: number } = {};
  try {
    artefact = JSON.parse(await readFile(join(dirname(model.path), ARTEFACT_FILE), 'utf8')) as typeof artefact;
  } catch {
    // Without the file beside it, mapped is right: it is only ever slower, never wrong.
  }
  if (device.kind !== 'cpu' && artefact.original !== undefined) return { path: artefact.original, packed: null };
  const { packAfterRuns } = artefact;
  return {
    path: model.path,
    packed: artefact.mode === 'prepacked',
    ...(packAfterRuns !== undefined && { packAfterRuns }),
  };
}

function optionsOf(packed: boolean | null): Session.SessionOptions {
  if (packed === null) return {};
  const optimised = { graphOptimizationLevel: 'disabled' } as const;
  return packed ? optimised : { ...optimised, extra: { session: { disable_prepacking: '1' } } };
}

/**
 * Whether the threads of a model's session with these options may spin: it has some beside the one that runs it, all cores are theirs, and
 * the manifest says nothing of it.
 */
function canSpin(
  { kind, threads }: Device,
  { intraOpNumThreads }: Session.SessionOptions,
  model: LoadableModel,
): boolean {
  const asked = (model.sessionOptions?.['extra'] as ExtraOptions | undefined)?.['session'] ?? {};
  return (
    kind === 'cpu' &&
    threads >= availableParallelism() &&
    intraOpNumThreads !== 1 &&
    !Object.keys(asked).some((key) => key.startsWith('intra_op.'))
  );
}

function withAnyRank(spec: InputSpec, declared: readonly InputSpec[]): InputSpec {
  // The runtime shows an input of any rank as one without dimensions; the file's own signature tells them apart.
  const own = declared.find(({ name }) => name === spec.name);
  return own?.anyRank === true ? { ...spec, anyRank: true } : spec;
}

/** Tells the arena to give back what a run took: it would keep what the largest batch ever needed. */
const SHRINK_AFTERWARDS = { extra: { memory: { enable_memory_arena_shrinkage: 'cpu:0' } } };
/** A run with so many times the bytes of the first one is out of the ordinary. */
const LARGE_FACTOR = 2;

function asLoadedModel(
  resident: ResidentSession,
  model: LoadableModel,
  device: Device,
  reload: Omit<Reload, 'change'> | null,
): LoadedModel {
  let ordinaryBytes = Infinity;
  const isLarge = (tensors: readonly Tensor[]): boolean => {
    const bytes = tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
    if (ordinaryBytes === Infinity) ordinaryBytes = bytes;
    return bytes >= LARGE_FACTOR * ordinaryBytes;
  };
  const inputs = resident.session.inputMetadata.map((metadata) => withAnyRank(specOf(metadata), model.inputs));
  const outputs = resident.session.outputMetadata.map(specOf);
  const checks = new InputChecks(inputs);
  return {
    inputs,
    outputs,
    async run(tensors: readonly Tensor[]) {
      checks.check(tensors);
      const feeds: Record<string, ReturnType<typeof toOrt>> = {};
      for (const tensor of tensors) feeds[tensor.name] = toOrt(tensor);
      const startMs = performance.now();
      let results: Awaited<ReturnType<Session['run']>>;
      try {
        const options = device.kind === 'cpu' && isLarge(tensors) ? SHRINK_AFTERWARDS : {};
        results = await resident.run(feeds, options);
      } catch (error) {
        throw translateOrtError(error, 'run');
      }
      const runMs = performance.now() - startMs;
      return { outputs: outputs.map(({ name }) => fromOrt(name, results[name]!)), runMs };
    },
    release: () => resident.session.release(),
    ...(reload !== null && { reload: { ...reload, change: (what) => resident.change(what) } }),
  };
}

/** A backend of ONNX Runtime with this provider. */
export function createOrtBackend(device: Device, provider: ProviderOptions): Backend {
  return {
    async warmUp() {
      try {
        const session = await InferenceSession.create(probeModel(), deviceOptions(device, provider));
        await session.release();
      } catch (error) {
        throw translateOrtError(error, 'probe');
      }
    },
    async load(model, threads) {
      const { path, packed, packAfterRuns } = await loadingOf(model, device);
      const optionsFor = (manner: Manner): Session.SessionOptions => {
        const base = deviceOptions(device, provider, manner.spins);
        return mergeSessionOptions(
          base,
          optionsOf(packed === null ? null : manner.packed),
          model.sessionOptions ?? {},
          threads,
        );
      };
      const load = async (manner: Manner): Promise<Session> => {
        const options = optionsFor(manner);
        try {
          return await InferenceSession.create(path, options);
        } catch (error) {
          throw translateOrtError(error, 'load', path);
        }
      };
      const first: Manner = { packed: packed === true, spins: false };
      const session = await load(first);
      try {
        const reload =
          packed === null
            ? null
            : {
                canSpin: canSpin(device, optionsFor(first), model),
                ...(packAfterRuns !== undefined && { packAfterRuns }),
              };
        return asLoadedModel(new ResidentSession(session, first, load), model, device, reload);
      } catch (error) {
        await session.release();
        throw error instanceof GpufaasError ? error : translateOrtError(error, 'load');
      }
    },
  };
}
