// /v2/repository: which models there are, and loading and unloading them by hand. A load makes a deployed model resident;
// it can bring in no new file and no new setting.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { GatewayContext } from './context.ts';
import { refuseOverrides } from './inference.ts';
import { allModels, findModel } from './names.ts';
import { goneSignal, jsonBody } from './requests.ts';

const indexSchema = z.object({ ready: z.boolean().optional() });
const actionSchema = z.object({ parameters: z.record(z.string(), z.unknown()).optional() });

/** Registers the repository extension. */
export function registerRepository(app: FastifyInstance, context: GatewayContext): void {
  const { platform } = context;
  const open = { config: { access: 'call' as const } };

  const index = async (request: FastifyRequest): Promise<object[]> => {
    const { ready = false } = await jsonBody(context, request, indexSchema);
    return allModels(platform)
      .filter(({ model }) => !ready || !model.quarantined)
      .map(({ name, served, model }) => ({
        name,
        version: String(served.version),
        state: model.quarantined ? 'UNAVAILABLE' : 'READY',
        reason: model.quarantined ? 'quarantined: its worker died twice in its load or run' : '',
      }));
  };

  const act = (verb: 'load' | 'unload') => async (request: FastifyRequest, reply: FastifyReply) => {
    const { model: name } = request.params as { model: string };
    const { parameters = {} } = await jsonBody(context, request, actionSchema);
    refuseOverrides(parameters);
    const { served, model } = findModel(platform, name);
    await platform[verb](served.name, { model: model.name }, goneSignal(reply));
    return {};
  };

  for (const base of ['/v2/repository', '/v2/repository/:repository']) {
    app.post(`${base}/index`, open, index);
    app.post(`${base}/models/:model/load`, open, act('load'));
    app.post(`${base}/models/:model/unload`, open, act('unload'));
  }
}
