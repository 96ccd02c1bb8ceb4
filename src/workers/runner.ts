// The daemon's handle on one device: keeps a worker process alive, restarts it with growing pauses when it dies, gives
// up for a while when it keeps dying. Calls that were under way when it died are rejected, never repeated here.

import type { Device } from '../devices/types.ts';
import { askCardMemory } from '../devices/nvidia.ts';
import { GpufaasError } from '../errors.ts';
import { CardMemory } from './card-memory.ts';
import type { Tensor } from '../tensors.ts';
import type {
  DeviceMeasurement,
  EvictResult,
  LoadableModel,
  LoadResult,
  Runner,
  RunnerEvents,
  RunnerState,
  RunResult,
} from './types.ts';
import { type ProcessOptions, WorkerProcess } from './worker-process.ts';

/** Limits and pauses, all optional; times in milliseconds. */
export interface RunnerOptions extends Partial<Omit<ProcessOptions, 'environment'>> {
  readonly environment?: Readonly<Record<string, string>>;
  /** Left to others on a GPU, in bytes: what is free below it is reported. */
  readonly reserveBytes?: number;
  /** A folder in memory that a worker removes if this process ends without doing so. */
  readonly memoryFolder?: string;
  /** URL of a module that exports `createBackend`, in place of the device's own (fixtures). */
  readonly backend?: string;
  /** Pauses before the first, second, … restart in a row with no success between; the last one repeats. */
  readonly backoffMs?: readonly number[];
  /** Deaths in a row, with no load or run between them that succeeded, after which the device counts as failed. */
  readonly crashLimit?: number;
  /** How often the memory of a card is read (CUDA), and how long a load waits for that. */
  readonly cardWatchMs?: number;
  readonly cardReadMs?: number;
  /** How often a failed device is tried again. */
  readonly failedRetryMs?: number;
}

/** A runner whose device can be taken away and brought back (emulated devices only). */
export interface DeviceRunner extends Runner {
  /** As if the card were pulled: the process is killed, nothing restarts it. Throws USAGE on a real device. */
  unplug(): Promise<void>;
  /** Starts it again; resolves when it is ready. */
  plug(): Promise<void>;
}

const DEFAULTS: ProcessOptions = {
  startLimitMs: 60_000,
  runLimitMs: 60_000,
  loadLimitMs: 120_000,
  heartbeatMs: 1_000,
  heartbeatLimitMs: 5_000,
  stopGraceMs: 10_000,
  environment: {},
};
const BACKOFF_MS = [0, 250, 1_000, 4_000, 10_000];
const CRASH_LIMIT = 5;
const START_ATTEMPTS = 2;
const FAILED_RETRY_MS = 60_000;
/** How long calls under way may hold up a restart that gets memory back. */
const RECYCLE_PATIENCE_MS = 5_000;
const RECYCLE_POLL_MS = 50;

class ProcessRunner implements DeviceRunner {
  readonly device: string;
  readonly #device: Device;
  readonly #options: RunnerOptions;
  readonly #events: RunnerEvents;
  /** CUDA: the card's own memory, as its driver tells it. */
  readonly #card: CardMemory | undefined;
  #state: RunnerState = 'stopped';
  #process: WorkerProcess | undefined;
  /** Deaths since the last load or run that succeeded. */
  #deaths = 0;
  #restart: NodeJS.Timeout | undefined;
  #recycling: NodeJS.Timeout | undefined;
  #starting: PromiseWithResolvers<void> | undefined;

  constructor(device: Device, options: RunnerOptions, events: RunnerEvents) {
    this.device = device.id;
    this.#device = device;
    this.#options = options;
    this.#events = events;
    this.#card = this.#watchCard();
  }

