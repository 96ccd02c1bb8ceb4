// The shapes of the protocols that are not ours, as far as /openapi.json describes them. Checking inference requests is
// done by open-inference/request.ts, whose errors say more.

import { z } from 'zod';

const parameters = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional();
const data = z.array(z.unknown()).optional();
const tensor = z.object({ name: z.string(), datatype: z.string(), shape: z.array(z.number()) });

const modelMetadata = z.object({
  name: z.string(),
  versions: z.array(z.string()),
  platform: z.string(),
  inputs: z.array(tensor),
  outputs: z.array(tensor),
});

/** Named as in the protocols' own documents where they have a name. */
export const protocolSchemas = {
  ServerMetadata: z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) }),
  ModelMetadata: modelMetadata,
  ModelReady: z.object({ name: z.string(), ready: z.boolean() }),
  ModelConfig: z.looseObject({ name: z.string(), max_batch_size: z.number() }),
  ModelStatistics: z.object({ model_stats: z.array(z.looseObject({ name: z.string(), version: z.string() })) }),
  InferRequest: z.object({
    id: z.string().optional(),
    parameters,
    inputs: z.array(tensor.extend({ parameters, data })),
    outputs: z.array(z.object({ name: z.string(), parameters })).optional(),
  }),
  InferResponse: z.object({
    model_name: z.string(),
    model_version: z.string(),
    id: z.string().optional(),
    outputs: z.array(tensor.extend({ parameters, data })),
  }),
  InferError: z.object({ error: z.string() }),
  RepositoryIndexRequest: z.object({ ready: z.boolean().optional() }),
  RepositoryModel: z.object({ name: z.string(), version: z.string(), state: z.string(), reason: z.string() }),
  RepositoryAction: z.object({ parameters }),
  OpenFaasFunction: z.looseObject({ name: z.string(), replicas: z.number(), invocationCount: z.number() }),
  OpenFaasDelete: z.object({ functionName: z.string() }),
  OpenFaasScale: z.object({ serviceName: z.string().optional(), replicas: z.number() }),
} as const;
