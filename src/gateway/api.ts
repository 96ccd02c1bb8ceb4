// /api/v1, what the commands use: functions and versions, devices, the device cache, invocations, the model store. Thin:
// checks what came, asks the daemon, answers what it said.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { routes } from '../api/routes.ts';
import { asyncCallSchema } from '../api/schemas.ts';
import type { GatewayContext } from './context.ts';
import { bareName } from './names.ts';
import { sendLines } from './ndjson.ts';
import { goneSignal, jsonBody, query } from './requests.ts';

const MAX_LISTED = 10_000;
const flag = z.enum(['', '1', '0', 'true', 'false']).transform((text) => text !== '0' && text !== 'false');
const count = z.coerce.number().int().min(0).max(MAX_LISTED);
const moment = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

/** What the own API takes, by route; also described in /openapi.json. */
export const bodies = {
  shutdown: z.object({ drainMs: z.number().min(0).max(86_400_000).default(30_000) }),
  rollback: z.object({ version: z.number().int().min(1).optional() }),
  residency: z.object({ device: z.string().max(64).optional(), model: z.string().max(64).optional() }),
  pin: z.object({ pinned: z.boolean() }),
} as const;

const logQuery = z.object({ follow: flag.default(false), tail: count.optional(), since: moment.optional() });
const invocationQuery = z.object({
  function: z.string().max(64).optional(),
  limit: count.default(100),
  since: moment.optional(),
});

const callQuery = z.object({
  function: z.string().max(64).optional(),
  state: asyncCallSchema.shape.state.optional(),
  limit: count.default(100),
});

const read = { config: { access: 'read' as const } };
// Reading what callers sent and what handlers printed needs the token like a change does.
const guarded = { config: { access: 'change' as const } };
const change = guarded;

const parameter = (request: FastifyRequest, name: string): string =>
  (request.params as Record<string, string>)[name] ?? '';
const functionName = (request: FastifyRequest): string => bareName(parameter(request, 'name'));

/** Leaves out what is undefined, for options that are absent rather than undefined. */
function present<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

/** Registers the own API but for uploads (deploy.ts) and events (events.ts). */
export function registerApi(app: FastifyInstance, context: GatewayContext): void {
  const { platform } = context;
  app.get(routes.status, read, () => platform.status());
  app.get(routes.ps, read, () => platform.ps());
  app.get(routes.devices, read, () => platform.devices());
  app.post(routes.shutdown, change, async (request, reply) => {
    const { drainMs } = await jsonBody(context, request, bodies.shutdown);
    platform.shutdown(drainMs);
    return reply.code(202).send({ status: 'draining', drainMs });
  });
  for (const action of ['plug', 'unplug'] as const) {
    app.post(`${routes.devices}/:id/${action}`, change, (request) =>
      platform[action](parameter(request, 'id').slice(0, 64)),
    );
  }
  registerFunctionRoutes(app, context);
  registerRecords(app, context);
}

function registerFunctionRoutes(app: FastifyInstance, context: GatewayContext): void {
  const { platform } = context;
  const one = `${routes.functions}/:name`;
  app.get(routes.functions, read, () => platform.functions());
  app.get(one, read, (request) => platform.describe(functionName(request)));
  app.delete(one, change, async (request) => {
    const name = functionName(request);
    await platform.remove(name);
    return { name, removed: true };
  });
  app.post(`${one}/rollback`, change, async (request) => {
    const name = functionName(request);
    const { version } = await jsonBody(context, request, bodies.rollback);
    return platform.rollback(name, version);
  });
  for (const action of ['load', 'unload'] as const) {
    app.post(`${one}/${action}`, change, async (request, reply) => {
      const name = functionName(request);
      const target = await jsonBody(context, request, bodies.residency);
      return platform[action](name, present(target), goneSignal(reply));
    });
  }
  app.post(`${one}/pin`, change, async (request, reply) => {
    const name = functionName(request);
    const { pinned } = await jsonBody(context, request, bodies.pin);
    return platform.pin(name, pinned, goneSignal(reply));
  });
  app.get(`${one}/logs`, guarded, (request, reply) => {
    const { follow, tail, since } = query(request, logQuery);
    const signal = goneSignal(reply);
    const lines = platform.logs(functionName(request), { follow, ...present({ tail, sinceMs: since }) }, signal);
    return sendLines(reply, lines, signal, follow);
  });
}

function registerRecords(app: FastifyInstance, context: GatewayContext): void {
  const { platform } = context;
  app.get(routes.invocations, guarded, (request) => {
    const { function: name, limit, since } = query(request, invocationQuery);
    return platform.invocations({ limit, ...present({ function: name, sinceMs: since }) });
  });
  app.get(`${routes.invocations}/:id`, guarded, (request) =>
    platform.invocation(parameter(request, 'id').slice(0, 100)),
  );
  const call = (request: FastifyRequest): string => parameter(request, 'id').slice(0, 100);
  app.get(routes.calls, guarded, async (request) => platform.asyncCalls.list(present(query(request, callQuery))));
  app.get(`${routes.calls}/:id`, guarded, async (request) => platform.asyncCalls.find(call(request)));
  app.post(`${routes.calls}/:id/retry`, change, async (request) => platform.asyncCalls.retry(call(request)));
  app.get(routes.models, read, () => platform.models());
  app.delete(`${routes.models}/:sha256`, change, async (request) => {
    const sha256 = parameter(request, 'sha256').slice(0, 100);
    await platform.removeModel(sha256);
    return { sha256, removed: true };
  });
}
