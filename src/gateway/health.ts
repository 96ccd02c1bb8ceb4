// /healthz says that the process answers, /readyz that at least one device serves, /metrics what Prometheus scrapes.

import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../telemetry/metrics.ts';
import type { GatewayContext } from './context.ts';

/** Registers health and metrics. */
export function registerHealth(app: FastifyInstance, { platform }: GatewayContext, metrics: Metrics): void {
  const open = { config: { access: 'call' as const } };
  app.get('/healthz', open, (_request, reply) => {
    const live = platform.live();
    return reply.code(live ? 200 : 503).send({ status: live ? 'ok' : 'stuck' });
  });
  app.get('/readyz', open, (_request, reply) => {
    const ready = platform.ready();
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' });
  });
  app.get('/metrics', open, async (_request, reply) =>
    reply.header('content-type', metrics.contentType).send(await metrics.text()),
  );
}
