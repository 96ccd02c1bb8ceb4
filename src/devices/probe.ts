// Proves that a device works: a throwaway worker opens it and runs the smallest session there is. What the driver says
// of itself is not enough, and trying it in the daemon's own process could take the daemon with it.

import { toGpufaasError } from '../errors.ts';
import { createRunner } from '../workers/runner.ts';
import type { Device } from './types.ts';

/** What a probe found. */
export type ProbeResult =
  | { readonly usable: true; readonly startMs: number }
  | { readonly usable: false; readonly reason: string };

/** Starts a worker on the device and ends it again. Never throws, never takes longer than the limit and a moment. */
export async function probeDevice(device: Device, limitMs = 60_000): Promise<ProbeResult> {
  const runner = createRunner(
    device,
    { startLimitMs: limitMs, crashLimit: 1 },
    { onReady: () => undefined, onLost: () => undefined, onNotice: () => undefined },
  );
  const startedMs = performance.now();
  try {
    await runner.start();
    return { usable: true, startMs: performance.now() - startedMs };
  } catch (error) {
    return { usable: false, reason: toGpufaasError(error).message };
  } finally {
    await runner.stop(true);
  }
}
