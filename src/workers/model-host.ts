// Where a resident model lives inside a worker process: in a thread of its own, or inline where the backend never
// holds up its thread. Both look the same from the process's main thread.

import type { TensorSpec } from '../tensors.ts';
import type { Backend, LoadedModel } from './backends/backend.ts';
import { Payloads, type RunAnswer, type RunRequest } from './payload.ts';
import type { LoadableModel } from './types.ts';

/** What a host tells of a load. */
export interface HostedSignature {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** The load itself, without what came before it. */
  readonly loadMs: number;
}

/** One place for one model at a time. Calls run one after the other, in order; errors are GpufaasError. */
export interface ModelHost {
  /** The lane on which it takes runs from the daemon itself; null: only from here. */
  readonly lane: number | null;
  /** With so many threads, or as many as the device gives one session. */
  load(model: LoadableModel, threads?: number): Promise<HostedSignature>;
  /** The bytes of the request go over to the host. */
  run(request: RunRequest): Promise<RunAnswer>;
  /** Gives the model's memory back; the host can take another model. */
  release(): Promise<void>;
  /** Ends an empty host. */
  end(): Promise<void>;
}

/** A model on the main thread itself, for backends that only wait. */
export class InlineHost implements ModelHost {
  readonly lane = null;
  readonly #backend: Backend;
  readonly #payloads = new Payloads();
  #model: LoadedModel | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  #next<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  load(model: LoadableModel, threads?: number): Promise<HostedSignature> {
    return this.#next(async () => {
      const startMs = performance.now();
      this.#model = await this.#backend.load(model, threads);
      const { inputs, outputs, loadMs = performance.now() - startMs } = this.#model;
      return { inputs, outputs, loadMs };
    });
  }

  run(request: RunRequest): Promise<RunAnswer> {
    return this.#next(() => this.#payloads.carry(request, (inputs) => this.#model!.run(inputs)));
  }

  release(): Promise<void> {
    return this.#next(async () => {
      await this.#model?.release();
      this.#model = undefined;
      this.#payloads.clear();
    });
  }

  end(): Promise<void> {
    return this.#tail.then(() => undefined);
  }
}
