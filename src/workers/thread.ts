// A model's own thread: everything that may hold a thread up happens here, one call after the other. Loads and releases
// come from the process's main thread, runs from there or straight from the daemon.

import { parentPort, workerData } from 'node:worker_threads';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import type { LoadedModel } from './backends/backend.ts';
import { openBackend } from './backends/open.ts';
import { buffersOf } from './buffers-of.ts';
import { openLane } from './lanes.ts';
import { Payloads, type RunAnswer, type RunRequest } from './payload.ts';
import { PackLater } from './pack-later.ts';
import { type ErrorMessage, type FromWorker, toErrorMessage, type ToWorker } from './protocol.ts';
import type { FromThread, ThreadData, ToThread } from './thread-host.ts';

interface Held {
  readonly id: string;
  readonly loaded: LoadedModel;
  readonly later: PackLater | null;
}

const port = parentPort!;
const { config, number } = workerData as ThreadData;
/** By place; a thread holds one model, or on some devices all of them. */
const models = new Map<number, Held>();
const payloads = new Payloads();

function answer(message: FromThread, parts: readonly Uint8Array[] = []): void {
  port.postMessage(message, buffersOf(parts));
}

function run(request: RunRequest, held: Held | undefined): Promise<RunAnswer> {
  if (held === undefined) throw new GpufaasError('INTERNAL', 'There is no model in this place.');
  return payloads.carry(request, (inputs) => held.loaded.run(inputs));
}

function hold(id: string, loaded: LoadedModel): Held {
  const pack = (task: () => Promise<void>): void => {
    // A model whose weights can't be packed now goes on as it is.
    tail = tail.then(task).catch(() => undefined);
  };
  return { id, loaded, later: loaded.packing === undefined ? null : new PackLater(loaded.packing, pack) };
}

function heldAs(model: string): Held | undefined {
  for (const held of models.values()) if (held.id === model) return held;
  return undefined;
}

async function handle(message: ToThread): Promise<void> {
  switch (message.type) {
    case 'load': {
      const startMs = performance.now();
      const loaded = await backend.load(message.model, message.threads);
      models.set(message.place, hold(message.model.id, loaded));
      const { inputs, outputs, loadMs = performance.now() - startMs } = loaded;
      answer({
        type: 'loaded',
        call: message.call,
        signature: { inputs, outputs, loadMs },
      });
      return;
    }
    case 'run': {
      const held = models.get(message.place);
      const carried = await run(message.request, held);
      answer({ type: 'ran', call: message.call, answer: carried }, carried.parts);
      held?.later?.ran();
      return;
    }
    case 'release': {
      const held = models.get(message.place);
      held?.later?.end();
      await held?.loaded.release();
      models.delete(message.place);
      if (models.size === 0) payloads.clear();
      answer({ type: 'released', call: message.call });
    }
  }
}

const backend = await openBackend(config.device, config.backend);
let tail = backend.warmUp().then(
  () => answer({ type: 'warm' }),
  (error: unknown) => answer({ type: 'failed', call: null, error: toErrorMessage(toGpufaasError(error)) }),
);
port.on('message', (message: ToThread) => {
  tail = tail
    .then(() => handle(message))
    .catch((error: unknown) =>
      answer({ type: 'failed', call: message.call, error: toErrorMessage(toGpufaasError(error)) }),
    );
});

/** Runs that come straight from the daemon, and their answers. */
function serveLane(): void {
  if (config.lanes === undefined) return;
  const lane = openLane(config.lanes, number, {
    onMessage(message, parts) {
      const asked = message as unknown as Extract<ToWorker, { type: 'run' }>;
      tail = tail.then(() => serve(asked, parts));
    },
    // The process ends with the daemon, or the daemon goes on by way of the main thread.
    onClose: () => undefined,
  });
  const send = (message: FromWorker, parts: readonly Uint8Array[]): void =>
    lane.give(message as unknown as Record<string, unknown>, parts);
  const fail = (call: number, error: ErrorMessage): void => {
    try {
      send({ type: 'failed', call, error }, []);
    } catch {
      // Even the error could not be sent: the daemon sees a run past its limit, and the next one must not suffer for it.
    }
    // The device's context is gone for the whole process: its main thread ends it.
    if (error.code === 'WORKER_DIED') answer({ type: 'lost', error });
  };
  /** Never rejects. */
  const serve = async (asked: Extract<ToWorker, { type: 'run' }>, parts: readonly Uint8Array[]): Promise<void> => {
    const { call, model, inputs, slot, placed } = asked;
    try {
      const held = heldAs(model);
      const ran = await run({ inputs, parts, slot, placed }, held);
      send({ type: 'ran', call, outputs: ran.outputs, placed: ran.placed, runMs: ran.runMs }, ran.parts);
      held?.later?.ran();
    } catch (thrown) {
      fail(call, toErrorMessage(toGpufaasError(thrown)));
    }
  };
}

serveLane();
