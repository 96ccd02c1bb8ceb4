// `gpufaas/testing`: a function under test in vitest or node:test, with no daemon. The handler runs in the same kind of
// process as in production, under the same permissions and limits; its models run in a worker, or are faked.
// Public: names and meanings only grow.

import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Device } from './devices/types.ts';
import { GpufaasError } from './errors.ts';
import { parseManifest } from './functions/manifest.ts';
import { fileInside } from './functions/paths.ts';
import { createFunctionProcess } from './functions/process.ts';
import type { FunctionProcess, HandlerResponse, Manifest, RunModel } from './functions/types.ts';
import { inspectOnnx } from './onnx/inspect.ts';
import { ModelOutput, toWire, type InputTensor, type OutputTensor } from './sdk/tensor.ts';
import type { Tensor } from './tensors.ts';
import { createRunner } from './workers/runner.ts';
import type { Runner } from './workers/types.ts';

export { tensor } from './sdk/tensor.ts';

/** Takes a model's place: gets the inputs by name, gives the outputs by name (made with `tensor`). */
export type FakeModel = (
  inputs: Readonly<Record<string, OutputTensor>>,
) => Readonly<Record<string, InputTensor>> | Promise<Readonly<Record<string, InputTensor>>>;

/** How a function is tested. */
export interface TestOptions {
  /** Fakes by the model's name in function.yaml; the others run as they are. */
  readonly models?: Readonly<Record<string, FakeModel>>;
  /** Values of the secrets that function.yaml names. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Added to `environment` of function.yaml, or in the place of what stands there. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** One call: `body` as bytes or text, or `json` to be written as JSON. */
export interface TestRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  readonly json?: unknown;
  readonly signal?: AbortSignal;
}

/** What the function answered, read to its end. */
export interface TestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** The pieces of a streamed answer as they came; one for any other. */
  readonly pieces: readonly Uint8Array[];
  text(): string;
  json<T = unknown>(): T;
}

/** A line the handler logged. */
export interface TestLogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly text: string;
}

/** A function under test. Close it, or the test process goes on: `await using fn = await testFunction('.')` does. */
export interface TestedFunction extends AsyncDisposable {
  /** Everything logged so far. */
  readonly logs: readonly TestLogLine[];
  /** Calls the handler. Rejects with an error whose `code` is HANDLER_ERROR, TIMEOUT, … as the daemon would answer. */
  call(request?: TestRequest | Uint8Array | string): Promise<TestAnswer>;
  /** One run of a model of function.yaml, faked or real. */
  run(model: string, inputs: Readonly<Record<string, InputTensor>>): Promise<Record<string, OutputTensor>>;
  close(): Promise<void>;
}

/**
 * Starts the function in `folder` (a path, or the URL of a file in it: `import.meta.url`). Rejects with the error that a
 * deployment would end with: a manifest, a model, a handler that can't be loaded.
 */
export async function testFunction(folder: string | URL, options: TestOptions = {}): Promise<TestedFunction> {
  const root = folderOf(folder);
  const manifest = readManifest(root, options);
  const tested = new FunctionUnderTest(root, manifest, options);
  try {
    await tested.start();
    return tested;
  } catch (error) {
    await tested.close();
    throw error;
  }
}

class FunctionUnderTest implements TestedFunction {
  readonly logs: TestLogLine[] = [];
  readonly #manifest: Manifest;
  readonly #fakes: Readonly<Record<string, FakeModel>>;
  readonly #process: FunctionProcess | null;
  readonly #models: TestModels;
  #calls = 0;

  constructor(folder: string, manifest: Manifest, options: TestOptions) {
    this.#manifest = manifest;
    this.#fakes = options.models ?? {};
    this.#models = new TestModels(folder, manifest);
    const version = { name: manifest.name, version: 1, manifest, folder, models: {}, createdAtMs: Date.now() };
    const callbacks = {
      onLog: ({ level, text }: TestLogLine) => void this.logs.push({ level, text }),
      onNotice: (text: string) => void this.logs.push({ level: 'warn' as const, text }),
    };
    this.#process =
      manifest.handler === null
        ? null
        : createFunctionProcess(version, { secrets: pick(manifest.secrets, options.secrets) }, callbacks);
  }

  async start(): Promise<void> {
    await this.#process?.start();
  }

