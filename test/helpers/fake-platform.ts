// A daemon for tests of the gateway: the real interface, functions held in memory, models that compute something a test
// can check by hand. Records what it was asked.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlatformEvent } from '../../src/api/events.ts';
import type {
  DeployResult,
  DeviceStatus,
  FunctionDetail,
  FunctionSummary,
  InvocationRecord,
  LogLineMessage,
  PsResponse,
  StatusResponse,
  StoredModelSummary,
} from '../../src/api/schemas.ts';
import { systemClock } from '../../src/clock.ts';
import { AsyncCalls } from '../../src/daemon/async-calls.ts';
import { Callbacks } from '../../src/daemon/callbacks.ts';
import { GpufaasError } from '../../src/errors.ts';
import type {
  CallSummary,
  DeployStep,
  DeployUpload,
  FunctionCall,
  FunctionOutcome,
  InferenceCall,
  InferenceOutcome,
  ModelAddress,
  Platform,
  RefusedCall,
  ResidencyTarget,
  ServedFunction,
  ServedModel,
} from '../../src/gateway/platform.ts';
import { createAsyncCallStore } from '../../src/store/async-calls.ts';
import { openDatabase } from '../../src/store/database.ts';
import type { Tensor, TensorSpec } from '../../src/tensors.ts';

/** What a fake model does with its inputs. */
export type Compute = (inputs: readonly Tensor[]) => readonly Tensor[] | Promise<readonly Tensor[]>;

/** What a fake handler does with a call. */
export type Handle = (
  call: FunctionCall,
  signal: AbortSignal,
) => Promise<Omit<FunctionOutcome, 'call'>> | Omit<FunctionOutcome, 'call'>;

/** A model to serve: by default its outputs are its inputs under the outputs' names. */
export interface FakeModel {
  readonly name: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly compute?: Compute;
  readonly quarantined?: boolean;
}

/** A function to serve. */
export interface FakeFunction {
  readonly name: string;
  readonly version?: number;
  readonly maxBodyBytes?: number;
  readonly models?: readonly FakeModel[];
  readonly handle?: Handle;
}

const HIT = { cache: 'hit', device: 'cpu:0' } as const;
const TIMING = { queueMs: 0.5, loadMs: 0, runMs: 2, handlerMs: 1, totalMs: 4 };

/** The daemon of a test. */
export class FakePlatform implements Platform {
  readonly version = '1.2.3';
  readonly calls: FunctionCall[] = [];
  readonly inferences: InferenceCall[] = [];
  readonly refusals: RefusedCall[] = [];
  readonly deployed: { bytes: number; gzip: boolean; note: string }[] = [];
  readonly asked: string[] = [];
  readonly records: InvocationRecord[] = [];
  /** The real ones, in a folder that `close` removes. */
  readonly asyncCalls: AsyncCalls;
  readonly #folder = mkdtempSync(join(tmpdir(), 'gpufaas-calls-'));
  lines: LogLineMessage[] = [];
  isReady = true;
  isLive = true;
  /** Set to make the next inference or invocation fail. */
  failure: GpufaasError | undefined;
  #functions = new Map<string, FakeFunction>();
  readonly #listeners = new Set<(event: PlatformEvent) => void>();

