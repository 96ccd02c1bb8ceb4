// The typed client of the daemon: one method for each route the commands need. Answers are checked against the wire
// contract; whatever fails is thrown as a GpufaasError with the daemon's own code.

import type { Readable } from 'node:stream';
import type { ZodType } from 'zod';
import type * as Schemas from '../api/schemas.ts';
import { headers as wire, routes } from '../api/routes.ts';
import { GpufaasError } from '../errors.ts';
import { existingCall, existingName } from './function-name.ts';
import { readBody, readChunks, readLines, send, type HttpAnswer, type HttpRequest } from './http.ts';
import { errorFromBody, errorFromProblem, isProblem } from './problem.ts';

/** How to reach one daemon. */
export interface ClientOptions {
  readonly url: string;
  readonly token: string | null;
  /** Aborts everything under way. */
  readonly signal?: AbortSignal | undefined;
}

/** One call of a function. */
export interface Call {
  readonly body?: Uint8Array;
  /** What follows the function's name: begins with a slash. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the whole call; default one hour, the function's own limit being the daemon's business. */
  readonly timeoutMs?: number;
}

/** A function's answer. The body is not read yet. */
export interface CallAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Narrows the list of invocations. */
export interface InvocationFilter {
  readonly function?: string | undefined;
  readonly limit?: number | undefined;
  readonly since?: string | undefined;
}

/** Narrows the list of asynchronous calls. */
export interface AsyncCallFilter {
  readonly function?: string | undefined;
  readonly state?: string | undefined;
  readonly limit?: number | undefined;
}

const ANSWER_TIMEOUT_MS = 30_000;
/** A load may have to wait for running work and then read a large model. */
const SLOW_TIMEOUT_MS = 10 * 60_000;
const HOUR_MS = 3_600_000;

/** A client of one daemon; holds no connection between calls. */
export class GpufaasClient {
  readonly url: string;
  readonly #token: string | null;
  readonly #signal: AbortSignal | undefined;

  constructor(options: ClientOptions) {
    this.url = options.url;
    this.#token = options.token;
    this.#signal = options.signal;
  }

  /** True once at least one device serves. Throws NO_DAEMON if nothing answers. */
  async ready(timeoutMs = 2_000): Promise<boolean> {
    const answer = await this.#send('GET', '/readyz', { answerTimeoutMs: timeoutMs });
    answer.body.resume();
    return answer.status === 200;
  }

  status(timeoutMs = ANSWER_TIMEOUT_MS): Promise<Schemas.StatusResponse> {
    return this.#json('GET', routes.status, (schemas) => schemas.statusSchema, { answerTimeoutMs: timeoutMs });
  }

  /**
   * The process that answers as a daemon, with its state; null if what answers is not a daemon that knows our token. Cheap:
   * nothing but these two fields is looked at.
   */
  async identify(timeoutMs: number): Promise<{ pid: number; status: string; version: string } | null> {
    const request = this.#request('GET', routes.status, { answerTimeoutMs: timeoutMs });
    const answer = await send(request);
    const body = await readBody(answer, request);
    try {
      const fields = JSON.parse(body.toString()) as Record<string, unknown>;
      const { pid, status, version } = fields;
      if (answer.status !== 200 || typeof pid !== 'number') return null;
      return { pid, status: String(status), version: String(version) };
    } catch {
      return null;
    }
  }

  /** Asks the daemon to drain for at most so long and then to end; returns at once. */
  async shutdown(drainMs: number): Promise<void> {
    await this.#raw('POST', routes.shutdown, { json: { drainMs } });
  }

  functions(): Promise<Schemas.FunctionSummary[]> {
    return this.#json('GET', routes.functions, (schemas) => schemas.functionSummarySchema.array());
  }

  async function(name: string): Promise<Schemas.FunctionDetail> {
    return this.#json('GET', routes.function(existingName(name)), (schemas) => schemas.functionDetailSchema);
  }

  async remove(name: string): Promise<void> {
    await this.#raw('DELETE', routes.function(existingName(name)), { answerTimeoutMs: SLOW_TIMEOUT_MS });
  }