  async call(request: TestRequest | Uint8Array | string = {}): Promise<TestAnswer> {
    if (this.#process === null) {
      throw new GpufaasError('USAGE', `${this.#manifest.name} has no handler.`, {
        suggestions: ['Run its model: fn.run(name, inputs).'],
      });
    }
    const {
      method = 'POST',
      path = '/',
      headers = {},
      body,
      json,
      signal,
    } = typeof request === 'string' || request instanceof Uint8Array ? { body: request } : request;
    const isJson = json !== undefined;
    const response = await this.#process.invoke(
      {
        callId: `test-${++this.#calls}`,
        method,
        path,
        headers: { ...(isJson && { 'content-type': 'application/json' }), ...lowerCased(headers) },
        body: Buffer.from(isJson ? JSON.stringify(json) : (body ?? '')),
      },
      this.#runModel,
      signal ?? new AbortController().signal,
    );
    return readAnswer(response);
  }

  async run(model: string, inputs: Readonly<Record<string, InputTensor>>): Promise<Record<string, OutputTensor>> {
    const tensors = Object.entries(inputs).map(([name, value]) => toWire(name, value));
    return byName(await this.#runModel(model, tensors, new AbortController().signal));
  }

  async close(): Promise<void> {
    await this.#process?.stop();
    await this.#models.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #runModel: RunModel = async (model, inputs) => {
    const fake = Object.hasOwn(this.#fakes, model) ? this.#fakes[model] : undefined;
    if (fake === undefined) return this.#models.run(model, inputs);
    const outputs = await fake(byName(inputs));
    return Object.entries(outputs).map(([name, value]) => toWire(name, value));
  };
}

/** The models of a function in one worker process, each loaded when it is first run. */
class TestModels {
  readonly #folder: string;
  readonly #manifest: Manifest;
  readonly #loads = new Map<string, Promise<unknown>>();
  #runner: Promise<Runner> | null = null;

  constructor(folder: string, manifest: Manifest) {
    this.#folder = folder;
    this.#manifest = manifest;
  }

  async run(model: string, inputs: readonly Tensor[]): Promise<readonly Tensor[]> {
    const runner = await (this.#runner ??= startRunner());
    const loading = this.#loads.get(model) ?? this.#load(runner, model);
    this.#loads.set(model, loading);
    await loading;
    return (await runner.run(model, inputs)).outputs;
  }

  async close(): Promise<void> {
    const runner = await this.#runner?.catch(() => null);
    await runner?.stop(true);
  }

  async #load(runner: Runner, name: string): Promise<void> {
    const declared = this.#manifest.models[name];
    if (declared === undefined) {
      throw new GpufaasError('MODEL_NOT_FOUND', `function.yaml declares no model "${name}".`, {
        suggestions: [`It declares: ${Object.keys(this.#manifest.models).join(', ') || 'none'}.`],
      });
    }
    if (!('path' in declared)) {
      throw new GpufaasError('MODEL_NOT_FOUND', `The model "${name}" is not in the folder but at ${declared.url}.`, {
        suggestions: [`Fake it in the test: testFunction(folder, { models: { ${name}: (inputs) => … } }).`],
      });
    }
    const path = fileInside(this.#folder, declared.path);
    if (path === null)
      throw new GpufaasError('FILE_NOT_FOUND', `There is no model ${declared.path}.`, {
        suggestions: ['Check `models` in function.yaml.'],
      });
    const { inputs, outputs } = inspectOnnx(path);
    const { sessionOptions } = declared;
    await runner.load({ id: name, path, prepared: false, inputs, outputs, ...(sessionOptions && { sessionOptions }) });
  }
}

async function startRunner(): Promise<Runner> {
  const device: Device = {
    id: 'cpu:0',
    kind: 'cpu',
    index: 0,
    name: 'test',
    memoryBytes: 64e9,
    threads: 1,
    overlap: true,
  };
  const ignore = (): void => undefined;
  const runner = createRunner(device, {}, { onReady: ignore, onLost: ignore, onNotice: ignore });
  await runner.start();
  return runner;
}

function folderOf(folder: string | URL): string {
  const text = String(folder);
  const path = text.startsWith('file:') ? fileURLToPath(text) : text;
  return realpathSync(/\.[cm]?[jt]s$/.test(path) ? join(path, '..') : path);
}

function readManifest(folder: string, { models = {}, secrets = {}, environment = {} }: TestOptions): Manifest {
  let text: string;
  try {
    text = readFileSync(join(folder, 'function.yaml'), 'utf8');
  } catch (error) {
    throw new GpufaasError('FILE_NOT_FOUND', `There is no function.yaml in ${folder}.`, {
      cause: error,
      suggestions: ['Give the folder of the function.'],
    });
  }
  const manifest = parseManifest(text, { source: 'function.yaml' });
  const unknown = Object.keys(models).find((name) => !Object.hasOwn(manifest.models, name));
  if (unknown !== undefined)
    throw new GpufaasError('USAGE', `The test fakes the model "${unknown}", which function.yaml does not declare.`);
  const missing = manifest.secrets.filter((name) => !Object.hasOwn(secrets, name));
  if (missing.length > 0) {
    throw new GpufaasError('USAGE', `The test gives no value for the secret ${missing.join(', ')}.`, {
      suggestions: [`testFunction(folder, { secrets: { '${missing[0]}': '…' } })`],
    });
  }
  return { ...manifest, environment: { ...manifest.environment, ...environment } };
}

async function readAnswer({ status, headers, body }: HandlerResponse): Promise<TestAnswer> {
  const pieces: Uint8Array[] = [];
  if (body instanceof Uint8Array) pieces.push(body);
  else for await (const piece of body) pieces.push(piece);
  const whole = Buffer.concat(pieces);
  return {
    status,
    headers,
    body: whole,
    pieces,
    text: () => whole.toString('utf8'),
    json: <T>() => JSON.parse(whole.toString('utf8')) as T,
  };
}

const byName = (tensors: readonly Tensor[]): Record<string, OutputTensor> =>
  Object.fromEntries(tensors.map((one) => [one.name, new ModelOutput(one)]));

const lowerCased = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

function pick(names: readonly string[], values: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, values[name]!]));
}
