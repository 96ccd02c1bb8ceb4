// A throwaway worker for measuring models: the same process as the real ones, with a limit on time and memory. Whatever
// ends it becomes an error about the model.

import { writeFileSync } from 'node:fs';
import { type Device, ownsMemory } from '../devices/types.ts';
import { GpufaasError } from '../errors.ts';
import type { Tensor } from '../tensors.ts';
import { canLimitMemory, processBytes } from '../workers/native-process.ts';
import { createRunner, type DeviceRunner, type RunnerOptions } from '../workers/runner.ts';
import type { LoadableModel, LoadResult, RunResult } from '../workers/types.ts';
import { memoryLimits, watchGrowth } from './memory-guard.ts';
import { doesNotFit } from './prepare.ts';

/** Bounds of one trial. */
export interface TrialOptions {
  /** What one model may take, in bytes. */
  readonly budgetBytes: number;
  /** Models that are resident together in this trial (default 1). */
  readonly copies?: number;
  /** The longest one load or run may take. */
  readonly callLimitMs: number;
  readonly signal?: AbortSignal;
  /** Fixtures. */
  readonly runner?: RunnerOptions;
}

/** Growth of the worker, in bytes, as the system measures it. */
export interface TrialMemory {
  readonly residentBytes: number;
  /** The most it was since `resetPeak`; null where the system does not tell. */
  readonly peakBytes: number | null;
}

const SETTLE_POLL_MS = 50;
const SETTLE_LIMIT_MS = 5_000;

/** A worker that exists for the time of `use`. Errors are GpufaasError: BAD_MODEL, DOES_NOT_FIT, TIMEOUT, CANCELLED, BAD_TENSOR. */
export async function withTrial<T>(
  device: Device,
  options: TrialOptions,
  use: (trial: Trial) => Promise<T>,
): Promise<T> {
  const limits = memoryLimits(options.budgetBytes * (options.copies ?? 1));
  const lost = Promise.withResolvers<string>();
  const runner = createRunner(
    { ...device, id: `${device.id} (trial)` },
    {
      runLimitMs: options.callLimitMs,
      loadLimitMs: options.callLimitMs,
      crashLimit: 1,
      // A driver maps the memory of its card, and more, into the process: no limit on addresses says anything then.
      ...(limits.dataLimitBytes !== undefined && !ownsMemory(device) && { dataLimitBytes: limits.dataLimitBytes }),
      ...options.runner,
    },
    { onReady: () => undefined, onLost: lost.resolve, onNotice: () => undefined },
  );
  let tooLarge = false;
  let stopWatching = (): void => undefined;
  const cancel = (): void => void runner.stop(true);
  options.signal?.addEventListener('abort', cancel, { once: true });
  try {
    await runner.start();
    stopWatching = watchGrowth(runner.pid!, limits.growthBytes, () => {
      tooLarge = true;
      cancel();
    });
    return await use(new Trial(runner, (await runner.measure()).deviceFreeBytes));
  } catch (error) {
    if (options.signal?.aborted === true)
      throw new GpufaasError('CANCELLED', 'The measurement was given up.', { cause: error });
    if (tooLarge) throw doesNotFit(options.budgetBytes);
    throw error instanceof GpufaasError ? await asModelError(error, lost.promise, options) : error;
  } finally {
    stopWatching();
    options.signal?.removeEventListener('abort', cancel);
    await runner.stop(true);
  }
}

async function asModelError(error: GpufaasError, lost: Promise<string>, options: TrialOptions): Promise<GpufaasError> {
  if (error.code === 'OUT_OF_MEMORY') return doesNotFit(options.budgetBytes);
  if (error.code !== 'WORKER_DIED') return error;
  // The report of a death follows the rejected calls after a moment.
  const reason = await Promise.race([
    lost,
    new Promise<string>((resolve) => void setTimeout(() => resolve(''), 1_000)),
  ]);
  if (/took longer than/.test(reason)) {
    return new GpufaasError('TIMEOUT', `A load or run of the model takes longer than ${options.callLimitMs} ms.`, {
      suggestions: ['Deploy a smaller model, or try again when the machine is less busy.'],
    });
  }
  // Node and native code end themselves with these when an allocation fails.
  if (canLimitMemory && /SIGTRAP|SIGABRT/.test(reason)) return doesNotFit(options.budgetBytes);
  return new GpufaasError('BAD_MODEL', 'The runtime crashed on the model.', {
    cause: error,
    suggestions: ['Export the model again, with another opset or exporter.'],
  });
}

/** See `withTrial`. */
export class Trial {
  readonly #runner: DeviceRunner;
  /** What a device with memory of its own had free before the first load. */
  readonly #emptyFreeBytes: number | null;

  constructor(runner: DeviceRunner, emptyFreeBytes: number | null) {
    this.#runner = runner;
    this.#emptyFreeBytes = emptyFreeBytes;
  }

  load(model: LoadableModel): Promise<LoadResult> {
    return this.#runner.load(model);
  }

  run(id: string, inputs: readonly Tensor[]): Promise<RunResult> {
    return this.#runner.run(id, inputs);
  }

  async evict(id: string): Promise<void> {
    await this.#runner.evict(id);
  }

  /** From now on `peakBytes` counts anew. */
  resetPeak(): void {
    try {
      writeFileSync(`/proc/${this.#runner.pid}/clear_refs`, '5');
    } catch {
      // Not Linux, or not allowed: the peak is that of the whole life, which is only ever too large.
    }
  }

  /** Growth since the worker was empty, measured when it has nothing more to start. */
  async memory(): Promise<TrialMemory> {
    const deadline = performance.now() + SETTLE_LIMIT_MS;
    let measured = await this.#runner.measure();
    while (measured.settled === false && performance.now() < deadline) {
      await new Promise((resolve) => void setTimeout(resolve, SETTLE_POLL_MS));
      measured = await this.#runner.measure();
    }
    const { processRssBytes, emptyRssBytes, deviceFreeBytes } = measured;
    if (deviceFreeBytes !== null && this.#emptyFreeBytes !== null) {
      return { residentBytes: Math.max(0, this.#emptyFreeBytes - deviceFreeBytes), peakBytes: null };
    }
    const peak = processBytes(this.#runner.pid ?? 0, 'VmHWM');
    return {
      residentBytes: Math.max(0, processRssBytes - emptyRssBytes),
      peakBytes: peak === null ? null : Math.max(0, peak - emptyRssBytes),
    };
  }
}
