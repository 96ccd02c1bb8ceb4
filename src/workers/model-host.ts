// Where a resident model lives inside a worker process: in a thread of its own, or inline where the backend never
// holds up its thread. Both look the same from the process's main thread.

import type { Tensor, TensorSpec } from '../tensors.ts';
import type { Backend, LoadedModel } from './backends/backend.ts';
import { freeBytes } from './free-bytes.ts';
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
  load(model: LoadableModel): Promise<HostedSignature>;
  /** The bytes of the inputs go over to the host. */
  run(inputs: readonly Tensor[]): Promise<{ readonly outputs: readonly Tensor[]; readonly runMs: number }>;
  /** Gives the model's memory back; the host can take another model. */
  release(): Promise<void>;
  /** Ends an empty host. */
  end(): Promise<void>;
}

/** A model on the main thread itself, for backends that only wait. */
export class InlineHost implements ModelHost {
  readonly #backend: Backend;
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

  load(model: LoadableModel): Promise<HostedSignature> {
    return this.#next(async () => {
      const startMs = performance.now();
      this.#model = await this.#backend.load(model);
      const { inputs, outputs, loadMs = performance.now() - startMs } = this.#model;
      return { inputs, outputs, loadMs };
    });
  }

  run(inputs: readonly Tensor[]): ReturnType<ModelHost['run']> {
    return this.#next(async () => {
      try {
        return await this.#model!.run(inputs);
      } finally {
        freeBytes(inputs);
      }
    });
  }

  release(): Promise<void> {
    return this.#next(async () => {
      await this.#model?.release();
      this.#model = undefined;
    });
  }

  end(): Promise<void> {
    return this.#tail.then(() => undefined);
  }
}
