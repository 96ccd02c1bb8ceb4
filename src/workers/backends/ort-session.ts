// What all backends on ONNX Runtime share: sessions with our options, checked inputs, translated errors. A backend
// adds its provider and what that needs.

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Device } from '../../devices/types.ts';
import { GpufaasError } from '../../errors.ts';
import type { Tensor } from '../../tensors.ts';
import { ARTEFACT_FILE } from '../artefact-file.ts';
import { InputChecks, type InputSpec } from '../check-inputs.ts';
import type { LoadableModel } from '../types.ts';
import type { Backend, LoadedModel } from './backend.ts';
import { InferenceSession, probeModel, runsOf, type Session } from './ort.ts';
import { translateOrtError } from './ort-errors.ts';
import { fromOrt, specOf, toOrt } from './ort-tensors.ts';
import { type ExtraOptions, mergeSessionOptions } from './session-options.ts';

/** What a provider adds to every session. */
export interface ProviderOptions {
  readonly executionProviders: Session.SessionOptions['executionProviders'];
  readonly extra?: ExtraOptions;
}

/** The session options of a device: its threads, little spinning, activations in an arena, weights not, its provider. */
export function deviceOptions(device: Device, provider: ProviderOptions): Session.SessionOptions {
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
        // Long enough to find the next operator's work, too short to take a core from anybody else.
        'intra_op.spin_duration_us': '30',
      },
    },
  };
}

interface Loading {
  readonly path: string;
  readonly options: Session.SessionOptions;
  /** After so many runs it is to be loaded with these options instead. */
  readonly later?: { readonly afterRuns: number; readonly options: Session.SessionOptions };
}

/**
 * How a model is loaded. A prepared one is never optimised again and its weights are mapped, unless its artefact asks for
 * prepacking, at once or later; only the CPU can use it, other devices load the original.
 */
async function loadingOf(model: LoadableModel, device: Device): Promise<Loading> {
  if (!model.prepared) return { path: model.path, options: {} };
  let artefact: { readonly mode?: string; readonly original?: string; readonly packAfterRuns?: number } = {};
  try {
    artefact = JSON.parse(await readFile(join(dirname(model.path), ARTEFACT_FILE), 'utf8')) as typeof artefact;
  } catch {
    // Without the file beside it, mapped is right: it is only ever slower, never wrong.
  }
  if (device.kind !== 'cpu' && artefact.original !== undefined) return { path: artefact.original, options: {} };
  const { packAfterRuns: afterRuns } = artefact;
  const prepacked: Session.SessionOptions = { graphOptimizationLevel: 'disabled' };
  const mapped = { ...prepacked, extra: { session: { disable_prepacking: '1' } } };
  return {
    path: model.path,
    options: artefact.mode === 'prepacked' ? prepacked : mapped,
    ...(afterRuns !== undefined && { later: { afterRuns, options: prepacked } }),
  };
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
  loaded: Session,
  model: LoadableModel,
  device: Device,
  later: { readonly afterRuns: number; load(): Promise<Session> } | null,
): LoadedModel {
  let session = loaded;
  let runSession = runsOf(session);
  let ordinaryBytes = Infinity;
  const isLarge = (tensors: readonly Tensor[]): boolean => {
    const bytes = tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
    if (ordinaryBytes === Infinity) ordinaryBytes = bytes;
    return bytes >= LARGE_FACTOR * ordinaryBytes;
  };
  const inputs = session.inputMetadata.map((metadata) => withAnyRank(specOf(metadata), model.inputs));
  const outputs = session.outputMetadata.map(specOf);
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
        results = await runSession(feeds, options);
      } catch (error) {
        throw translateOrtError(error, 'run');
      }
      const runMs = performance.now() - startMs;
      return { outputs: outputs.map(({ name }) => fromOrt(name, results[name]!)), runMs };
    },
    release: () => session.release(),
    ...(later !== null && {
      packing: {
        afterRuns: later.afterRuns,
        async pack() {
          // The old one is there until the new one is: its file may be gone, or there may be no memory.
          const packed = await later.load();
          const mapped = session;
          session = packed;
          runSession = runsOf(packed);
          await mapped.release();
        },
      },
    }),
  };
}

/** A backend of ONNX Runtime with this provider. */
export function createOrtBackend(device: Device, provider: ProviderOptions): Backend {
  const base = deviceOptions(device, provider);
  return {
    async warmUp() {
      try {
        const session = await InferenceSession.create(probeModel(), base);
        await session.release();
      } catch (error) {
        throw translateOrtError(error, 'probe');
      }
    },
    async load(model, threads) {
      const { path, options, later } = await loadingOf(model, device);
      const load = async (how: Session.SessionOptions): Promise<Session> => {
        const merged = mergeSessionOptions(base, how, model.sessionOptions ?? {}, threads);
        try {
          return await InferenceSession.create(path, merged);
        } catch (error) {
          throw translateOrtError(error, 'load', path);
        }
      };
      const session = await load(options);
      const packing = later === undefined ? null : { afterRuns: later.afterRuns, load: () => load(later.options) };
      try {
        return asLoadedModel(session, model, device, packing);
      } catch (error) {
        await session.release();
        throw error instanceof GpufaasError ? error : translateOrtError(error, 'load');
      }
    },
  };
}