  async rollback(name: string, version?: number): Promise<{ name: string; version: number }> {
    return this.#json(
      'POST',
      routes.functionAction(existingName(name), 'rollback'),
      (schemas) => schemas.functionSummarySchema.pick({ name: true, version: true }),
      { json: version === undefined ? {} : { version }, answerTimeoutMs: SLOW_TIMEOUT_MS },
    );
  }

  /** Uploads a package (a tar stream) and gives the steps of the deployment; a failed one is thrown. */
  async *deploy(
    archive: Readable,
    note = '',
  ): AsyncGenerator<Exclude<Schemas.DeployProgress, { type: 'error' }>, void> {
    const path = note === '' ? routes.functions : `${routes.functions}?note=${encodeURIComponent(note)}`;
    const { progressSchema } = await import('../api/schemas.ts');
    for await (const step of this.#lines('POST', path, progressSchema, {
      body: archive,
      headers: { 'content-type': 'application/x-tar' },
      answerTimeoutMs: HOUR_MS,
      idleTimeoutMs: SLOW_TIMEOUT_MS,
    })) {
      if (step.type === 'error') throw errorFromProblem(step.error, step.error.status);
      yield step;
    }
  }

  /** The lines a function logged; with `follow` it goes on until the signal fires. */
  async *logs(
    name: string,
    options: { follow?: boolean; tail?: number | undefined } = {},
  ): AsyncGenerator<Schemas.LogLineMessage, void> {
    const query = new URLSearchParams();
    if (options.follow) query.set('follow', 'true');
    if (options.tail !== undefined) query.set('tail', String(options.tail));
    const { logLineSchema } = await import('../api/schemas.ts');
    const path = `${routes.functionAction(existingName(name), 'logs')}?${query.toString()}`;
    // A function that says nothing for hours is followed all the same.
    yield* this.#lines('GET', path, logLineSchema, { idleTimeoutMs: options.follow ? 0 : ANSWER_TIMEOUT_MS });
  }

  /** Resolves once the models of a function are resident. */
  async load(name: string, device?: string): Promise<Schemas.PsResponse> {
    return this.#residency(name, 'load', device === undefined ? {} : { device });
  }

  /** Resolves once they are gone. */
  async unload(name: string, device?: string): Promise<Schemas.PsResponse> {
    return this.#residency(name, 'unload', device === undefined ? {} : { device });
  }

  async pin(name: string, pinned: boolean): Promise<Schemas.PsResponse> {
    return this.#residency(name, 'pin', { pinned });
  }

  ps(): Promise<Schemas.PsResponse> {
    return this.#json('GET', routes.ps, (schemas) => schemas.psSchema);
  }

  devices(): Promise<Schemas.DeviceStatus[]> {
    return this.#json('GET', routes.devices, (schemas) => schemas.deviceSchema.array());
  }

  /** Newest first. */
  invocations(filter: InvocationFilter = {}): Promise<Schemas.InvocationRecord[]> {
    return this.#json('GET', `${routes.invocations}?${queryOf(filter)}`, (schemas) => schemas.invocationSchema.array());
  }

  async invocation(id: string): Promise<Schemas.InvocationRecord> {
    return this.#json('GET', routes.invocation(existingCall(id)), (schemas) => schemas.invocationSchema);
  }

  models(): Promise<Schemas.StoredModelSummary[]> {
    return this.#json('GET', routes.models, (schemas) => schemas.storedModelSchema.array());
  }

  /** Has the daemon fetch a model into its store, and gives the steps; a failed one is thrown. */
  async *pullModel(
    url: string,
    sha256?: string,
  ): AsyncGenerator<Exclude<Schemas.PullProgress, { type: 'error' }>, void> {
    const { pullProgressSchema } = await import('../api/schemas.ts');
    for await (const step of this.#lines('POST', routes.modelPull, pullProgressSchema, {
      json: sha256 === undefined ? { url } : { url, sha256 },
      answerTimeoutMs: HOUR_MS,
      idleTimeoutMs: SLOW_TIMEOUT_MS,
    })) {
      if (step.type === 'error') throw errorFromProblem(step.error, step.error.status);
      yield step;
    }
  }

  async removeModel(sha256: string): Promise<void> {
    await this.#raw('DELETE', routes.model(sha256));
  }

  /**
   * Calls a function. What the function answers, good or bad, is returned; what went wrong around it (unknown function, full
   * queue, handler died) is thrown.
   */
  async call(name: string, call: Call = {}): Promise<CallAnswer> {
    return this.#call('POST', `${routes.call(existingName(name))}${call.path ?? ''}`, call);
  }

  /** Calls a function without waiting for it; gives the id to ask for the answer with. */
  async callLater(name: string, call: Call = {}): Promise<string> {
    const answer = await this.#call('POST', `${routes.asyncCall(existingName(name))}${call.path ?? ''}`, call);
    const id = answer.headers[wire.callId];
    for await (const _ of answer.body);
    if (answer.status === 202 && id !== undefined) return id;
    throw notUnderstood('an asynchronous call', answer.status);
  }

  /** The answer of such a call; null while it waits or runs. Throws CALL_NOT_FOUND, or what the call failed with. */
  async callAnswer(id: string): Promise<CallAnswer | null> {
    const answer = await this.#call('GET', routes.asyncCall(existingCall(id)), { timeoutMs: ANSWER_TIMEOUT_MS });
    if (answer.status !== 202) return answer;
    for await (const _ of answer.body);
    return null;
  }

  /** Ends such a call. Throws CALL_NOT_FOUND, or CONFLICT if it has ended already. */
  async cancelCall(id: string): Promise<void> {
    await this.#raw('DELETE', routes.asyncCall(existingCall(id)));
  }

  /** Asynchronous calls, newest first. */
  asyncCalls(filter: AsyncCallFilter = {}): Promise<Schemas.AsyncCallSummary[]> {
    return this.#json('GET', `${routes.calls}?${queryOf(filter)}`, (schemas) => schemas.asyncCallSchema.array());
  }

  /** One of them as it stands. Throws CALL_NOT_FOUND. */
  async asyncCall(id: string): Promise<Schemas.AsyncCallSummary> {
    return this.#json('GET', routes.asyncCallRecord(existingCall(id)), (schemas) => schemas.asyncCallSchema);
  }

  /** Runs one again that has ended. Throws CALL_NOT_FOUND, or CONFLICT while it waits or runs. */
  async retryCall(id: string): Promise<Schemas.AsyncCallSummary> {
    return this.#json('POST', routes.asyncCallRetry(existingCall(id)), (schemas) => schemas.asyncCallSchema);
  }

  async #call(method: string, path: string, call: Call): Promise<CallAnswer> {
    const limitMs = call.timeoutMs ?? HOUR_MS;
    const request = this.#request(method, path, {
      ...(call.body && { body: call.body }),
      ...(call.headers && { headers: call.headers }),
      answerTimeoutMs: limitMs,
      idleTimeoutMs: limitMs,
    });
    const answer = await send(request);
    if (answer.status >= 400 && isProblem(answer.headers['content-type'])) {
      throw errorFromBody(await readBody(answer, request), answer.status);
    }
    const headers = Object.entries(answer.headers).map(([key, value]) => [key, String(value)] as const);
    return { status: answer.status, headers: Object.fromEntries(headers), body: readChunks(answer, request) };
  }

  async #residency(name: string, action: 'load' | 'unload' | 'pin', json: object): Promise<Schemas.PsResponse> {
    return this.#json('POST', routes.functionAction(existingName(name), action), (schemas) => schemas.psSchema, {
      json,
      answerTimeoutMs: SLOW_TIMEOUT_MS,
    });
  }

  async *#lines<T>(method: string, path: string, schema: ZodType<T>, options: RequestOptions): AsyncGenerator<T, void> {
    const request = this.#request(method, path, options);
    const answer = await send(request);
    if (answer.status >= 400) throw errorFromBody(await readBody(answer, request), answer.status);
    try {
      for await (const line of readLines(answer, request)) yield parse(schema, line, path);
    } finally {
      answer.body.destroy();
    }
  }

  // The schemas are loaded with the first answer that needs them: they cost more than the rest of a command's start.
  async #json<T>(
    method: string,
    path: string,
    pick: (schemas: typeof Schemas) => ZodType<T>,
    options: RequestOptions = {},
  ): Promise<T> {
    const body = await this.#raw(method, path, options);
    return parse(pick(await import('../api/schemas.ts')), body.toString(), path);
  }

  async #raw(method: string, path: string, options: RequestOptions = {}): Promise<Buffer> {
    const request = this.#request(method, path, options);
    const answer = await send(request);
    const body = await readBody(answer, request);
    if (answer.status >= 400) throw errorFromBody(body, answer.status);
    return body;
  }

  #send(method: string, path: string, options: RequestOptions): Promise<HttpAnswer> {
    return send(this.#request(method, path, options));
  }

  #request(method: string, path: string, options: RequestOptions): HttpRequest {
    const body = options.json === undefined ? options.body : Buffer.from(JSON.stringify(options.json));
    const url = new URL(path, this.url);
    // `a/../b` would be another function's call by the time it is sent.
    if (/(^|\/)\.\.?(\/|$)/.test(path.split('?', 1)[0]!)) {
      throw new GpufaasError('USAGE', "A path can't have . or .. in it.", { suggestions: ['Write the whole path.'] });
    }
    return {
      method,
      url,
      headers: {
        ...(this.#token !== null && { authorization: `Bearer ${this.#token}` }),
        ...(options.json !== undefined && { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(body !== undefined && { body }),
      answerTimeoutMs: options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS,
      idleTimeoutMs: options.idleTimeoutMs ?? ANSWER_TIMEOUT_MS,
      signal: this.#signal,
    };
  }
}

interface RequestOptions {
  readonly json?: object;
  readonly body?: Uint8Array | Readable;
  readonly headers?: Readonly<Record<string, string>>;
  readonly answerTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
}

function queryOf(filter: object): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(filter)) if (value !== undefined) query.set(key, String(value));
  return query.toString();
}

function parse<T>(schema: ZodType<T>, text: string, path: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw notUnderstood(path, error);
  }
  const result = schema.safeParse(value);
  if (!result.success) throw notUnderstood(path, result.error);
  return result.data;
}

function notUnderstood(path: string, cause: unknown): GpufaasError {
  return new GpufaasError('VERSION_MISMATCH', `The daemon's answer to ${path.split('?')[0]} was not understood.`, {
    cause,
    suggestions: ['Daemon and command line are probably of different versions: `gpufaas down`, then `gpufaas up`.'],
  });
}
