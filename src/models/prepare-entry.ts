// A throwaway process that optimises one model and writes the result: the graph in one file, the weights in another that
// can be mapped. Its first argument is the job as JSON; it prints one line of JSON and ends.

import { join } from 'node:path';
import { toGpufaasError } from '../errors.ts';
import { InferenceSession } from '../workers/backends/ort.ts';
import { translateOrtError } from '../workers/backends/ort-errors.ts';
import { deviceOptions } from '../workers/backends/ort-session.ts';
import { mergeSessionOptions } from '../workers/backends/session-options.ts';
import { toErrorMessage } from '../workers/protocol.ts';
import { MODEL_FILE, WEIGHTS_FILE } from './artefact.ts';
import type { PrepareJob, PrepareOutcome } from './prepare.ts';

async function prepare({ source, staging, device, portable, sessionOptions }: PrepareJob): Promise<PrepareOutcome> {
  const writing = {
    ...(portable === true && { graphOptimizationLevel: 'basic' as const }),
    optimizedModelFilePath: join(staging, MODEL_FILE),
    extra: {
      session: {
        optimized_model_external_initializers_file_name: WEIGHTS_FILE,
        // Below this a weight stays in the graph: a mapping of its own would cost more than a copy.
        optimized_model_external_initializers_min_size_in_bytes: '1024',
      },
    },
  };
  const options = mergeSessionOptions(deviceOptions(device, { executionProviders: ['cpu'] }), writing, sessionOptions);
  const startMs = performance.now();
  try {
    const session = await InferenceSession.create(source, options);
    await session.release();
  } catch (error) {
    throw translateOrtError(error, 'load', source);
  }
  return { done: true, prepareMs: performance.now() - startMs };
}

let outcome: PrepareOutcome;
try {
  outcome = await prepare(JSON.parse(process.argv[2]!) as PrepareJob);
} catch (error) {
  outcome = { done: false, error: toErrorMessage(toGpufaasError(error)) };
}
process.stdout.write(`${JSON.stringify(outcome)}\n`);
