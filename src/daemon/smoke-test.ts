// Calls a version with its own sample before it serves: the last check of a deployment.

import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import type { DeployResult } from '../api/schemas.ts';
import type { Clock } from '../clock.ts';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import { fileInside } from '../functions/paths.ts';
import type { DeployStep } from '../gateway/platform.ts';
import { newCallId } from '../random.ts';
import type { Calls } from './calls.ts';
import type { Serving } from './catalog.ts';

/** What a smoke test needs of the daemon. */
export interface SmokeTestParts {
  readonly calls: Calls;
  readonly clock: Clock;
}

const SAMPLE_TYPES: Readonly<Record<string, string>> = {
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
  '.csv': 'text/csv; charset=utf-8',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.webp': 'image/webp',
};

/** Calls the candidate, whose models the catalog knows, with its sample; null if it has none. Throws DEPLOY_FAILED. */
export async function smokeTest(
  candidate: Serving,
  { calls, clock }: SmokeTestParts,
  report: (step: DeployStep) => void,
  signal: AbortSignal,
): Promise<DeployResult['smokeTest']> {
  const { manifest, folder } = candidate.version;
  if (manifest.sample === null || manifest.handler === null) return null;
  const path = fileInside(folder, manifest.sample);
  if (path === null) {
    throw new GpufaasError('BAD_PACKAGE', `The sample ${manifest.sample} is not in the package.`, {
      suggestions: ['Add the file, or take `sample` out of function.yaml.'],
    });
  }
  report({ type: 'step', step: 'smoke-test', message: `Calling it with ${manifest.sample}` });
  const startedMs = clock.now();
  try {
    const outcome = await calls.invokeServing(
      candidate,
      {
        function: manifest.name,
        callId: newCallId(),
        method: 'POST',
        path: '/',
        headers: { 'content-type': SAMPLE_TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream' },
        body: await readFile(path),
        surface: 'function',
        arrivedAtMs: startedMs,
      },
      signal,
    );
    const body = await bodyText(outcome.body);
    if (outcome.status >= 400) {
      throw new GpufaasError('DEPLOY_FAILED', `The smoke test answered ${outcome.status}: ${body.slice(0, 300)}`, {
        suggestions: ['Mend the handler or the sample; the version that served before still does.'],
      });
    }
    return { status: outcome.status, body, totalMs: Math.round(clock.now() - startedMs) };
  } catch (thrown) {
    const error = toGpufaasError(thrown);
    if (error.code === 'DEPLOY_FAILED' || error.kind === 'capacity' || error.code === 'CANCELLED') throw error;
    throw new GpufaasError('DEPLOY_FAILED', `The smoke test failed: ${error.message}`, {
      cause: error,
      suggestions: [...error.suggestions, 'The version that served before still does.'],
    });
  }
}

async function bodyText(body: Uint8Array | AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  if (body instanceof Uint8Array) parts.push(body);
  else
    for await (const part of body) {
      if (bytes < 2048) parts.push(part);
      bytes += part.byteLength;
    }
  return Buffer.concat(parts).toString('utf8').slice(0, 2048);
}
