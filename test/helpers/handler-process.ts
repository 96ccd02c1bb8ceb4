// A handler's process for tests: made from the text of a handler, ended when the test ends.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { parseManifest } from '../../src/functions/manifest.ts';
import { createFunctionProcess, type FunctionProcessOptions } from '../../src/functions/process.ts';
import type { FunctionProcess, HandlerRequest, HandlerResponse, LogLine, RunModel } from '../../src/functions/types.ts';

export interface StartedHandler {
  readonly process: FunctionProcess;
  readonly folder: string;
  readonly lines: LogLine[];
  readonly notices: string[];
  /** Calls it with a body; the answer's body as bytes. */
  readonly call: (
    body?: string | Uint8Array,
    options?: { runModel?: RunModel; signal?: AbortSignal; request?: Partial<HandlerRequest> },
  ) => Promise<{ status: number; headers: Readonly<Record<string, string>>; body: Buffer }>;
  readonly raw: (
    request: Partial<HandlerRequest>,
    runModel?: RunModel,
    signal?: AbortSignal,
  ) => Promise<HandlerResponse>;
}

const noModels: RunModel = () => Promise.reject(new Error('no model was expected to run'));

/** Makes the process of a handler; `files` are written beside it. The caller starts it, or lets the first call do so. */
export function handlerProcess(
  source: string,
  options: FunctionProcessOptions & {
    readonly manifest?: string;
    readonly files?: Readonly<Record<string, string>>;
    readonly file?: string;
  } = {},
): StartedHandler {
  const { manifest = '', files = {}, file = 'handler.ts', ...processOptions } = options;
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-handler-'));
  for (const [name, text] of Object.entries({ [file]: source, ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const lines: LogLine[] = [];
  const notices: string[] = [];
  const process = createFunctionProcess(
    {
      name: 'probe',
      version: 1,
      manifest: parseManifest(`name: probe\nhandler: ${file}\n${manifest}`, { source: 'function.yaml' }),
      folder,
      models: {},
      createdAtMs: 0,
    },
    processOptions,
    { onLog: (line) => lines.push(line), onNotice: (message) => notices.push(message) },
  );
  onTestFinished(async () => {
    await process.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  let count = 0;
  const raw: StartedHandler['raw'] = (request, runModel = noModels, signal = new AbortController().signal) =>
    process.invoke(
      { callId: `call-${++count}`, method: 'POST', path: '/', headers: {}, body: new Uint8Array(0), ...request },
      runModel,
      signal,
    );
  return {
    process,
    folder,
    lines,
    notices,
    raw,
    async call(body = '', { runModel, signal, request } = {}) {
      const response = await raw({ body: Buffer.from(body), ...request }, runModel, signal);
      return { ...response, body: await readAll(response.body) };
    },
  };
}

/** A whole body, streamed or not. */
export async function readAll(body: HandlerResponse['body']): Promise<Buffer> {
  if (body instanceof Uint8Array) return Buffer.from(body);
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

/** Waits until something is so; fails after twenty seconds. */
export async function eventually(what: string, check: () => boolean): Promise<void> {
  const endsAt = Date.now() + 20_000;
  while (!check()) {
    if (Date.now() > endsAt) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** True while a process runs; one that has ended and that nobody has asked for yet does not. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' && process.platform !== 'linux';
  }
}