  constructor(...functions: readonly FakeFunction[]) {
    for (const each of functions) this.#functions.set(each.name, each);
    this.asyncCalls = new AsyncCalls({
      store: createAsyncCallStore(openDatabase(':memory:'), this.#folder),
      callbacks: new Callbacks({ pauseMs: 10 }),
      clock: systemClock,
      onNotice: () => undefined,
    });
  }

  async close(): Promise<void> {
    await this.asyncCalls.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  function(name: string): ServedFunction | undefined {
    const known = this.#functions.get(name);
    return known === undefined ? undefined : served(known);
  }

  served(): readonly ServedFunction[] {
    return [...this.#functions.values()].map(served);
  }

  live(): boolean {
    return this.isLive;
  }

  ready(): boolean {
    return this.isReady;
  }

  async invoke(call: FunctionCall, signal: AbortSignal, onStart?: () => void): Promise<FunctionOutcome> {
    this.calls.push(call);
    this.#throwFailure();
    const known = this.#known(call.function);
    onStart?.();
    const outcome = await known.handle!(call, signal);
    this.#record(known, call.callId, call.surface, outcome.status);
    return { ...outcome, call: summary(known) };
  }

  async infer(call: InferenceCall): Promise<InferenceOutcome> {
    this.inferences.push(call);
    this.#throwFailure();
    const known = this.#known(call.function);
    const model = known.models!.find((each) => each.name === call.model)!;
    const outputs = await (model.compute ?? echo(model))(call.inputs);
    this.#record(known, call.callId, call.surface, 200, model.name);
    return { outputs, call: summary(known) };
  }

  refused(call: RefusedCall): void {
    this.refusals.push(call);
  }

  async functions(): Promise<FunctionSummary[]> {
    return this.served().map(({ name, version, models }) => ({
      name,
      version,
      status: 'ready',
      models: models.map((model) => model.name),
      invocations: this.records.filter((record) => record.function === name).length,
    }));
  }

  async describe(name: string): Promise<FunctionDetail> {
    const known = served(this.#known(name));
    return {
      name,
      version: known.version,
      status: 'ready',
      models: known.models.map((model) => model.name),
      invocations: 0,
      description: '',
      url: '',
      handler: known.hasHandler ? 'handler.ts' : null,
      createdAt: new Date(0).toISOString(),
      manifest: {},
      modelDetails: [],
      versions: [],
      lastErrors: [],
    };
  }

  async deploy(
    upload: DeployUpload,
    onProgress: (step: DeployStep) => void,
    signal: AbortSignal,
  ): Promise<DeployResult> {
    let bytes = 0;
    for await (const chunk of upload.archive) bytes += chunk.byteLength;
    signal.throwIfAborted();
    this.#throwFailure();
    this.deployed.push({ bytes, gzip: upload.gzip, note: upload.note });
    onProgress({ type: 'step', step: 'unpack', message: 'Unpacking' });
    if (upload.note === 'fail late') throw new GpufaasError('DEPLOY_FAILED', 'The smoke test failed.');
    return { name: 'new', version: 1, url: 'http://localhost/function/new', models: [], smokeTest: null };
  }

  async rollback(name: string, version: number | undefined): Promise<{ name: string; version: number }> {
    this.#known(name);
    return { name, version: version ?? 1 };
  }

  async remove(name: string): Promise<void> {
    this.#known(name);
    this.#functions.delete(name);
  }

  async *logs(name: string): AsyncGenerator<LogLineMessage> {
    this.#known(name);
    yield* this.lines;
  }

  load(name: string, target: ResidencyTarget): Promise<PsResponse> {
    return this.#residency('load', name, target);
  }

  unload(name: string, target: ResidencyTarget): Promise<PsResponse> {
    return this.#residency('unload', name, target);
  }

  async pin(name: string, pinned: boolean): Promise<PsResponse> {
    this.#known(name);
    this.asked.push(`pin ${name} ${String(pinned)}`);
    return this.ps();
  }

  ps(): PsResponse {
    return { devices: this.devices(), queued: 0 };
  }

  devices(): DeviceStatus[] {
    const resident = [
      {
        model: 'resident',
        sha256: 'ab',
        functions: [...this.#functions.keys()].slice(0, 1),
        bytes: 10,
        state: 'resident' as const,
        hits: 1,
        lastUsedAt: null,
        until: null,
        inUse: false,
        pinned: false,
      },
    ];
    return [
      {
        id: 'cpu:0',
        kind: 'cpu',
        name: 'A processor',
        state: 'ready',
        pid: 1,
        memoryBytes: 1000,
        usedBytes: 10,
        measuredBytes: null,
        resident,
        queued: 0,
      },
    ];
  }

  async plug(device: string): Promise<DeviceStatus> {
    this.asked.push(`plug ${device}`);
    return this.devices()[0]!;
  }

  async unplug(device: string): Promise<DeviceStatus> {
    this.asked.push(`unplug ${device}`);
    throw new GpufaasError('DEVICE_NOT_FOUND', 'There is no such device.');
  }

  status(): StatusResponse {
    return {
      status: 'ready',
      pid: 1,
      url: 'http://127.0.0.1:1',
      version: this.version,
      policy: 'locality',
      devices: [],
      uptimeMs: 1,
      home: '/nowhere',
      functions: this.#functions.size,
      underWay: 0,
      queued: 0,
    };
  }

  async invocations(): Promise<InvocationRecord[]> {
    return this.records;
  }

  async invocation(id: string): Promise<InvocationRecord> {
    const record = this.records.find((each) => each.id === id);
    if (record === undefined) throw new GpufaasError('CALL_NOT_FOUND', 'There is no such invocation.');
    return record;
  }

  async models(): Promise<[]> {
    return [];
  }

  async pullModel(source: ModelAddress, onProgress: (progress: DeployStep) => void): Promise<StoredModelSummary> {
    this.asked.push(`pullModel ${source.url}`);
    onProgress({ type: 'step', step: 'pull', message: 'Fetching the model', done: 1, total: 2 });
    return { sha256: source.sha256 ?? 'a'.repeat(64), bytes: 2, functions: [], lastUsedAt: null };
  }

  async removeModel(sha256: string): Promise<void> {
    this.asked.push(`removeModel ${sha256}`);
  }

  shutdown(drainMs: number): void {
    this.asked.push(`shutdown ${drainMs}`);
  }

  subscribe(listener: (event: PlatformEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Tells every listener of an event. */
  emit(event: PlatformEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  async #residency(verb: string, name: string, target: ResidencyTarget): Promise<PsResponse> {
    this.#known(name);
    this.asked.push([verb, name, target.model, target.device].filter((word) => word !== undefined).join(' '));
    return this.ps();
  }

  #known(name: string): FakeFunction {
    const known = this.#functions.get(name);
    if (known === undefined) throw new GpufaasError('FUNCTION_NOT_FOUND', 'There is no such function.');
    return known;
  }

  #throwFailure(): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
  }

  #record(known: FakeFunction, id: string, surface: string, status: number, model?: string): void {
    const runs = model === undefined ? [] : [{ model, ...HIT, ...TIMING }];
    const record: InvocationRecord = {
      id,
      function: known.name,
      version: known.version ?? 1,
      surface,
      status,
      errorCode: null,
      errorMessage: null,
      arrivedAt: new Date().toISOString(),
      cache: model === undefined ? 'none' : 'hit',
      device: model === undefined ? null : 'cpu:0',
      runs,
      timing: TIMING,
      decisions: [],
    };
    this.records.push(record);
    this.emit({ type: 'invocation', record });
  }
}

const summary = (known: FakeFunction): CallSummary => ({ version: known.version ?? 1, ...HIT, timing: TIMING });

const echo =
  (model: FakeModel): Compute =>
  (inputs) =>
    model.outputs.map((output, index) => ({ ...inputs[index % inputs.length]!, name: output.name }));

function served(known: FakeFunction): ServedFunction {
  return {
    name: known.name,
    version: known.version ?? 1,
    description: '',
    hasHandler: known.handle !== undefined,
    maxBodyBytes: known.maxBodyBytes ?? 16_000_000,
    createdAtMs: 0,
    models: (known.models ?? []).map((model): ServedModel => ({
      name: model.name,
      sha256: 'ab',
      inputs: model.inputs,
      outputs: model.outputs,
      quarantined: model.quarantined ?? false,
    })),
  };
}
