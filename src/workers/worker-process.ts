// One life of a worker's process, from spawn to exit: its channel, the calls under way in it, its heartbeat. Whatever
// goes wrong ends the process; `onExit` then says why, once, after every call was rejected with WORKER_DIED.

import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { GpufaasError } from '../errors.ts';
import type { Tensor } from '../tensors.ts';
import { sharesThread } from './backends/open.ts';
import { Calls } from './calls.ts';
import {
  type FromWorker,
  fromErrorMessage,
  GAVE_UP_EXIT_CODE,
  headOf,
  joinTensors,
  type ToWorker,
  WORKER_VARIABLE,
  type WorkerConfig,
  type WorkerMemory,
} from './protocol.ts';
import { nativeEnvironment, nodeCommand } from './native-process.ts';
import { Lanes } from './lanes.ts';
import { type Channel, CHANNEL_FD, openChannel } from './transport.ts';
import type { EvictResult, LoadableModel, LoadResult, RunResult } from './types.ts';
import { bytesToPlace, PayloadWindow } from './window.ts';

type Loaded = Extract<FromWorker, { type: 'loaded' }>;
/** The answer of a run as it arrived. */
type Ran = Pick<Extract<FromWorker, { type: 'ran' }>, 'outputs' | 'placed' | 'runMs'> & {
  readonly parts: Uint8Array[];
};

/** Limits of one process, in milliseconds, and how it is started. */
export interface ProcessOptions {
  readonly startLimitMs: number;
  readonly runLimitMs: number;
  readonly loadLimitMs: number;
  readonly heartbeatMs: number;
  readonly heartbeatLimitMs: number;
  readonly stopGraceMs: number;
  /** Bytes of private writable memory after which allocations fail (POSIX only, by the shell's ulimit). */
  readonly dataLimitBytes?: number;
  readonly environment: Readonly<Record<string, string>>;
}

/** What its owner is told. */
export interface ProcessEvents {
  onReady(): void;
  /** A run succeeded. */
  onRan(): void;
  /** `culprit`: the model whose load or run passed its limit, if that is why; null if no model is to blame. */
  onExit(reason: string, culprit?: string | null): void;
}

const ENTRY = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './entry.ts' : './entry.js', import.meta.url));
const STDERR_KEPT = 4096;
/** Unanswered heartbeats that any busy machine may show. */
const STILL_BEATS = 2;

function start(config: WorkerConfig, options: ProcessOptions, window: PayloadWindow | null): ChildProcess {
  const [command, ...parameters] = nodeCommand([ENTRY], options.dataLimitBytes);
  return spawn(command, parameters, {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', window?.fd ?? 'ignore'],
    env: nativeEnvironment({ ...options.environment, [WORKER_VARIABLE]: JSON.stringify(config) }),
    windowsHide: true,
  });
}

