// POST /api/v1/functions: a package on its way in, its deployment's progress on the way out. The archive streams through;
// what becomes of it is the daemon's business. A caller that goes away stops its deployment.

import { once } from 'node:events';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { routes } from '../api/routes.ts';
import { toGpufaasError } from '../errors.ts';
import { problemOf } from './answers.ts';
import { streamBody } from './body.ts';
import type { GatewayContext } from './context.ts';
import { LineWriter } from './ndjson.ts';
import { goneSignal, query } from './requests.ts';

const deployQuery = z.object({ note: z.string().max(500).default('') });

/** Registers the upload of packages. */
export function registerDeploy(app: FastifyInstance, context: GatewayContext): void {
  app.post(routes.functions, { config: { access: 'change' } }, async (request, reply) => {
    const { note } = query(request, deployQuery);
    const { archive, gzip } = await sniff(upload(context, request));
    const lines = new LineWriter(reply);
    try {
      const result = await context.platform.deploy(
        { archive, gzip, note },
        (step) => lines.write(step),
        goneSignal(reply),
      );
      lines.write({ type: 'done', result });
    } catch (thrown) {
      if (!lines.begun) throw thrown;
      const error = toGpufaasError(thrown);
      if (error.code === 'INTERNAL') context.settings.log.error({ err: error.cause ?? error }, 'a deployment failed');
      lines.write({ type: 'error', error: problemOf(error) });
    }
    lines.end();
    if (!reply.raw.writableFinished) await once(reply.raw, 'close');
    return reply;
  });
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
