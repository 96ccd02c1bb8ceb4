// The OpenFaaS provider API as its command line uses it: functions, scaling (0 unloads, 1 warms), logs. Functions are
// deployed as packages here, so deploying an image says what to do instead.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { FunctionSummary, LogLineMessage } from '../api/schemas.ts';
import { GpufaasError } from '../errors.ts';
import type { GatewayContext } from './context.ts';
import { bareName, findFunction } from './names.ts';
import { sendLines } from './ndjson.ts';
import type { Platform, ServedFunction } from './platform.ts';
import { goneSignal, jsonBody, query } from './requests.ts';

/** The one namespace there is. */
const NAMESPACE = 'openfaas-fn';

const deleteSchema = z.object({ functionName: z.string().max(200) });
const scaleSchema = z.object({ serviceName: z.string().optional(), replicas: z.number().int().min(0) });
const logSchema = z.object({
  name: z.string().max(200),
  follow: z.string().optional(),
  tail: z.coerce.number().int().optional(),
  since: z.iso.datetime({ offset: true }).optional(),
});

const call = { config: { access: 'read' as const } };
const change = { config: { access: 'change' as const } };

/** Registers /system. */
export function registerOpenFaas(app: FastifyInstance, context: GatewayContext): void {
  const { platform } = context;
  app.get('/system/info', call, () => info(platform));
  app.get('/system/namespaces', call, () => [NAMESPACE]);
  app.get('/system/functions', call, async (request) => {
    const { namespace } = request.query as { namespace?: string };
    if (namespace !== undefined && namespace !== '' && namespace !== NAMESPACE) return [];
    const invocations = countsOf(await platform.functions());
    return platform.served().map((served) => status(platform, served, invocations));
  });
  app.get('/system/function/:name', call, async (request) => {
    const served = findFunction(platform, nameOf(request));
    return status(platform, served, countsOf(await platform.functions()));
  });
  app.delete('/system/functions', change, async (request, reply) => {
    const { functionName } = await jsonBody(context, request, deleteSchema);
    await platform.remove(bareName(functionName));
    return reply.code(202).send();
  });
  for (const method of ['post', 'put'] as const) {
    // Changes nothing, so it tells everybody.
    app[method]('/system/functions', call, () => {
      throw new GpufaasError('NOT_IMPLEMENTED', 'gpufaas runs no container images.', {
        suggestions: ['Put a function.yaml beside your model and run `gpufaas deploy`; `gpufaas init` makes a start.'],
      });
    });
  }
  app.post('/system/scale-function/:name', change, async (request, reply) => {
    const { name } = findFunction(platform, nameOf(request));
    const { replicas } = await jsonBody(context, request, scaleSchema);
    if (replicas === 0) await platform.unload(name, {}, goneSignal(reply));
    else await platform.load(name, {}, goneSignal(reply));
    return reply.code(202).send();
  });
  app.get('/system/logs', change, (request, reply) => {
    const { name, follow, tail, since } = query(request, logSchema);
    const following = follow === 'true' || follow === '1';
    const signal = goneSignal(reply);
    const lines = platform.logs(
      bareName(name),
      {
        follow: following,
        // The command line sends -1 for all of them.
        ...(tail === undefined || tail < 0 ? {} : { tail }),
        ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
      },
      signal,
    );
    return sendLines(reply, messages(lines), signal, following);
  });
}

const nameOf = (request: FastifyRequest): string => (request.params as { name: string }).name;

const countsOf = (summaries: readonly FunctionSummary[]): ReadonlyMap<string, number> =>
  new Map(summaries.map(({ name, invocations }) => [name, invocations]));

function info(platform: Platform): object {
  const version = { sha: '', release: platform.version };
  return {
    provider: { provider: 'gpufaas', orchestration: 'gpufaas', version },
    version: { ...version, commit_message: '' },
    arch: process.arch === 'x64' ? 'x86_64' : process.arch,
  };
}

/** One function as OpenFaaS lists it; a replica is a device that holds one of its models (or the handler, without any). */
function status(platform: Platform, served: ServedFunction, invocations: ReadonlyMap<string, number>): object {
  const holders = platform
    .ps()
    .devices.filter((device) => device.resident.some((model) => model.functions.includes(served.name)));
  const replicas = served.models.length === 0 ? 1 : holders.length;
  return {
    name: served.name,
    image: `gpufaas/${served.name}:${served.version}`,
    namespace: NAMESPACE,
    envProcess: '',
    labels: {},
    annotations: { description: served.description, version: String(served.version) },
    invocationCount: invocations.get(served.name) ?? 0,
    replicas,
    availableReplicas: platform.ready() ? replicas : 0,
    createdAt: new Date(served.createdAtMs).toISOString(),
  };
}

async function* messages(lines: AsyncIterable<LogLineMessage>): AsyncGenerator<object> {
  for await (const line of lines) {
    yield {
      name: line.function,
      namespace: NAMESPACE,
      instance: `${line.function}-${line.version}`,
      timestamp: line.at,
      text: line.text,
    };
  }
}
