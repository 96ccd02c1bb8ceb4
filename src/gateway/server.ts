// The gateway: one fastify instance with every surface on it. Decides here, once for all, who may come in, how errors
// look on which surface, and what slow or broken connections may cost.

import { METHODS } from 'node:http';
import type { Socket } from 'node:net';
import { totalmem } from 'node:os';
import { fastify } from 'fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { GpufaasError } from '../errors.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { errorAnswer } from './answers.ts';
import type { ErrorStyle } from './answers.ts';
import { registerApi } from './api.ts';
import { registerAsyncFunctions } from './async-functions.ts';
import { BodyBudget, holdOpen, linger } from './body.ts';
import type { GatewayContext, GatewaySettings } from './context.ts';
import { registerDeploy } from './deploy.ts';
import { registerEvents } from './events.ts';
import { registerFunctions } from './functions.ts';
import { createGuard } from './guard.ts';
import { registerHealth } from './health.ts';
import { registerInference } from './inference.ts';
import { InferenceStatistics } from './inference-statistics.ts';
import { JsonPool } from './json-pool.ts';
import { RepeatedAnswers } from './open-inference/repeated-answer.ts';
import { RepeatedHeaders } from './open-inference/repeated-header.ts';
import { MethodTable } from './method-table.ts';
import { registerOpenApi } from './openapi.ts';
import { registerOpenFaas } from './openfaas.ts';
import type { Platform } from './platform.ts';
import { RepeatedRequests } from './repeated-requests.ts';
import { registerRepository } from './repository.ts';

/** What a gateway is made with. */
export type GatewayOptions = Pick<GatewaySettings, 'token' | 'host' | 'log'> & Partial<GatewaySettings>;

const DEFAULTS = {
  now: () => performance.now(),
  allowedHosts: [],
  bodyGraceMs: 10_000,
  bodyMinBytesPerSecond: 16 * 1024,
  maxUploadBytes: 64 * 1024 ** 3,
  jsonThreadBytes: 64 * 1024,
  jsonThreads: 2,
  maxEventStreams: 64,
} as const;

const HEADERS_TIMEOUT_MS = 20_000;
const KEEP_ALIVE_MS = 75_000;
// Longer names are not ours; find-my-way would otherwise stop at 100 and hide the reason.
const MAX_PARAMETER = 16 * 1024;

/** Makes the gateway; the caller listens with it, and closing it ends everything it started. */
export async function createGateway(platform: Platform, options: GatewayOptions): Promise<FastifyInstance> {
  const settings: GatewaySettings = { ...DEFAULTS, maxBufferedBytes: bufferedBytes(), ...options };
  const guard = createGuard(settings);
  const context: GatewayContext = {
    platform,
    settings,
    json: new JsonPool({ threads: settings.jsonThreads }),
    headers: new RepeatedHeaders(),
    answers: new RepeatedAnswers(),
    requests: new RepeatedRequests(),
    budget: new BodyBudget(settings.maxBufferedBytes),
    statistics: new InferenceStatistics(),
  };
  const metrics = createMetrics(platform);
  const unsubscribe = platform.subscribe((event) => context.statistics.observe(event));
  const app = fastify({
    logger: false,
    // Bodies are watched by their rate (body.ts); this is for the headers, and no whole request may take for ever.
    requestTimeout: 0,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 5_000 },
    keepAliveTimeout: KEEP_ALIVE_MS,
    routerOptions: { maxParamLength: MAX_PARAMETER, ignoreTrailingSlash: true, caseSensitive: true },
    forceCloseConnections: true,
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, request, reply) => answerError(context, error, request, reply),
    exposeHeadRoutes: true,
  });
  // A function may be called with any method there is.
  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: true });
  }
  const methods = new MethodTable();
  app.addHook('onRoute', (route) => methods.add(route.method, route.url));
  app.addHook('onRequest', (request, _reply, done) => {
    guard.check(request.headers, request.routeOptions.config.access ?? (request.is404 ? 'read' : 'change'));
    done();
  });
  // Also for routes that read no body, and for bodies that were refused half-way.
  app.addHook('onResponse', (request, _reply, done) => {
    linger(request.raw);
    done();
  });
  app.setErrorHandler((error, request, reply) => answerError(context, error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const allowed = methods.allowed(request.url.split('?', 1)[0]!);
    if (allowed.length === 0) throw routeNotFound();
    reply.header('allow', allowed.join(', '));
    throw new GpufaasError('METHOD_NOT_ALLOWED', `${request.method} is not possible here; ${allowed.join(', ')} is.`);
  });
  // No body is ever parsed by fastify: routes read what they need, with their own limits.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined));

  registerFunctions(app, context, guard);
  registerAsyncFunctions(app, context, guard);
  registerInference(app, context);
  registerRepository(app, context);
  registerOpenFaas(app, context);
  registerApi(app, context);
  registerDeploy(app, context);
  registerEvents(app, context);
  registerHealth(app, context, metrics);
  registerOpenApi(app, context);
  app.addHook('onClose', async () => {
    unsubscribe();
    metrics.close();
    await context.json.close();
  });
  context.requests.watch(app.server);
  await app.ready();
  return app;
}

/** A quarter of the memory there is, a gigabyte at most. */
function bufferedBytes(): number {
  const constrained = process.constrainedMemory();
  return Math.min(1024 ** 3, Math.min(totalmem(), constrained > 0 ? constrained : Infinity) / 4);
}

const routeNotFound = (): GpufaasError =>
  new GpufaasError('ROUTE_NOT_FOUND', 'There is nothing at this address.', {
    suggestions: ['/openapi.json describes what there is.'],
  });

function styleOf(url: string): ErrorStyle {
  if (url.startsWith('/v2')) return 'protocol';
  return url.startsWith('/function') || url.startsWith('/async-function') ? 'both' : 'problem';
}

function answerError(context: GatewayContext, thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const answer = errorAnswer(translate(thrown), styleOf(request.url));
  if (answer.error.code === 'INTERNAL') {
    context.settings.log.error(
      { err: answer.error.cause ?? answer.error, url: request.url.slice(0, 200) },
      'a request failed',
    );
  }
  holdOpen(reply.raw);
  void reply
    .code(answer.error.status)
    .headers(answer.headers)
    .serializer((body: string) => body)
    .send(JSON.stringify(answer.body));
}

/** Fastify's own errors in our words. */
function translate(thrown: unknown): unknown {
  if (thrown instanceof GpufaasError || !(thrown instanceof Error) || !('statusCode' in thrown)) return thrown;
  switch (thrown.statusCode) {
    case 400:
      return new GpufaasError('BAD_REQUEST', 'The address or the headers of the request are not valid.');
    case 404:
      return routeNotFound();
    case 413:
      return new GpufaasError('BODY_TOO_LARGE', 'The body is too large.');
    case 414:
      return routeNotFound();
    case 415:
      return new GpufaasError('UNSUPPORTED_MEDIA', 'The Content-Type is not valid.');
    default:
      return thrown;
  }
}

const RAW_ANSWERS: Readonly<Record<string, readonly [number, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
};

/** What came is not HTTP, or not in time: answered in one line and cut. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return void socket.destroy();
  const [status, reason] = RAW_ANSWERS[error.code ?? ''] ?? [400, 'Bad Request'];
  const body = JSON.stringify({ error: reason });
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}
