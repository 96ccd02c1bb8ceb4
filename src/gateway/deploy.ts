// POST /api/v1/functions and models/pull: a package or a model on its way in, the progress on the way out. The archive streams through;
// what becomes of it is the daemon's business. A caller that goes away stops its deployment.

import { once } from 'node:events';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { routes } from '../api/routes.ts';
import { toGpufaasError } from '../errors.ts';
import { problemOf } from './answers.ts';
import { streamBody } from './body.ts';
import type { GatewayContext } from './context.ts';
import { LineWriter } from './ndjson.ts';
import type { DeployStep } from './platform.ts';
import { goneSignal, jsonBody, query } from './requests.ts';

/** What a pull is asked for; also described in /openapi.json. */
export const pullBody = z.object({
  url: z.string().max(4096),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'not a sha256: 64 hexadecimal digits')
    .optional(),
});
const deployQuery = z.object({ note: z.string().max(500).default('') });

/** Registers the upload of packages and the pull of models. */
export function registerDeploy(app: FastifyInstance, context: GatewayContext): void {
  app.post(routes.functions, { config: { access: 'change' } }, async (request, reply) => {
    const { note } = query(request, deployQuery);
    const { archive, gzip } = await sniff(upload(context, request));
    return answerWithProgress(context, reply, (report, signal) =>
      context.platform.deploy({ archive, gzip, note }, report, signal),
    );
  });
  app.post(routes.modelPull, { config: { access: 'change' } }, async (request, reply) => {
    const { url, sha256 } = await jsonBody(context, request, pullBody);
    const source = { url, ...(sha256 === undefined ? {} : { sha256 }) };
    return answerWithProgress(context, reply, (report, signal) => context.platform.pullModel(source, report, signal));
  });
}

/** Steps as lines, then the result or what went wrong; what fails before the first step fails with its own status. */
async function answerWithProgress(
  context: GatewayContext,
  reply: FastifyReply,
  work: (report: (step: DeployStep) => void, signal: AbortSignal) => Promise<unknown>,
): Promise<FastifyReply> {
  const lines = new LineWriter(reply);
  const gone = goneSignal(reply);
  try {
    const result = await work((step) => lines.write(step), gone);
    lines.write({ type: 'done', result });
  } catch (thrown) {
    if (gone.aborted) {
      context.settings.log.info('a deployment was given up: its caller has gone');
      return lines.begun ? reply : reply.hijack();
    }
    if (!lines.begun) throw thrown;
    const error = toGpufaasError(thrown);
    if (error.code === 'INTERNAL') context.settings.log.error({ err: error.cause ?? error }, 'a deployment failed');
    lines.write({ type: 'error', error: problemOf(error) });
  }
  lines.end();
  if (!reply.raw.writableFinished) await once(reply.raw, 'close');
  return reply;
}

function upload(context: GatewayContext, request: FastifyRequest): AsyncGenerator<Uint8Array> {
  const { bodyGraceMs, bodyMinBytesPerSecond, maxUploadBytes } = context.settings;
  return streamBody(request.raw, {
    maxBytes: maxUploadBytes,
    graceMs: bodyGraceMs,
    minBytesPerSecond: bodyMinBytesPerSecond,
  });
}

/** Looks at the first bytes: whatever the headers say, gzip begins with 1f 8b, and a tar never does. */
async function sniff(
  source: AsyncGenerator<Uint8Array>,
): Promise<{ archive: AsyncIterable<Uint8Array>; gzip: boolean }> {
  const first = await source.next();
  const head = first.done === true ? new Uint8Array() : first.value;
  async function* archive(): AsyncGenerator<Uint8Array> {
    try {
      if (first.done === true) return;
      yield head;
      yield* source;
    } finally {
      await source.return(undefined);
    }
  }
  return { archive: archive(), gzip: head[0] === 0x1f && head[1] === 0x8b };
}