/** A running worker. Methods reject with GpufaasError; after the exit with WORKER_DIED. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #channel: Channel;
  readonly #window = PayloadWindow.open();
  readonly #lanes = Lanes.open(
    (message, parts) => this.#onMessage(message as unknown as FromWorker, parts),
    (lane) => {
      // The thread of a resident model does not hear us any more; after a moment, as for the main channel.
      const used = [...this.#laneOf.values(), ...Array.from(this.#instanceLanes.values()).flat()];
      if (used.includes(lane)) this.kill("a model's thread closed its channel", 500);
    },
  );
  /** The number of the thread that holds a model. */
  readonly #laneOf = new Map<string, number | null>();
  /** The numbers of the threads of its instances. */
  readonly #instanceLanes = new Map<string, (number | null)[]>();
  readonly #options: ProcessOptions;
  readonly #events: ProcessEvents;
  readonly #device: string;
  /** Loads and runs wait for each other. */
  readonly #oneLane: boolean;
  readonly #calls: Calls;
  /** What the last run of a model gave, in bytes: its next slot should hold as much. */
  readonly #outputBytes = new Map<string, number>();
  /** Limits of models that bring their own, in milliseconds. */
  readonly #runLimits = new Map<string, number>();
  readonly #exited = Promise.withResolvers<void>();
  #startTimer: NodeJS.Timeout | undefined;
  #heartbeatTimer: NodeJS.Timeout | undefined;
  #unansweredBeats = 0;
  #reason: string | undefined;
  #culprit: string | null | undefined;
  #stderr = '';
  #ended = false;
  #reported = false;

  constructor(config: WorkerConfig, options: ProcessOptions, events: ProcessEvents) {
    this.#options = options;
    this.#events = events;
    this.#device = config.device.id;
    this.#oneLane = sharesThread(config.device);
    this.#calls = new Calls((what, limitMs, model) => {
      this.#culprit ??= model;
      this.kill(`${what} took longer than ${limitMs} ms`);
    });
    const lanes = this.#lanes === null ? {} : { lanes: this.#lanes.address };
    this.#child = start({ ...config, ...lanes }, options, this.#window);
    this.#child.on('error', (error) => this.#finish(`it could not be started: ${error.message}`));
    this.#child.on('exit', (code, signal) => this.#onExit(signal === null ? `exit code ${code}` : `signal ${signal}`));
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    this.#channel = openChannel(this.#child.stdio[CHANNEL_FD] as Duplex, {
      onMessage: (message, parts) => {
        this.#unansweredBeats = 0;
        this.#onMessage(message as unknown as FromWorker, parts);
      },
      // An exit follows a closed channel at once; a process that closed it and lives on is of no use.
      onClose: (error) => this.kill(error?.message ?? 'it closed its channel', 500),
    });
    this.#startTimer = setTimeout(
      () => this.kill(`it was not ready after ${options.startLimitMs} ms`),
      options.startLimitMs,
    );
  }

  get pid(): number | undefined {
    return this.#ended ? undefined : this.#child.pid;
  }

  get callsUnderWay(): number {
    return this.#calls.size;
  }

  /** Resolves after the process is gone. */
  get exited(): Promise<void> {
    return this.#exited.promise;
  }

  /** Ends the process with SIGKILL, after `delayMs`; the reason is what `onExit` will say. */
  kill(reason: string, delayMs = 0): void {
    if (this.#ended) return;
    this.#reason ??= delayMs > 0 ? undefined : reason;
    if (delayMs === 0) this.#child.kill('SIGKILL');
    else setTimeout(() => this.kill(reason), delayMs).unref();
  }

  /** Ends the process at once, for a reason that lies with no model. */
  retire(reason: string): void {
    this.#culprit ??= null;
    this.kill(reason);
  }

  /** Calls are rejected at once; the report waits a moment for what the process wrote last. */
  #onExit(how: string): void {
    // It stood still as a whole before it died: no model does that, they have threads of their own.
    if (this.#unansweredBeats > STILL_BEATS) this.#culprit ??= null;
    this.#end();
    const timer = setTimeout(() => this.#finish(how), 100);
    this.#child.stderr!.once('close', () => {
      clearTimeout(timer);
      this.#finish(how);
    });
  }

  #end(): void {
    this.#ended = true;
    clearTimeout(this.#startTimer);
    clearTimeout(this.#heartbeatTimer);
    this.#channel.close();
    this.#lanes?.close();
    this.#window?.close();
    this.#calls.rejectAll(`The worker of ${this.#device} died.`);
  }

  #finish(how: string): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#end();
    const lastWords = this.#stderr.trim().split('\n').at(-1) ?? '';
    // A worker that gives up says why itself.
    const prefix = how === `exit code ${GAVE_UP_EXIT_CODE}` ? '' : `${how}: `;
    const reason = this.#reason ?? (lastWords === '' ? how : `${prefix}${lastWords.slice(0, 300)}`);
    this.#exited.resolve();
    this.#events.onExit(reason, this.#culprit);
  }

  #onMessage(message: FromWorker, parts: Uint8Array[]): void {
    switch (message.type) {
      case 'ready':
        clearTimeout(this.#startTimer);
        this.#heartbeat();
        this.#events.onReady();
        return;
      case 'pong':
        return;
      case 'failed':
        this.#calls.reject(message.call, fromErrorMessage(message.error));
        return;
      case 'loaded':
        this.#calls.resolve(message.call, message);
        return;
      case 'widened':
        this.#calls.resolve(message.call, message.lane);
        return;
      case 'narrowed':
        this.#calls.resolve(message.call, undefined);
        return;
      case 'evicted':
        this.#calls.resolve(message.call, message.result);
        return;
      case 'measured':
        this.#calls.resolve(message.call, message.memory);
        return;
      case 'ran': {
        this.#events.onRan();
        const { outputs, placed, runMs } = message;
        this.#calls.resolve(message.call, { outputs, placed, runMs, parts } satisfies Ran);
      }
    }
  }

  /** Any message of the main thread counts as a sign of life, so a busy channel is not mistaken for a dead one. */
  #heartbeat(): void {
    this.#heartbeatTimer = setTimeout(() => {
      const { heartbeatMs, heartbeatLimitMs } = this.#options;
      // Beats are counted, not time: if this process itself was held up, the answers are waiting to be read.
      if (this.#unansweredBeats * heartbeatMs >= heartbeatLimitMs) {
        // The main thread runs no model: whatever holds it up, none of them does.
        this.retire(`it did not answer for ${this.#unansweredBeats * heartbeatMs} ms`);
        return;
      }
      this.#unansweredBeats += 1;
      this.#send({ type: 'ping' });
      this.#heartbeat();
    }, this.#options.heartbeatMs);
    this.#heartbeatTimer.unref();
  }

  #send(message: ToWorker, parts: readonly Uint8Array[] = [], channel = this.#channel): void {
    channel.send(message as unknown as Record<string, unknown>, parts);
  }

  #call<T>(
    lane: string,
    limitMs: number,
    what: string,
    message: (call: number) => ToWorker,
    {
      model,
      parts,
      via,
    }: { readonly model?: string; readonly parts?: readonly Uint8Array[]; readonly via?: Channel } = {},
  ): Promise<T> {
    if (this.#ended || this.#channel.closed) {
      return Promise.reject(new GpufaasError('WORKER_DIED', `The worker of ${this.#device} died.`));
    }
    return this.#calls.add({ lane, limitMs, what, ...(model !== undefined && { model }) }, (call) =>
      this.#send(message(call), parts, via),
    );
  }

  #lane(name: string): string {
    return this.#oneLane ? 'thread' : name;
  }

  #loadLimitMs({ limits }: LoadableModel): number {
    return limits?.loadMs ?? this.#options.loadLimitMs;
  }

  async load(model: LoadableModel): Promise<LoadResult> {
    if (model.limits !== undefined) this.#runLimits.set(model.id, model.limits.runMs);
    const limitMs = this.#loadLimitMs(model);
    const { result, lane } = await this.#call<Loaded>(
      this.#lane('memory'),
      limitMs,
      'a load',
      (call) => ({ type: 'load', call, model }),
      { model: model.id },
    );
    this.#laneOf.set(model.id, lane);
    return result;
  }

  /** Runs under way end first, so an eviction may take as long as they. */
  #evictionLimitMs(model: string): number {
    return this.#options.loadLimitMs + (this.#runLimits.get(model) ?? this.#options.runLimitMs);
  }

  evict(model: string): Promise<EvictResult> {
    const limitMs = this.#evictionLimitMs(model);
    this.#runLimits.delete(model);
    this.#outputBytes.delete(model);
    this.#laneOf.delete(model);
    this.#instanceLanes.delete(model);
    return this.#call(this.#lane('memory'), limitMs, 'an eviction', (call) => ({ type: 'evict', call, model }));
  }

  async widen(model: LoadableModel): Promise<void> {
    const { id } = model;
    // If they are given up or go with the model meanwhile, the lane is nobody's.
    const lanes = this.#instanceLanes.get(id) ?? [];
    this.#instanceLanes.set(id, lanes);
    const message = (call: number): ToWorker => ({ type: 'widen', call, model: id });
    const about = { model: id };
    lanes.push(await this.#call(this.#lane('memory'), this.#loadLimitMs(model), 'a load', message, about));
  }

  async narrow(model: string): Promise<void> {
    this.#instanceLanes.delete(model);
    const message = (call: number): ToWorker => ({ type: 'narrow', call, model });
    await this.#call(this.#lane('memory'), this.#evictionLimitMs(model), 'an eviction', message);
  }

  async run(model: string, inputs: readonly Tensor[], instance?: number): Promise<RunResult> {
    const parts = inputs.map(({ data }) => data);
    const slot = this.#window?.take(Math.max(bytesToPlace(parts), this.#outputBytes.get(model) ?? 0)) ?? null;
    try {
      const placed = slot === null ? null : this.#window!.write(slot, parts);
      const lane = instance === undefined ? this.#laneOf.get(model) : this.#instanceLanes.get(model)?.[instance];
      const via = this.#lanes?.get(lane);
      const ran = await this.#call<Ran>(
        this.#lane(instance === undefined ? `run ${model}` : `run ${model} ${instance}`),
        this.#runLimits.get(model) ?? this.#options.runLimitMs,
        'a run',
        (call) => ({ type: 'run', call, model, instance: instance ?? null, inputs: inputs.map(headOf), slot, placed }),
        { model, parts: placed === null ? parts : [], ...(via !== undefined && { via }) },
      );
      const outputs = slot === null || ran.placed === null ? ran.parts : this.#read(slot, ran.placed);
      this.#outputBytes.set(model, bytesToPlace(outputs));
      return { outputs: joinTensors(ran.outputs, outputs), runMs: ran.runMs };
    } finally {
      if (slot !== null) this.#window!.give(slot);
    }
  }

  /** A worker that says it placed what can't be there is of no use any more. */
  #read(slot: number, placed: readonly number[]): Uint8Array[] {
    try {
      return this.#window!.read(slot, placed);
    } catch (error) {
      this.kill('it answered with outputs that are not there');
      throw error;
    }
  }

  measure(): Promise<WorkerMemory> {
    return this.#call('measure', this.#options.heartbeatLimitMs, 'a measurement', (call) => ({
      type: 'measure',
      call,
    }));
  }

  /** Lets it finish what is under way and exit; SIGKILL after the grace. */
  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#reason = 'it was stopped';
    this.#send({ type: 'stop' });
    const timer = setTimeout(() => this.kill('it was stopped'), this.#options.stopGraceMs);
    await this.exited;
    clearTimeout(timer);
  }
}
