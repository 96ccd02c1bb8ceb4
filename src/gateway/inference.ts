// /v2, the Open Inference Protocol: server and model metadata, health, inference, statistics, and what load testers read
// of a model's configuration. The repository is in repository.ts.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { GpufaasError } from '../errors.ts';
import type { TensorSpec } from '../tensors.ts';
import { byHand, unreachable } from './call.ts';
import type { GatewayContext } from './context.ts';
import { serveRepeatable } from './infer.ts';
import type { FoundModel } from './names.ts';
import { allModels, checkVersion, findModel, modelName } from './names.ts';

/** The extensions that are whole; others are not named. */
const EXTENSIONS = ['binary_tensor_data', 'statistics', 'model_repository', 'model_configuration'];

// ONNX models take any batch where their first axis is free; load testers only want to know that there is one.
const NOMINAL_MAX_BATCH = 128;

const DATA_TYPES: Readonly<Record<string, string>> = { BYTES: 'TYPE_STRING' };

/** Registers /v2 but for the repository. */
export function registerInference(app: FastifyInstance, context: GatewayContext): void {
  const { platform } = context;
  const open = { config: { access: 'call' as const } };

  app.get('/v2', open, () => ({ name: 'gpufaas', version: platform.version, extensions: EXTENSIONS }));
  app.get('/v2/health/live', open, (_request, reply) => {
    const live = platform.live();
    return reply.code(live ? 200 : 503).send({ live });
  });
  app.get('/v2/health/ready', open, (_request, reply) => {
    const ready = platform.ready();
    return reply.code(ready ? 200 : 503).send({ ready });
  });
  // Not in the protocol, but asked for by KServe's clients.
  app.get('/v2/models', open, () => ({ models: allModels(platform).map(({ name }) => name) }));
  app.get('/v2/models/stats', open, () => ({
    model_stats: allModels(platform).map((found) => context.statistics.of(found)),
  }));

  const found = (request: FastifyRequest): FoundModel => {
    const { model, version } = request.params as { model: string; version?: string };
    const result = findModel(platform, model);
    checkVersion(result, version);
    return result;
  };
  const infer = byHand(context, 'protocol', async (call) => {
    const { model = '', version } = call.params;
    const find = (): FoundModel => {
      const result = findModel(platform, model);
      checkVersion(result, version);
      return result;
    };
    await serveRepeatable(context, call, find, 'infer', 'protocol');
  });
  for (const base of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    app.get(base, open, (request) => metadata(found(request)));
    app.get(`${base}/ready`, open, (request, reply) => {
      const { served, model } = found(request);
      const ready = !model.quarantined && platform.ready();
      return reply.code(ready ? 200 : 503).send({ name: modelName(served, model), ready });
    });
    app.get(`${base}/stats`, open, (request) => ({ model_stats: [context.statistics.of(found(request))] }));
    app.get(`${base}/config`, open, (request) => configuration(found(request)));
    app.route({ method: 'POST', url: `${base}/infer`, ...open, onRequest: infer, handler: unreachable });
  }
}

const tensor = ({ name, datatype, shape }: TensorSpec): object => ({ name, datatype, shape });

function metadata({ served, model }: FoundModel): object {
  return {
    name: modelName(served, model),
    versions: [String(served.version)],
    platform: 'onnxruntime_onnx',
    inputs: model.inputs.map(tensor),
    outputs: model.outputs.map(tensor),
  };
}

/** The part of Triton's model configuration that load testers read: batching, tensors, no sequences, not decoupled. */
function configuration({ served, model }: FoundModel): object {
  const all = [...model.inputs, ...model.outputs];
  const batched = all.length > 0 && all.every((spec) => spec.shape[0] === -1);
  const entry = ({ name, datatype, shape }: TensorSpec): object => ({
    name,
    data_type: DATA_TYPES[datatype] ?? `TYPE_${datatype}`,
    // A batched model's first axis goes without saying in a configuration.
    dims: batched ? shape.slice(1) : shape,
  });
  return {
    name: modelName(served, model),
    platform: 'onnxruntime_onnx',
    backend: 'onnxruntime',
    version_policy: { specific: { versions: [served.version] } },
    max_batch_size: batched ? NOMINAL_MAX_BATCH : 0,
    input: model.inputs.map(entry),
    output: model.outputs.map(entry),
    model_transaction_policy: { decoupled: false },
  };
}

/** Refuses what would let a caller choose files or settings of the daemon. Throws BAD_REQUEST. */
export function refuseOverrides(parameters: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(parameters)) {
    if (name === 'config' || name.startsWith('file:')) {
      throw new GpufaasError(
        'BAD_REQUEST',
        `The parameter "${name.slice(0, 20)}" is refused: models come by deploying.`,
        {
          suggestions: ['Deploy the model with `gpufaas deploy`.'],
        },
      );
    }
  }
}
