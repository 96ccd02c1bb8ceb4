// /async-function/{name}: takes a call and answers at once; its answer is asked for by the call's id, or sent to a URL of the
// caller's choice. Keeping and ordering calls is the daemon's business; here is how one is read, run and answered.

import type { FastifyInstance } from 'fastify';
import { headers as names } from '../api/routes.ts';
import { GpufaasError } from '../errors.ts';
import { callHeaders, errorAnswer, startHeaders } from './answers.ts';
import type { AsyncAnswer, DueCall } from './async-platform.ts';
import type { HttpCall } from './call.ts';
import { byHand, unreachable } from './call.ts';
import { requestCoding, unpackBody } from './compression.ts';
import type { GatewayContext } from './context.ts';
import { checkOutcome, chooseModel, handlerHeaders, subPathOf } from './functions.ts';
import type { Guard } from './guard.ts';
import { infer, inferenceHeaders } from './infer.ts';
import { findFunction } from './names.ts';
import type { ServedFunction } from './platform.ts';

const MAX_RESULT_BYTES = 64 * 1024 * 1024;

/** Registers asynchronous calls, and lets the daemon begin those that wait. */
export function registerAsyncFunctions(app: FastifyInstance, context: GatewayContext, guard: Guard): void {
  const { asyncCalls } = context.platform;
  asyncCalls.serve({ run: (call, signal, onBegin) => run(context, call, signal, onBegin), failure });

  const submit = byHand(context, 'both', async (call) =>
    accept(context, guard, call, findFunction(context.platform, call.params['name'] ?? '')),
  );
  const access = { config: { access: 'call' as const } };
  for (const url of ['/async-function/:name', '/async-function/:name/*']) {
    app.route({ method: 'POST', url, ...access, onRequest: submit, handler: unreachable });
  }
  // The id of a call is a secret between us and its caller: whoever has it may poll and cancel.
  app.get('/async-function/:name', access, async (request, reply) => {
    const id = (request.params as { name: string }).name;
    const answer = await asyncCalls.answer(id);
    reply.header(names.callId, id);
    if (answer === null) return reply.code(202).send({ id, status: asyncCalls.find(id).state });
    const { headers, submittedAtMs, durationMs, summary, status, body } = answer;
    reply.headers({ ...headers, ...startHeaders(id, submittedAtMs) });
    reply.header(names.durationSeconds, (durationMs / 1000).toFixed(6));
    if (summary !== null) reply.headers(callHeaders(summary, durationMs));
    return reply.code(status).send(body);
  });
  app.delete('/async-function/:name', access, async (request, reply) => {
    const id = (request.params as { name: string }).name;
    await asyncCalls.cancel(id);
    return reply.header(names.callId, id).send({ id, cancelled: true });
  });
}

async function accept(context: GatewayContext, guard: Guard, call: HttpCall, served: ServedFunction): Promise<void> {
  call.target = { served, surface: 'async' };
  const { url = '/', method = 'POST' } = call.exchange.request;
  const path = subPathOf(url);
  // What can be refused now is not kept to be refused later.
  if (!served.hasHandler) {
    chooseModel(served, call.params['*']);
    requestCoding(call.header('content-encoding'));
  }
  const body = await call.readBody(served.maxBodyBytes);
  const callbackUrl = call.header('x-callback-url') || null;
  const headers = handlerHeaders(call, guard);
  await context.platform.asyncCalls.submit({
    id: call.id,
    function: served.name,
    method,
    path,
    headers,
    body,
    callbackUrl,
  });
  const answer = Buffer.from(JSON.stringify({ id: call.id, status: 'queued' }));
  const location = `/async-function/${call.id}`;
  call.exchange.answer(202, { ...call.headers, 'content-type': 'application/json', location }, [answer]);
}

/** Runs a call as its function is now: it may be another version than when the call came. */
async function run(
  context: GatewayContext,
  call: DueCall,
  signal: AbortSignal,
  onBegin: (once: boolean) => void,
): Promise<AsyncAnswer> {
  const served = findFunction(context.platform, call.function);
  if (served.hasHandler) return runHandler(context, call, signal, () => onBegin(true));
  onBegin(false);
  return runModel(context, served, call, signal);
}

async function runHandler(
  context: GatewayContext,
  call: DueCall,
  signal: AbortSignal,
  onStart: () => void,
): Promise<AsyncAnswer> {
  const { id: callId, function: name, method, path, headers, body } = call;
  const outcome = await context.platform.invoke(
    { function: name, callId, method, path, headers, body, surface: 'async', arrivedAtMs: context.settings.now() },
    signal,
    onStart,
  );
  const bytes = outcome.body instanceof Uint8Array ? outcome.body : await collect(outcome.body);
  return {
    status: outcome.status,
    headers: checkOutcome(outcome),
    body: bytes,
    summary: outcome.call,
    errorCode: null,
  };
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.byteLength;
    if (bytes > MAX_RESULT_BYTES) throw new GpufaasError('HANDLER_ERROR', 'The answer is too large to be kept.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

async function runModel(
  context: GatewayContext,
  served: ServedFunction,
  call: DueCall,
  signal: AbortSignal,
): Promise<AsyncAnswer> {
  const found = chooseModel(served, call.path.slice(1).split('?', 1)[0]);
  const coding = requestCoding(call.headers['content-encoding']);
  const header = call.headers['inference-header-content-length'];
  const bytes = coding === null ? call.body : await unpackBody(call.body, coding, served.maxBodyBytes);
  const target = { id: call.id, arrivedAtMs: context.settings.now(), surface: 'async', signal } as const;
  const { encoded, summary } = await infer(context, found, target, { bytes, header }, () => undefined);
  return {
    status: 200,
    headers: inferenceHeaders(encoded),
    body: Buffer.concat(encoded.parts),
    summary,
    errorCode: null,
  };
}

function failure(thrown: GpufaasError): AsyncAnswer {
  const { error, headers, body } = errorAnswer(thrown, 'both');
  return {
    status: error.status,
    headers: { 'content-type': String(headers['content-type']) },
    body: Buffer.from(JSON.stringify(body)),
    summary: null,
    errorCode: error.code,
  };
}
