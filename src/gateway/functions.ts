// /function/{name}: any method, any sub-path. A function with a handler gets the request as it came; one without takes
// and gives Open Inference bodies.

import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { asAbortSignal } from '../cancellation.ts';
import { GpufaasError } from '../errors.ts';
import type { HttpCall } from './call.ts';
import { byHand, unreachable } from './call.ts';
import type { GatewayContext } from './context.ts';
import type { Guard } from './guard.ts';
import { serveRepeatable } from './infer.ts';
import type { FoundModel } from './names.ts';
import { findFunction } from './names.ts';
import type { FunctionOutcome, ServedFunction } from './platform.ts';

// What belongs to one connection, and what gpufaas says itself: neither is the handler's.
const NOT_FOR_HANDLERS = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade']);
const NOT_FROM_HANDLERS = new Set([
  ...NOT_FOR_HANDLERS,
  'transfer-encoding',
  'content-length',
  'date',
  'x-call-id',
  'x-start-time',
  'x-duration-seconds',
  'server-timing',
]);

// A caller that takes nothing of a streamed answer for this long is cut off.
const STALLED_MS = 60_000;

/** Registers the calls of functions. */
export function registerFunctions(app: FastifyInstance, context: GatewayContext, guard: Guard): void {
  const onRequest = byHand(context, 'both', async (call) => {
    const { name = '', '*': subPath } = call.params;
    const served = findFunction(context.platform, name);
    if (served.hasHandler) return serveHandler(context, guard, call, served);
    const find = (): FoundModel | null => {
      const now = findFunction(context.platform, name);
      return now.hasHandler ? null : chooseModel(now, subPath);
    };
    await serveRepeatable(context, call, find, 'function', 'both');
  });
  const route = { method: app.supportedMethods, config: { access: 'call' }, onRequest, handler: unreachable } as const;
  app.route({ ...route, url: '/function/:name' });
  app.route({ ...route, url: '/function/:name/*' });
}

/** The model a call of a function without handler means: its only one, or the one named by the sub-path. */
export function chooseModel(served: ServedFunction, subPath: string | undefined): FoundModel {
  const wanted = subPath?.split('/', 1)[0] ?? '';
  const model = wanted === '' && served.models.length === 1 ? served.models[0] : byName(served, wanted);
  if (model !== undefined) return { served, model };
  const paths = served.models.map((each) => `/function/${served.name}/${each.name}`).join(', ');
  if (wanted === '') {
    throw new GpufaasError('BAD_REQUEST', `${served.name} has ${served.models.length} models; say which: ${paths}.`);
  }
  throw new GpufaasError('MODEL_NOT_FOUND', `${served.name} has no handler and no such model.`, {
    suggestions: [`Call ${paths}.`],
  });
}

const byName = (served: ServedFunction, name: string) => served.models.find((model) => model.name === name);

/** What follows /function/{name} in a URL, with the query; begins with a slash. */
export function subPathOf(url: string): string {
  const end = url.slice(1).search(/[/?]/) + 1;
  const rest = url.slice(end + 1);
  const cut = rest.search(/[/?]/);
  if (cut < 0) return '/';
  return rest[cut] === '/' ? rest.slice(cut) : `/${rest.slice(cut)}`;
}

/** The headers a handler may see: each once, none of the connection's, never our token. */
export function handlerHeaders(call: HttpCall, guard: Guard): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(call.exchange.headers)) {
    if (value === undefined || NOT_FOR_HANDLERS.has(name)) continue;
    if (name === 'authorization' && guard.carriesToken(String(value))) continue;
    headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  headers['x-call-id'] = call.id;
  return headers;
}

async function serveHandler(
  context: GatewayContext,
  guard: Guard,
  call: HttpCall,
  served: ServedFunction,
): Promise<void> {
  call.target = { served, surface: 'function' };
  const body = await call.readBody(served.maxBodyBytes);
  call.handedOver = true;
  const outcome = await context.platform.invoke(
    {
      function: served.name,
      callId: call.id,
      method: call.exchange.request.method ?? 'POST',
      path: subPathOf(call.exchange.request.url ?? '/'),
      headers: handlerHeaders(call, guard),
      body,
      surface: 'function',
      arrivedAtMs: call.arrivedAtMs,
    },
    call.signal,
  );
  await writeOutcome(call, outcome);
}

/** A handler's headers, checked: what HTTP can't carry is the handler's error, not ours. Throws HANDLER_ERROR. */
export function checkOutcome(outcome: FunctionOutcome): Record<string, string> {
  const { status } = outcome;
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new GpufaasError('HANDLER_ERROR', `The handler answered with the status ${String(status).slice(0, 20)}.`);
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(outcome.headers)) {
    const lower = name.toLowerCase();
    if (NOT_FROM_HANDLERS.has(lower) || lower.startsWith('x-gpufaas-')) continue;
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      throw new GpufaasError('HANDLER_ERROR', "The handler answered with a header that HTTP can't carry.");
    }
    headers[lower] = value;
  }
  return headers;
}

async function writeOutcome(call: HttpCall, outcome: FunctionOutcome): Promise<void> {
  const { exchange, signal } = call;
  const { response } = exchange;
  const { body } = outcome;
  try {
    const headers = { ...checkOutcome(outcome), ...call.answerHeaders(outcome.call) };
    if (body instanceof Uint8Array) return exchange.answer(outcome.status, headers, [body]);
    response.writeHead(outcome.status, headers);
    response.flushHeaders();
  } catch (error) {
    if (!(body instanceof Uint8Array)) await body[Symbol.asyncIterator]().return?.();
    throw error;
  }
  await pump(body, response, asAbortSignal(signal));
}

/** Writes a stream at the caller's pace; ends it early when the caller goes. */
async function pump(body: AsyncIterable<Uint8Array>, response: ServerResponse, signal: AbortSignal): Promise<void> {
  for await (const chunk of body) {
    if (signal.aborted) return;
    if (!response.write(chunk)) {
      try {
        await once(response, 'drain', { signal: AbortSignal.any([signal, AbortSignal.timeout(STALLED_MS)]) });
      } catch {
        // Gone, or reading nothing for so long that it is as good as gone.
        return void response.destroy();
      }
    }
  }
  response.end();
}
