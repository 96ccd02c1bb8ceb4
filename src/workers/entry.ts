// The worker process of one device. Its main thread never touches a runtime that could hold it up, so it always answers
// heartbeats. It ends when its parent's end of the channel closes, however the parent ended.

import { writeFileSync } from 'node:fs';
import { compileEarly } from '../compile-early.ts';
import { toGpufaasError } from '../errors.ts';
import { openBackend, runsInline, sharesThread } from './backends/open.ts';
import type { Backend } from './backends/backend.ts';
import { InlineHost } from './model-host.ts';
import type { RunAnswer } from './payload.ts';
import {
  type FromWorker,
  GAVE_UP_EXIT_CODE,
  type ToWorker,
  toErrorMessage,
  WORKER_VARIABLE,
  type WorkerConfig,
} from './protocol.ts';
import { Residents } from './residents.ts';
import { sweepMemory } from './orphaned.ts';
import { ModelThread, ThreadHost } from './thread-host.ts';
import { channelToParent } from './transport.ts';
import { Turns } from './turns.ts';

const config = JSON.parse(process.env[WORKER_VARIABLE]!) as WorkerConfig;
// For the threads of models too.
compileEarly();

// A Ctrl-C in the terminal reaches the whole process group; the daemon decides when its workers end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
try {
  // If the machine runs out of memory, better a worker than the daemon.
  if (process.platform === 'linux') writeFileSync('/proc/self/oom_score_adj', '500');
} catch {
  // Not allowed in some containers; nothing depends on it.
}

/** Ends the process without waiting for a run under way, as an orderly exit would. */
function endNow(): never {
  process.kill(process.pid, 'SIGKILL');
  process.exit(1);
}

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(GAVE_UP_EXIT_CODE);
}

const inline: Backend | undefined = runsInline(config.device, config.backend)
  ? await openBackend(config.device, config.backend)
  : undefined;

let nextThread = 0;
const turns = Turns.create();
async function startThread(): Promise<ModelThread> {
  const thread = new ModelThread({ config, number: nextThread++, turns }, fail);
  try {
    await thread.warm;
    return thread;
  } catch (error) {
    // The device does not work, or not any more: a new process is the next thing to try.
    fail(toGpufaasError(error).message);
  }
}

const sharedThread = sharesThread(config.device) ? startThread() : undefined;
let nextPlace = 0;
const residents = new Residents(async () => {
  if (inline !== undefined) return new InlineHost(inline);
  if (sharedThread !== undefined) return new ThreadHost(await sharedThread, nextPlace++, false);
  return new ThreadHost(await startThread());
});
let emptyRssBytes = process.memoryUsage.rss();

const channel = channelToParent({
  onMessage: (message, parts) => void handle(message as unknown as ToWorker, parts),
  onClose: () => {
    if (config.memoryFolder !== undefined) sweepMemory(config.memoryFolder);
    endNow();
  },
});

function send(message: FromWorker): void {
  channel.send(message as unknown as Record<string, unknown>);
}

function sendAnswer(call: number, { outputs, parts, placed, runMs }: RunAnswer): void {
  const message: FromWorker = { type: 'ran', call, outputs, placed, runMs };
  channel.give(message as unknown as Record<string, unknown>, parts);
}

async function attempt(call: number, task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (thrown) {
    send({ type: 'failed', call, error: toErrorMessage(toGpufaasError(thrown)) });
  }
}

async function stop(): Promise<void> {
  await residents.clear();
  await channel.drained();
  process.exit(0);
}

function memory(): Extract<FromWorker, { type: 'measured' }>['memory'] {
  const device = inline?.memory?.();
  return {
    rssBytes: process.memoryUsage.rss(),
    emptyRssBytes,
    deviceTotalBytes: device?.totalBytes ?? null,
    deviceFreeBytes: device?.freeBytes ?? null,
    settled: residents.settled,
  };
}

async function handle(message: ToWorker, parts: Uint8Array[]): Promise<void> {
  switch (message.type) {
    case 'ping':
      send({ type: 'pong' });
      return;
    case 'measure':
      send({ type: 'measured', call: message.call, memory: memory() });
      return;
    case 'load':
      return attempt(message.call, async () =>
        send({
          type: 'loaded',
          call: message.call,
          result: await residents.load(message.model),
          lane: residents.laneOf(message.model.id),
        }),
      );
    case 'evict':
      return attempt(message.call, async () =>
        send({ type: 'evicted', call: message.call, result: await residents.evict(message.model) }),
      );
    case 'widen':
      return attempt(message.call, async () =>
        send({ type: 'widened', call: message.call, lane: await residents.widen(message.model) }),
      );
    case 'narrow':
      return attempt(message.call, async () => {
        await residents.narrow(message.model);
        send({ type: 'narrowed', call: message.call });
      });
    case 'run':
      return attempt(message.call, async () => {
        const { model, instance, inputs, slot, placed } = message;
        sendAnswer(message.call, await residents.run(model, { inputs, parts, slot, placed }, instance));
      });
    case 'stop':
      return stop();
  }
}

try {
  await residents.warmUp();
  emptyRssBytes = process.memoryUsage.rss();
  send({ type: 'ready' });
} catch (error) {
  fail(toGpufaasError(error).message);
}
