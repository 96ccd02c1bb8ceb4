// Prepares a model in a throwaway process: optimised once, weights outside of the graph. What comes out is staged; whether
// it is used, and how, is decided by measuring it (assess.ts).

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Device } from '../devices/types.ts';
import { GpufaasError } from '../errors.ts';
import { formatSize } from '../units.ts';
import { nativeEnvironment, nodeCommand } from '../workers/native-process.ts';
import { type ErrorMessage, fromErrorMessage } from '../workers/protocol.ts';
import { memoryLimits, watchGrowth } from './memory-guard.ts';

/** What the throwaway process is told. */
export interface PrepareJob {
  readonly source: string;
  readonly staging: string;
  readonly device: Device;
  /** Only what every provider could do with the graph, for devices that go on from there. */
  readonly portable?: boolean;
  readonly sessionOptions: Readonly<Record<string, unknown>>;
}

/** What it answers. */
export type PrepareOutcome =
  | { readonly done: true; readonly prepareMs: number }
  | { readonly done: false; readonly error: ErrorMessage };

/** Bounds of one preparation. */
export interface PrepareLimits {
  /** Memory the model may have on a device, in bytes. */
  readonly budgetBytes: number;
  readonly limitMs: number;
  readonly signal?: AbortSignal;
}

const ENTRY = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './prepare-entry.ts' : './prepare-entry.js', import.meta.url),
);

/** The error for a model that takes more memory than it may. */
export function doesNotFit(budgetBytes: number): GpufaasError {
  return new GpufaasError(
    'DOES_NOT_FIT',
    `The model takes more memory than the ${formatSize(budgetBytes)} of the largest device.`,
    {
      suggestions: [
        'Give the daemon larger devices (`gpufaas down`, then `gpufaas up --devices SPEC`), or deploy a smaller model.',
      ],
    },
  );
}

/**
 * Writes the optimised model into the staging folder; gives the milliseconds it took. Throws BAD_MODEL, DOES_NOT_FIT,
 * TIMEOUT, CANCELLED.
 */
export async function prepareModel(job: PrepareJob, limits: PrepareLimits): Promise<number> {
  const { growthBytes, dataLimitBytes } = memoryLimits(limits.budgetBytes);
  const [command, ...parameters] = nodeCommand([ENTRY, JSON.stringify(job)], dataLimitBytes);
  let grewTooLarge = false;
  const { promise, resolve } = Promise.withResolvers<{ readonly output: string; readonly killed: boolean }>();
  const child = execFile(
    command,
    parameters,
    {
      env: nativeEnvironment(),
      timeout: limits.limitMs,
      killSignal: 'SIGKILL',
      windowsHide: true,
      ...(limits.signal && { signal: limits.signal }),
    },
    (error, stdout) => resolve({ output: stdout, killed: error?.killed ?? false }),
  );
  const stopWatching =
    child.pid === undefined
      ? () => undefined
      : watchGrowth(child.pid, growthBytes, () => {
          grewTooLarge = true;
          child.kill('SIGKILL');
        });
  const { output, killed } = await promise;
  stopWatching();
  if (limits.signal?.aborted === true) throw new GpufaasError('CANCELLED', 'The preparation was given up.');
  if (grewTooLarge) throw doesNotFit(limits.budgetBytes);
  const outcome = readOutcome(output);
  if (outcome?.done === true) return outcome.prepareMs;
  if (outcome !== null) {
    const error = fromErrorMessage(outcome.error);
    throw error.code === 'OUT_OF_MEMORY' ? doesNotFit(limits.budgetBytes) : error;
  }
  if (killed) {
    throw new GpufaasError('TIMEOUT', `The model could not be prepared within ${limits.limitMs} ms.`, {
      suggestions: ['Deploy a smaller model, or try again when the machine is less busy.'],
    });
  }
  throw new GpufaasError('BAD_MODEL', 'The runtime crashed while it loaded the model.', {
    suggestions: ['Export the model again, with another opset or exporter.'],
  });
}

function readOutcome(output: string): PrepareOutcome | null {
  try {
    return JSON.parse(output.trim().split('\n').at(-1) ?? '') as PrepareOutcome;
  } catch {
    return null;
  }
}
