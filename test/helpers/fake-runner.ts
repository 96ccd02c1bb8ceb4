// A runner without a process: does what a worker does, when the test says so. Same interface, no timing of its own.

import { GpufaasError } from '../../src/errors.ts';
import type { Tensor } from '../../src/tensors.ts';
import type {
  DeviceMeasurement,
  EvictResult,
  LoadableModel,
  LoadResult,
  Runner,
  RunnerState,
  RunResult,
} from '../../src/workers/types.ts';

interface Held<T> {
  readonly model: string;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

export class FakeRunner implements Runner {
  readonly device: string;
  state: RunnerState = 'ready';
  readonly pid = 4711;
  rssBytes = 3;
  /** Everything it was asked, in order: `load a`, `evict a`, `run a`. */
  readonly asked: string[] = [];
  readonly loads: Held<LoadResult>[] = [];
  readonly widenings: Held<void>[] = [];
  readonly runs: (Held<RunResult> & { readonly inputs: readonly Tensor[] })[] = [];

  constructor(device: string) {
    this.device = device;
  }

  async start(): Promise<void> {}

  load(model: LoadableModel): Promise<LoadResult> {
    this.asked.push(`load ${model.id}`);
    return new Promise((resolve, reject) => this.loads.push({ model: model.id, resolve, reject }));
  }

  async evict(model: string): Promise<EvictResult> {
    this.asked.push(`evict ${model}`);
    return { evictMs: 0, releasedBytes: null };
  }

  widen({ id }: LoadableModel): Promise<void> {
    this.asked.push(`widen ${id}`);
    return new Promise((resolve, reject) => this.widenings.push({ model: id, resolve, reject }));
  }

  async narrow(model: string): Promise<void> {
    this.asked.push(`narrow ${model}`);
  }

  run(model: string, inputs: readonly Tensor[], instance?: number): Promise<RunResult> {
    this.asked.push(instance === undefined ? `run ${model}` : `run ${model} in ${instance}`);
    return new Promise((resolve, reject) => this.runs.push({ model, inputs, resolve, reject }));
  }

  async measure(): Promise<DeviceMeasurement> {
    return { processRssBytes: this.rssBytes, emptyRssBytes: 1, deviceTotalBytes: null, deviceFreeBytes: null };
  }

  async stop(): Promise<void> {
    this.state = 'stopped';
  }

  finishLoad(): void {
    this.loads.shift()!.resolve({ loadMs: 10, measuredBytes: null, inputs: [], outputs: [] });
  }

  failLoad(error: GpufaasError): void {
    this.loads.shift()!.reject(error);
  }

  /** Answers the oldest run with its own inputs. */
  finishRun(): void {
    const { inputs, resolve } = this.runs.shift()!;
    resolve({ outputs: inputs, runMs: 5 });
  }

  failRun(error: GpufaasError): void {
    this.runs.shift()!.reject(error);
  }

  /** What a runner does when its process is gone: every call under way is rejected. */
  die(): void {
    const error = new GpufaasError('WORKER_DIED', 'killed');
    for (const call of [...this.loads.splice(0), ...this.widenings.splice(0), ...this.runs.splice(0)])
      call.reject(error);
  }
}
