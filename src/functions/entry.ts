// The handler's process: loads one handler, serves its calls over the channel, and ends when the channel does. Runs under
// Node's permission model with a scrubbed environment.

import { GpufaasError, toGpufaasError } from '../errors.ts';
import { channelToParent } from '../workers/transport.ts';
import { CallServer } from './call-server.ts';
import { Capture } from './capture.ts';
import { readableStack } from './handler-errors.ts';
import { lendPackages, loadHandler } from './load-handler.ts';
import { toWireError, type FromChild, type ToChild } from './wire.ts';

// Ctrl-C in a terminal reaches every process of the group; the daemon says when to end.
process.on('SIGINT', () => undefined);

// The permission model does not cover signals; a handler has nobody to send one to.
process.kill = () => {
  throw new GpufaasError('HANDLER_ERROR', 'The handler tried to signal a process, which a handler may not.', {
    suggestions: ['To give up a call, throw an error.'],
  });
};

const MAX_PENDING_LOG_BYTES = 4 * 1024 * 1024;

let server: CallServer | undefined;

const channel = channelToParent({
  onMessage: (message, parts) => receive(message as ToChild, parts),
  onClose: () => process.exit(0),
});

function send(message: FromChild, parts?: readonly Uint8Array[]): void {
  channel.send(message, parts);
}

let linesLost = 0;

const capture = new Capture((message) => {
  // A handler that prints faster than the daemon reads loses lines, not memory.
  if (channel.pendingBytes > MAX_PENDING_LOG_BYTES) return void linesLost++;
  if (linesLost > 0) {
    channel.send({
      ...message,
      callId: null,
      level: 'warn',
      text: `${linesLost} lines were lost: the handler prints too fast.`,
    });
    linesLost = 0;
  }
  channel.send(message);
});

function receive(message: ToChild, parts: Uint8Array[]): void {
  if (message.type === 'load') void load(message);
  else if (message.type === 'ping') send({ type: 'pong' });
  else server?.receive(message, parts);
}

async function load(message: Extract<ToChild, { type: 'load' }>): Promise<void> {
  try {
    Object.assign(process.env, message.environment);
    process.chdir(message.folder);
    capture.install();
    lendPackages();
    const handler = await loadHandler(message.handler, message.folder);
    server = new CallServer({
      handler,
      folder: message.folder,
      models: message.models,
      environment: Object.freeze({ ...message.environment }),
      capture,
      send,
      drained: () => channel.drained(),
    });
    send({ type: 'loaded' });
  } catch (error) {
    send({ type: 'load-failed', error: toWireError(toGpufaasError(error)) });
  }
}

// An error that nobody awaited belongs to no call: it is logged, and the calls under way go on.
process.on('unhandledRejection', (reason) => {
  capture.logOf().error(`Unhandled rejection: ${readableStack(reason, process.cwd())}`);
});