  #watchCard(): CardMemory | undefined {
    const { uuid, memoryBytes } = this.#device;
    if (uuid === undefined) return undefined;
    return new CardMemory({
      read: () => askCardMemory(uuid),
      reserveBytes: this.#options.reserveBytes ?? 0,
      budgetBytes: memoryBytes,
      ...(this.#options.cardWatchMs !== undefined && { watchMs: this.#options.cardWatchMs }),
      ...(this.#options.cardReadMs !== undefined && { readLimitMs: this.#options.cardReadMs }),
      onNotice: (message, details) => this.#events.onNotice(message, { device: this.device, ...details }),
      onLeak: (missingBytes) => this.#recycle(`${missingBytes} bytes did not come back after evictions`),
    });
  }

  /** A new process is the only way to get back what a runtime keeps: when nothing is under way, or soon. */
  #recycle(reason: string): void {
    const worker = this.#process;
    if (worker === undefined || this.#state !== 'ready') return;
    this.#events.onNotice('the worker is restarted', { device: this.device, reason });
    const giveUpMs = performance.now() + RECYCLE_PATIENCE_MS;
    const attempt = (): void => {
      if (this.#process !== worker) return;
      if (worker.callsUnderWay === 0 || performance.now() > giveUpMs) worker.retire(reason);
      else this.#recycling = setTimeout(attempt, RECYCLE_POLL_MS);
    };
    clearTimeout(this.#recycling);
    this.#recycling = setTimeout(attempt, 0);
  }

  get state(): RunnerState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  start(): Promise<void> {
    if (this.#state === 'ready') return Promise.resolve();
    if (this.#starting === undefined) {
      this.#starting = Promise.withResolvers<void>();
      this.#deaths = 0;
      clearTimeout(this.#restart);
      if (this.#process === undefined) this.#spawn('starting');
    }
    return this.#starting.promise;
  }

  #spawn(state: 'starting' | 'restarting' | 'failed'): void {
    this.#state = state;
    const { backend, memoryFolder } = this.#options;
    const config = {
      device: this.#device,
      ...(backend !== undefined && { backend }),
      ...(memoryFolder !== undefined && { memoryFolder }),
    };
    const worker: WorkerProcess = new WorkerProcess(
      config,
      { ...DEFAULTS, ...this.#options, environment: this.#environment() },
      {
        onReady: () => this.#onReady(),
        onRan: () => {
          this.#deaths = 0;
        },
        onExit: (reason, culprit) => this.#onExit(worker, reason, culprit),
      },
    );
    this.#process = worker;
  }

  #environment(): Record<string, string> {
    const environment: Record<string, string> = { ...this.#options.environment };
    // Pinned by its identity, which no reordering of cards changes; inside the process it is device 0.
    if (this.#device.uuid !== undefined) environment['CUDA_VISIBLE_DEVICES'] = this.#device.uuid;
    return environment;
  }

  #onReady(): void {
    this.#state = 'ready';
    // A driver that is slow to answer must not keep the device from serving.
    void this.#card?.start();
    this.#settleStart();
    this.#events.onReady();
  }

  #settleStart(error?: GpufaasError): void {
    const starting = this.#starting;
    this.#starting = undefined;
    if (error === undefined) starting?.resolve();
    else starting?.reject(error);
  }

  #onExit(worker: WorkerProcess, reason: string, culprit?: string | null): void {
    if (this.#process !== worker) return;
    this.#process = undefined;
    this.#card?.stop();
    clearTimeout(this.#recycling);
    if (this.#state === 'stopped' || this.#state === 'unplugged') return;
    this.#deaths += 1;
    // Somebody waits for a first start: what did not come up twice will not soon.
    const crashLimit = Math.min(
      this.#options.crashLimit ?? CRASH_LIMIT,
      this.#starting === undefined ? Infinity : START_ATTEMPTS,
    );
    const wasReady = this.#state === 'ready';
    const wasFailed = this.#state === 'failed';
    const failed = this.#deaths >= crashLimit;
    this.#state = failed ? 'failed' : 'restarting';
    const backoffMs = this.#options.backoffMs ?? BACKOFF_MS;
    const pauseMs = failed
      ? (this.#options.failedRetryMs ?? FAILED_RETRY_MS)
      : (backoffMs[Math.min(this.#deaths, backoffMs.length) - 1] ?? 0);
    this.#restart = setTimeout(() => this.#spawn(failed ? 'failed' : 'restarting'), pauseMs);
    if (failed) {
      this.#settleStart(
        new GpufaasError('NO_DEVICE', `The worker of ${this.device} does not start: ${reason.replace(/\.$/, '')}.`, {
          suggestions: ['Run `gpufaas doctor`.'],
        }),
      );
    }
    // A device that never came up was not there to be lost; an operator still wants to know why.
    if (wasReady || (failed && !wasFailed)) this.#events.onLost(reason, failed, culprit);
    this.#events.onNotice(failed ? 'the worker does not stay up' : 'the worker died', {
      device: this.device,
      reason,
      deaths: this.#deaths,
      restartInMs: pauseMs,
    });
  }

  /** Calls only reach a worker that is up: the others are to be placed elsewhere. */
  #worker(): WorkerProcess {
    if (this.#state === 'ready' && this.#process !== undefined) return this.#process;
    throw this.#notUp();
  }

  #notUp(): GpufaasError {
    return new GpufaasError('WORKER_DIED', `The worker of ${this.device} is not up (${this.#state}).`);
  }

  async load(model: LoadableModel): Promise<LoadResult> {
    const worker = this.#worker();
    const task = (): Promise<LoadResult> => worker.load(model);
    const { result, measuredBytes } =
      this.#card === undefined ? { result: await task(), measuredBytes: null } : await this.#card.load(model.id, task);
    this.#deaths = 0;
    return this.#card === undefined ? result : { ...result, measuredBytes };
  }

  async evict(modelId: string): Promise<EvictResult> {
    const worker = this.#worker();
    if (this.#card === undefined) return worker.evict(modelId);
    const { result, releasedBytes } = await this.#card.evict(modelId, () => worker.evict(modelId));
    return { ...result, releasedBytes };
  }

  async widen(model: LoadableModel): Promise<void> {
    await this.#worker().widen(model);
  }

  async narrow(modelId: string): Promise<void> {
    await this.#worker().narrow(modelId);
  }

  run(modelId: string, inputs: readonly Tensor[], instance?: number): Promise<RunResult> {
    const worker = this.#process;
    if (this.#state !== 'ready' || worker === undefined) return Promise.reject(this.#notUp());
    return worker.run(modelId, inputs, instance);
  }

  async measure(): Promise<DeviceMeasurement> {
    const { rssBytes, ...rest } = await this.#worker().measure();
    const card = (await this.#card?.refresh()) ?? this.#card?.latest ?? null;
    const ofCard = card === null ? {} : { deviceTotalBytes: card.totalBytes, deviceFreeBytes: card.freeBytes };
    return { processRssBytes: rssBytes, ...rest, ...ofCard };
  }

  async stop(force = false): Promise<void> {
    await this.#halt('stopped', force);
  }

  async unplug(): Promise<void> {
    if (this.#device.kind !== 'emulated') {
      throw new GpufaasError('USAGE', `${this.device} is a real device; only emulated ones can be unplugged.`);
    }
    if (this.#state === 'unplugged' || this.#state === 'stopped') return;
    const wasReady = this.#state === 'ready';
    await this.#halt('unplugged', true);
    if (wasReady) this.#events.onLost('it was unplugged', true, null);
  }

  async plug(): Promise<void> {
    if (this.#device.kind !== 'emulated') {
      throw new GpufaasError('USAGE', `${this.device} is a real device; only emulated ones can be plugged in.`);
    }
    await this.start();
  }

  async #halt(state: 'stopped' | 'unplugged', force: boolean): Promise<void> {
    this.#state = state;
    clearTimeout(this.#restart);
    clearTimeout(this.#recycling);
    this.#settleStart(new GpufaasError('WORKER_DIED', `The worker of ${this.device} was ${state}.`));
    const worker = this.#process;
    if (worker === undefined) return;
    if (force) worker.kill(`it was ${state}`);
    else await worker.stop();
    await worker.exited;
  }
}

/** The runner of a device; `start` begins. */
export function createRunner(device: Device, options: RunnerOptions, events: RunnerEvents): DeviceRunner {
  return new ProcessRunner(device, options, events);
}
