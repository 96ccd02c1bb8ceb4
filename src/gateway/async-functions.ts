// /async-function/{name}: takes a call and answers at once; its result is polled by the call's id, or sent to a URL of the
// caller's choice.

import type { FastifyInstance } from 'fastify';
import { headers as names } from '../api/routes.ts';
import { GpufaasError } from '../errors.ts';
import { callHeaders, errorAnswer, writeParts } from './answers.ts';
import type { AsyncResult, DeliverCallback } from './async-calls.ts';
import { AsyncCalls } from './async-calls.ts';
import type { Call } from './call.ts';
import { byHand, unreachable } from './call.ts';
import { requestCoding, unpackBody } from './compression.ts';
import type { GatewayContext } from './context.ts';
import { checkOutcome, chooseModel, handlerHeaders, subPathOf } from './functions.ts';
import type { Guard } from './guard.ts';
import { infer, inferenceHeaders } from './infer.ts';
import { findFunction } from './names.ts';
import type { ServedFunction } from './platform.ts';

const CALLBACK_TIMEOUT_MS = 10_000;
const CALLBACK_ATTEMPTS = 3;
const MAX_RESULT_BYTES = 64 * 1024 * 1024;

/** Registers asynchronous calls. */
export function registerAsyncFunctions(app: FastifyInstance, context: GatewayContext, guard: Guard): void {
  const calls = new AsyncCalls(delivery(context), (error) => {
    const { headers, body } = errorAnswer(error, 'both');
    const type = String(headers['content-type']);
    return {
      status: error.status,
      headers: { 'content-type': type },
      body: Buffer.from(JSON.stringify(body)),
      summary: null,
    };
  });
  app.addHook('onClose', async () => calls.close());

  const submit = byHand(
    context,
    () => 'both',
    async (call) => {
      const served = findFunction(context.platform, call.params['name'] ?? '');
      await accept(context, guard, calls, call, served);
    },
  );
  const access = { config: { access: 'call' as const } };
  for (const url of ['/async-function/:name', '/async-function/:name/*']) {
    app.route({ method: 'POST', url, ...access, onRequest: submit, handler: unreachable });
  }
  // The id of a call is a secret between us and its caller: whoever has it may poll and cancel.
  app.get('/async-function/:name', access, (request, reply) => {
    const id = (request.params as { name: string }).name;
    const state = calls.state(id);
    if (state === null) throw callNotFound();
    reply.header(names.callId, id);
    if (state.state !== 'ended') return reply.code(202).send({ id, status: state.state });
    const { result, durationMs } = state;
    reply.headers(result.headers).header(names.durationSeconds, (durationMs / 1000).toFixed(6));
    if (result.summary !== null) reply.headers(callHeaders(result.summary, durationMs));
    return reply.code(result.status).send(result.body);
  });
  app.delete('/async-function/:name', access, (request, reply) => {
    const id = (request.params as { name: string }).name;
    calls.cancel(id);
    return reply.header(names.callId, id).send({ id, cancelled: true });
  });
}

const callNotFound = (): GpufaasError =>
  new GpufaasError('CALL_NOT_FOUND', 'There is no asynchronous call of this id.', {
    suggestions: ['Results are kept for an hour, and not over a restart.'],
  });

async function accept(
  context: GatewayContext,
  guard: Guard,
  calls: AsyncCalls,
  call: Call,
  served: ServedFunction,
): Promise<void> {
  call.target = { served, surface: 'async' };
  const callbackUrl = checkCallback(call.header('x-callback-url'));
  const body = await call.readBody(served.maxBodyBytes);
  const run = served.hasHandler
    ? handlerRun(context, guard, call, served, body)
    : inferenceRun(context, call, served, body);
  calls.submit({ id: call.id, function: served.name, bytes: body.byteLength, callbackUrl, run });
  const answer = Buffer.from(JSON.stringify({ id: call.id, status: 'queued' }));
  const location = `/async-function/${call.id}`;
  writeParts(call.response, 202, { ...call.headers, 'content-type': 'application/json', location }, [answer]);
}

function checkCallback(url: string | undefined): string | null {
  if (url === undefined || url === '') return null;
  const parsed = url.length <= 2000 && URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw new GpufaasError('BAD_REQUEST', 'X-Callback-Url must be an http or https URL.');
  }
  return parsed.href;
}

type Run = (signal: AbortSignal) => Promise<AsyncResult>;

function handlerRun(context: GatewayContext, guard: Guard, call: Call, served: ServedFunction, body: Uint8Array): Run {
  const request = {
    function: served.name,
    callId: call.id,
    method: call.request.method ?? 'POST',
    path: subPathOf(call.request.url ?? '/'),
    headers: handlerHeaders(call, guard),
    body,
    surface: 'async',
  } as const;
  return async (signal) => {
    const outcome = await context.platform.invoke({ ...request, arrivedAtMs: performance.now() }, signal);
    const headers = checkOutcome(outcome);
    const bytes = outcome.body instanceof Uint8Array ? outcome.body : await collect(outcome.body);
    return { status: outcome.status, headers, body: bytes, summary: outcome.call };
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

function inferenceRun(context: GatewayContext, call: Call, served: ServedFunction, packed: Uint8Array): Run {
  const found = chooseModel(served, call.params['*']);
  const coding = requestCoding(call.header('content-encoding'));
  const header = call.header('inference-header-content-length');
  return async (signal) => {
    const target = { id: call.id, arrivedAtMs: performance.now(), surface: 'async', signal } as const;
    const unpacked = coding === null ? packed : await unpackBody(packed, coding, served.maxBodyBytes);
    let handedOver = false;
    try {
      // Decoding may give the body away to another thread; a second attempt needs it again.
      const { encoded, summary } = await infer(
        context,
        found,
        target,
        { bytes: new Uint8Array(unpacked), header },
        () => {
          handedOver = true;
        },
      );
      return { status: 200, headers: inferenceHeaders(encoded), body: Buffer.concat(encoded.parts), summary };
    } finally {
      call.handedOver = handedOver;
    }
  };
}

function delivery(context: GatewayContext): DeliverCallback {
  return async ({ id, function: name, callbackUrl }, { result, durationMs }) => {
    for (let attempt = 1; attempt <= CALLBACK_ATTEMPTS; attempt++) {
      try {
        const response = await fetch(callbackUrl!, {
          method: 'POST',
          body: result.body as Uint8Array<ArrayBuffer>,
          redirect: 'error',
          signal: AbortSignal.timeout(CALLBACK_TIMEOUT_MS),
          headers: {
            'content-type': result.headers['content-type'] ?? 'application/octet-stream',
            'x-call-id': id,
            'x-duration-seconds': (durationMs / 1000).toFixed(6),
            'x-function-name': name,
            'x-function-status': String(result.status),
          },
        });
        await response.body?.cancel();
        if (response.status < 500) return;
      } catch {
        // Tried again below.
      }
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt).unref());
    }
    context.settings.log.warn({ callId: id, function: name }, 'a callback could not be delivered');
  };
}
