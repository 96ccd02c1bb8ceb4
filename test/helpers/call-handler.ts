// Calls the handler of a template in this process, its models run by ONNX Runtime: what a template answers, without a daemon.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { InferenceSession, Tensor } from 'onnxruntime-node';

import { parseManifest } from '../../src/functions/manifest.ts';
import { functionRequest } from '../../src/functions/request.ts';
import { httpErrorResponse, isHttpError, toResponse } from '../../src/functions/responses.ts';
import type { Manifest } from '../../src/functions/types.ts';
import type { Handler, Model, OutputTensor } from '../../src/sdk.ts';

/** An answer with its body as bytes and, where it is JSON, parsed. */
export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly bytes: Uint8Array;
  readonly json: unknown;
}

/** A template ready to be called. */
export interface LoadedTemplate {
  readonly folder: string;
  readonly manifest: Manifest;
  call(body: Uint8Array | string, path?: string, headers?: Record<string, string>): Promise<Answer>;
  /** The bytes of one of its files. */
  file(path: string): Buffer;
  release(): Promise<void>;
}

/** Loads templates/NAME: manifest, handler, models. */
export async function loadTemplate(name: string): Promise<LoadedTemplate> {
  const folder = fileURLToPath(new URL(`../../templates/${name}`, import.meta.url));
  const file = (path: string): Buffer => readFileSync(join(folder, path));
  const manifest = parseManifest(file('function.yaml').toString(), { source: 'function.yaml' });
  const { default: handler } = (await import(join(folder, manifest.handler!))) as { default: Handler };
  const sessions = new Map<string, InferenceSession>();
  const models: Record<string, Model> = {};
  for (const [key, model] of Object.entries(manifest.models)) {
    if (!('path' in model)) throw new Error(`${name} has a model that is not in its folder.`);
    const session = await InferenceSession.create(join(folder, model.path));
    sessions.set(key, session);
    models[key] = modelOf(key, session);
  }
  const call = async (body: Uint8Array | string, path = '/', headers: Record<string, string> = {}): Promise<Answer> => {
    const request = functionRequest({ callId: 'test', method: 'POST', path, headers, body: Buffer.from(body) });
    const silent = (): void => undefined;
    const log = { debug: silent, info: silent, warn: silent, error: silent };
    const context = { models, environment: manifest.environment, log, signal: new AbortController().signal };
    const response = await Promise.resolve()
      .then(async () => handler(request, context))
      .then(toResponse)
      .catch((error: unknown) => {
        if (isHttpError(error)) return httpErrorResponse(error);
        throw error;
      });
    if (!(response.body instanceof Uint8Array)) throw new Error('A streamed answer was not expected.');
    const type = response.headers['content-type'] ?? '';
    const json: unknown = type.startsWith('application/json')
      ? JSON.parse(Buffer.from(response.body).toString())
      : undefined;
    return { status: response.status, type, bytes: response.body, json };
  };
  const release = async (): Promise<void> => {
    await Promise.all([...sessions.values()].map((session) => session.release()));
  };
  return { folder, manifest, call, file, release };
}

function modelOf(name: string, session: InferenceSession): Model {
  return {
    name,
    async run(inputs) {
      const feeds = Object.entries(inputs).map(([input, { datatype, shape, data }]) => {
        if (datatype !== 'FP32') throw new Error(`A template sends ${datatype}, which this helper does not know.`);
        return [input, new Tensor('float32', data as Float32Array, shape)] as const;
      });
      const results = await session.run(Object.fromEntries(feeds));
      return Object.fromEntries(
        Object.entries(results).map(([output, { data, dims }]): [string, OutputTensor] => [
          output,
          {
            name: output,
            datatype: 'FP32',
            shape: dims,
            data: data as Float32Array,
            as: () => {
              throw new Error('A template reads FP32 only.');
            },
          },
        ]),
      ) as Record<string, OutputTensor>;
    },
  };
}
