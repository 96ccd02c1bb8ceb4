// Calls a version with its own sample before it serves: the last check of a deployment.

import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import type { DeployResult } from '../api/schemas.ts';
import type { Clock } from '../clock.ts';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import { fileInside } from '../functions/paths.ts';
import { encodeAnswer } from '../gateway/open-inference/answer.ts';
import { decodeRequest } from '../gateway/open-inference/request.ts';
import type { DeployStep, InferenceCall } from '../gateway/platform.ts';
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
  if (manifest.sample === null) return null;
  const path = fileInside(folder, manifest.sample);
  if (path === null) {
    throw new GpufaasError('BAD_PACKAGE', `The sample ${manifest.sample} is not in the package.`, {
      suggestions: ['Add the file, or take `sample` out of function.yaml.'],
    });
  }
  if (manifest.handler === null && candidate.models.size > 1) {
    const message = `The sample is not tried: with several models and no handler it would be for /function/${manifest.name}/MODEL.`;
    report({ type: 'step', step: 'warning', message });
    return null;
  }
  report({ type: 'step', step: 'smoke-test', message: `Calling it with ${manifest.sample}` });
  const startedMs = clock.now();
  try {
    const call = { function: manifest.name, callId: newCallId(), surface: 'smoke', arrivedAtMs: startedMs } as const;
    const sample = await readFile(path);
    const outcome =
      manifest.handler === null
        ? await inferSample(candidate, calls, call, sample, signal)
        : await calls.invokeServing(
            candidate,
            {
              ...call,
              method: 'POST',
              path: '/',
              headers: { 'content-type': SAMPLE_TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream' },
              body: sample,
            },
            signal,
          );
    const body = await bodyText(outcome.body);
    if (outcome.status >= 400) {
      throw new GpufaasError('DEPLOY_FAILED', `The smoke test answered ${outcome.status}: ${body.slice(0, 300)}`, {
        suggestions: ['Mend the handler or the sample.'],
      });
    }
    return { status: outcome.status, body, totalMs: Math.round(clock.now() - startedMs) };
  } catch (thrown) {
    const error = toGpufaasError(thrown);
    if (error.code === 'DEPLOY_FAILED' || error.kind === 'capacity' || error.code === 'CANCELLED') throw error;
    throw new GpufaasError('DEPLOY_FAILED', `The smoke test failed: ${error.message}`, {
      cause: error,
      suggestions: error.suggestions,
    });
  }
}

/** The sample of a function without handler: an Open Inference request to its only model. */
async function inferSample(
  candidate: Serving,
  calls: Calls,
  call: Pick<InferenceCall, 'function' | 'callId' | 'surface' | 'arrivedAtMs'>,
  sample: Uint8Array,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: Uint8Array }> {
  const [served] = candidate.models.values();
  if (served === undefined) throw new GpufaasError('INTERNAL', 'A function without handler has no model.');
  const request = decodeRequest(sample, null, served.model);
  const { outputs } = await calls.inferServing(
    candidate,
    { ...call, model: served.name, inputs: request.inputs },
    signal,
  );
  const { name, version } = candidate.version;
  const { parts } = encodeAnswer(
    { modelName: name, modelVersion: String(version), id: request.id },
    outputs,
    request.outputs,
  );
  return { status: 200, body: Buffer.concat(parts) };
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
