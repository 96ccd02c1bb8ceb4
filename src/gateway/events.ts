// GET /api/v1/events: what happens in the daemon as server-sent events. A listener that reads too slowly misses events
// and is told so; the daemon never waits for one, and never keeps much for one.

import type { FastifyInstance, FastifyReply } from 'fastify';
import type { PlatformEvent } from '../api/events.ts';
import { routes } from '../api/routes.ts';
import { GpufaasError } from '../errors.ts';
import type { GatewayContext } from './context.ts';

const HEARTBEAT_MS = 15_000;
// What may wait in the socket of one listener before events are left out.
const MAX_WAITING_BYTES = 1024 * 1024;

/** Registers the event stream. */
export function registerEvents(app: FastifyInstance, context: GatewayContext): void {
  let open = 0;
  const enders = new Set<() => void>();
  // They would keep the server from closing.
  app.addHook('preClose', async () => {
    for (const end of enders) end();
  });
  app.get(routes.events, { config: { access: 'change' } }, (_request, reply) => {
    if (open >= context.settings.maxEventStreams) {
      throw new GpufaasError('QUEUE_FULL', 'Too many event streams are open.', { retryAfterMs: 5000 });
    }
    open++;
    const end = stream(context, reply, () => {
      open--;
      enders.delete(end);
    });
    enders.add(end);
  });
}

/** Writes events until the listener goes or `end` (returned) is called; calls `onEnd` once. */
function stream(context: GatewayContext, reply: FastifyReply, onEnd: () => void): () => void {
  reply.hijack();
  const { raw } = reply;
  let missed = 0;
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  raw.write(': connected\n\n');
  const send = (event: PlatformEvent): void => {
    if (raw.writableLength > MAX_WAITING_BYTES) return void missed++;
    if (missed > 0) raw.write(`event: missed\ndata: {"type":"missed","count":${missed}}\n\n`);
    missed = 0;
    raw.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  };
  const unsubscribe = context.platform.subscribe(send);
  const heartbeat = setInterval(() => {
    if (raw.writableLength <= MAX_WAITING_BYTES) raw.write(': still here\n\n');
  }, HEARTBEAT_MS);
  heartbeat.unref();
  raw.on('close', () => {
    clearInterval(heartbeat);
    unsubscribe();
    onEnd();
  });
  return () => void raw.end();
}
