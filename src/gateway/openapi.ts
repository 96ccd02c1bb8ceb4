// GET /openapi.json: every surface in OpenAPI 3.1. Shapes of the own API come from the schemas that check it; those of the
// protocols are described in protocol-schemas.ts. Made once, when the gateway is.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { platformEventSchema } from '../api/events.ts';
import * as schemas from '../api/schemas.ts';
import { bodies } from './api.ts';
import { pullBody } from './deploy.ts';
import type { GatewayContext } from './context.ts';
import { operations } from './openapi-operations.ts';
import type { Operation } from './openapi-operations.ts';
import { protocolSchemas } from './protocol-schemas.ts';

const COMPONENTS = {
  Status: schemas.statusSchema,
  FunctionSummary: schemas.functionSummarySchema,
  FunctionDetail: schemas.functionDetailSchema,
  DeployProgress: schemas.progressSchema,
  PullProgress: schemas.pullProgressSchema,
  Ps: schemas.psSchema,
  Device: schemas.deviceSchema,
  Invocation: schemas.invocationSchema,
  StoredModel: schemas.storedModelSchema,
  LogLine: schemas.logLineSchema,
  Problem: schemas.problemSchema,
  AsyncCall: schemas.asyncCallSchema,
  Event: platformEventSchema,
  ShutdownRequest: bodies.shutdown,
  RollbackRequest: bodies.rollback,
  ResidencyRequest: bodies.residency,
  PinRequest: bodies.pin,
  PullRequest: pullBody,
  ...protocolSchemas,
} as const;

/** Registers the description. */
export function registerOpenApi(app: FastifyInstance, context: GatewayContext): void {
  const text = JSON.stringify(describe(context.platform.version));
  app.get('/openapi.json', { config: { access: 'read' } }, (_request, reply) =>
    reply.header('content-type', 'application/json').send(text),
  );
}

function describe(version: string): object {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(COMPONENTS)) registry.add(schema, { id });
  const generated = z.toJSONSchema(registry, { io: 'input', uri: (id) => `#/components/schemas/${id}` });
  const components = Object.fromEntries(
    Object.entries(generated.schemas).map(([id, { $schema: _dialect, $id: _id, ...schema }]) => [id, schema]),
  );
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operations) {
    const path = operation.path.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][operation.method] = describeOperation(operation);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'gpufaas',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Functions, the Open Inference Protocol v2, the OpenFaaS provider API, and the own API. On loopback only what is marked needs the token; on any other address everything does.',
    },
    paths,
    components: { schemas: components, securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  };
}

const content = (type: string, schema: object): object => ({ [type]: { schema } });

function reference(name: string): object {
  const list = name.endsWith('[]');
  const ref = { $ref: `#/components/schemas/${list ? name.slice(0, -2) : name}` };
  return list ? { type: 'array', items: ref } : ref;
}

function describeOperation(operation: Operation): object {
  const { summary, tag, body, bodyType = 'application/json', answer, answerType = 'application/json' } = operation;
  const parameters = [...operation.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const query = (operation.query ?? []).map((name) => ({ name, in: 'query', schema: { type: 'string' } }));
  const success = {
    description: operation.description ?? 'Done.',
    ...(answer === undefined ? {} : { content: content(answerType, reference(answer)) }),
  };
  const protocol = tag === 'Open Inference Protocol';
  const failure = {
    description: 'Refused or failed; the code says why.',
    content: protocol
      ? content('application/json', reference('InferError'))
      : content('application/problem+json', reference('Problem')),
  };
  return {
    summary,
    tags: [tag],
    ...(parameters.length + query.length === 0 ? {} : { parameters: [...parameters, ...query] }),
    ...(body === undefined ? {} : { requestBody: { content: content(bodyType, bodySchema(body)) } }),
    responses: { [operation.status ?? 200]: success, default: failure },
    ...(operation.token === true ? { security: [{ token: [] }] } : {}),
  };
}

const bodySchema = (body: string): object => (body === 'bytes' ? {} : reference(body));
