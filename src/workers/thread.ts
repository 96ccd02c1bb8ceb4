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
import { SpinAlone } from './spin-alone.ts';
import type { FromThread, ThreadData, ToThread } from './thread-host.ts';
import { Turns } from './turns.ts';

interface Held {
  readonly id: string;
  readonly loaded: LoadedModel;
  readonly later: PackLater | null;
  readonly spin: SpinAlone | null;
}

const port = parentPort!;
const { config, number, turns: shared } = workerData as ThreadData;
/** By place; a thread holds one model, or on some devices all of them. */
const models = new Map<number, Held>();
const payloads = new Payloads();
const turns = new Turns(shared, number);

function answer(message: FromThread, parts: readonly Uint8Array[] = []): void {
  port.postMessage(message, buffersOf(parts));
}

async function run(request: RunRequest, held: Held | undefined): Promise<RunAnswer> {
  if (held === undefined) throw new GpufaasError('INTERNAL', 'There is no model in this place.');
  const alone = turns.take();
  held.spin?.begins(alone);
  const carried = await payloads.carry(request, (inputs) => held.loaded.run(inputs));
  // A copy that is packed later has other run times then.
  if (held.later?.isDone !== false) held.spin?.ran(carried.runMs);
  return carried;
}

function hold(id: string, loaded: LoadedModel): Held {
  const { reload } = loaded;
  if (reload === undefined) return { id, loaded, later: null, spin: null };
  const { packAfterRuns: afterRuns, canSpin } = reload;
  const between = (task: () => Promise<void>): void => {
    // A model that can't be loaded anew now goes on as it is.
    tail = tail.then(task).catch(() => undefined);
  };
  const pack = (): Promise<void> => reload.change({ packed: true });
  return {
    id,
    loaded,
    later: afterRuns === undefined ? null : new PackLater({ afterRuns, pack }, between),
    spin: canSpin ? new SpinAlone((what) => reload.change(what), between) : null,
  };
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
      held?.spin?.end();
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
      const carried = await run({ inputs, parts, slot, placed }, held);
      const { outputs, placed: where, runMs } = carried;
      send({ type: 'ran', call, outputs, placed: where, runMs }, carried.parts);
      held?.later?.ran();
    } catch (thrown) {
      fail(call, toErrorMessage(toGpufaasError(thrown)));
    }
  };
}

serveLane();
