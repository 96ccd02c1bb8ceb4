// What the handlers of the smaller routes need of a request: a checked JSON body, a checked query, and the signal that
// the caller has gone.

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { checked, readJson } from './body.ts';
import type { GatewayContext } from './context.ts';

const MAX_JSON_BYTES = 64 * 1024;

/** The JSON body of a request; an empty one is an empty object. Throws BAD_REQUEST, BODY_TOO_LARGE, SLOW_REQUEST. */
export function jsonBody<Schema extends z.ZodType>(
  context: GatewayContext,
  request: FastifyRequest,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const { bodyGraceMs, bodyMinBytesPerSecond } = context.settings;
  const limits = { maxBytes: MAX_JSON_BYTES, graceMs: bodyGraceMs, minBytesPerSecond: bodyMinBytesPerSecond };
  return readJson(request.raw, schema, limits, context.budget.lease());
}

/** The query of a request. Throws BAD_REQUEST that names the parameter. */
export function query<Schema extends z.ZodType>(request: FastifyRequest, schema: Schema): z.infer<Schema> {
  return checked(schema, request.query, 'query');
}

/** Fires when the caller has gone before the answer was complete. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  // It may have gone while its body was read.
  if (reply.raw.destroyed) controller.abort();
  reply.raw.on('close', () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
