// Trains a network by Adam with decoupled weight decay, step by step, deterministically on one machine (one thread).

import { InferenceSession, Tensor } from 'onnxruntime-node';

import { trainingGraph } from './network.ts';
import type { Loss, Network } from './network.ts';

const BETA_1 = 0.9;
const BETA_2 = 0.999;
const EPSILON = 1e-8;

/** Rows of inputs and what should come out; `weight` for a mixed loss. All row-major. */
export interface Batch {
  readonly rows: number;
  readonly x: Float32Array;
  readonly target: Float32Array;
  readonly weight?: Float32Array;
}

/** Holds the optimiser's state for one network and changes the network's parameters in place. */
export class Trainer {
  readonly #network: Network;
  readonly #session: InferenceSession;
  readonly #moments: readonly { readonly first: Float32Array; readonly second: Float32Array }[];
  #steps = 0;

  private constructor(network: Network, session: InferenceSession) {
    this.#network = network;
    this.#session = session;
    this.#moments = network.parameters.map(({ data }) => ({
      first: new Float32Array(data.length),
      second: new Float32Array(data.length),
    }));
  }

  /** Prepares the training graph; `threads` above 1 is quicker and less repeatable. */
  static async create(network: Network, loss: Loss, threads = 1): Promise<Trainer> {
    const session = await InferenceSession.create(trainingGraph(network, loss), {
      intraOpNumThreads: threads,
      logSeverityLevel: 3,
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
    return new Trainer(network, session);
  }

  /** One step; gives the loss before it. */
  async step(batch: Batch, learningRate: number, weightDecay = 0): Promise<number> {
    const { parameters, inputRow, outputRow } = this.#network;
    const output = [batch.rows, ...outputRow];
    const feeds: Record<string, Tensor> = {
      x: new Tensor('float32', batch.x, [batch.rows, ...inputRow]),
      target: new Tensor('float32', batch.target, output),
    };
    if (batch.weight !== undefined) feeds.weight = new Tensor('float32', batch.weight, output);
    for (const { name, shape, data } of parameters) feeds[name] = new Tensor('float32', data, shape);
    const results = await this.#session.run(feeds);
    this.#steps++;
    parameters.forEach(({ name, shape, data }, i) => {
      const gradient = results[`d.${name}`]!.data as Float32Array;
      this.#update(data, gradient, i, learningRate, shape.length > 1 ? weightDecay : 0);
    });
    return (results.loss!.data as Float32Array)[0]!;
  }

  /** Steps done, those before a checkpoint included. */
  get steps(): number {
    return this.#steps;
  }

  /** All that the next step depends on, for `restore`: the parameters and the optimiser's moments. */
  checkpoint(): Uint8Array {
    const parts = [Float64Array.of(this.#steps), ...this.#state()];
    return Buffer.concat(parts.map((part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength)));
  }

  /** Goes on where the checkpoint was taken; throws if it is of another network. */
  restore(checkpoint: Uint8Array): void {
    const state = this.#state();
    const bytes = state.reduce((sum, part) => sum + part.byteLength, Float64Array.BYTES_PER_ELEMENT);
    if (checkpoint.byteLength !== bytes) throw new Error('The checkpoint is of another network.');
    const copy = new Uint8Array(checkpoint).buffer;
    this.#steps = new Float64Array(copy, 0, 1)[0]!;
    let offset = Float64Array.BYTES_PER_ELEMENT;
    for (const part of state) {
      part.set(new Float32Array(copy, offset, part.length));
      offset += part.byteLength;
    }
  }

  #state(): Float32Array[] {
    return [
      ...this.#network.parameters.map(({ data }) => data),
      ...this.#moments.flatMap(({ first, second }) => [first, second]),
    ];
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  #update(data: Float32Array, gradient: Float32Array, index: number, rate: number, decay: number): void {
    const { first, second } = this.#moments[index]!;
    const step = rate / (1 - BETA_1 ** this.#steps);
    const correction = 1 / (1 - BETA_2 ** this.#steps);
    for (let i = 0; i < data.length; i++) {
      const slope = gradient[i]!;
      const m = (first[i] = BETA_1 * first[i]! + (1 - BETA_1) * slope);
      const v = (second[i] = BETA_2 * second[i]! + (1 - BETA_2) * slope * slope);
      data[i] = data[i]! * (1 - rate * decay) - (step * m) / (Math.sqrt(v * correction) + EPSILON);
    }
  }
}

/** A rate that rises over the first 3% and then falls to nothing along a cosine; `done` runs from 0 to 1. */
export function scheduledRate(peak: number, done: number): number {
  if (done < 0.03) return (peak * done) / 0.03;
  return peak * (0.5 + 0.5 * Math.cos((Math.PI * (done - 0.03)) / 0.97));
}

/** One-hot rows for softmax. */
export function oneHot(labels: ArrayLike<number>, classes: number): Float32Array {
  const target = new Float32Array(labels.length * classes);
  for (let i = 0; i < labels.length; i++) target[i * classes + labels[i]!] = 1;
  return target;
}
