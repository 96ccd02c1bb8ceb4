// A model's own thread: everything that may hold a thread up happens here, one call after the other.

import { parentPort, workerData } from 'node:worker_threads';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import type { Tensor } from '../tensors.ts';
import type { LoadedModel } from './backends/backend.ts';
import { openBackend } from './backends/open.ts';
import { buffersOf, freeBytes } from './free-bytes.ts';
import { toErrorMessage, type WorkerConfig } from './protocol.ts';
import type { FromThread, ToThread } from './thread-host.ts';

const port = parentPort!;
const { device, backend: override } = workerData as WorkerConfig;
/** By slot; a thread holds one model, or on some devices all of them. */
const models = new Map<number, LoadedModel>();

function answer(message: FromThread, outputs: readonly Tensor[] = []): void {
  port.postMessage(message, buffersOf(outputs));
}

async function handle(message: ToThread): Promise<void> {
  switch (message.type) {
    case 'load': {
      const startMs = performance.now();
      const model = await backend.load(message.model);
      models.set(message.slot, model);
      const { inputs, outputs, loadMs = performance.now() - startMs } = model;
      answer({
        type: 'loaded',
        call: message.call,
        signature: { inputs, outputs, loadMs },
      });
      return;
    }
    case 'run': {
      const model = models.get(message.slot);
      if (model === undefined) throw new GpufaasError('INTERNAL', 'There is no model in this place.');
      try {
        const { outputs, runMs } = await model.run(message.inputs);
        // A model that hands an input through as an output shares its bytes: those leave with the answer.
        answer({ type: 'ran', call: message.call, outputs, runMs }, outputs);
      } finally {
        freeBytes(message.inputs);
      }
      return;
    }
    case 'release':
      await models.get(message.slot)?.release();
      models.delete(message.slot);
      answer({ type: 'released', call: message.call });
  }
}

const backend = await openBackend(device, override);
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
