// The path of an invocation: admitted, run, answered, remembered. Whatever happens, it ends once, leaves every door it
// entered, and is recorded.

import type { InvocationRecord } from '../api/schemas.ts';
import { Cancellation, type CancelSignal } from '../cancellation.ts';
import type { Clock } from '../clock.ts';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import type { HandlerResponse, RunModel } from '../functions/types.ts';
import type {
  FunctionCall,
  FunctionOutcome,
  InferenceCall,
  InferenceOutcome,
  RefusedCall,
} from '../gateway/platform.ts';
import type { Tensor } from '../tensors.ts';
import { Call } from './call.ts';
import { rowsOf, type Catalog, type Serving, type ServingModel } from './catalog.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { InferenceResult } from './pending.ts';

export interface CallsOptions {
  readonly catalog: Catalog;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  /** Called once for every invocation that ended. */
  readonly onEnd: (record: InvocationRecord) => void;
}

const PRIORITIES = { low: -1, normal: 0, high: 1 } as const;

export class Calls {
  readonly #catalog: Catalog;
  readonly #dispatcher: Dispatcher;
  readonly #clock: Clock;
  readonly #onEnd: (record: InvocationRecord) => void;
  #underWay = 0;
  /** Records of what ended in this turn of the event loop. */
  #ended: (() => InvocationRecord)[] = [];
  #draining = false;
  #idle: (() => void)[] = [];

  constructor(options: CallsOptions) {
    this.#catalog = options.catalog;
    this.#dispatcher = options.dispatcher;
    this.#clock = options.clock;
    this.#onEnd = options.onEnd;
  }

  /** Invocations that have not ended. */
  get underWay(): number {
    return this.#underWay;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Refuses what comes from now on; resolves when what is under way has ended, false if that took too long. */
  drain(timeoutMs: number): Promise<boolean> {
    this.#draining = true;
    this.#remember();
    if (this.#underWay === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const cancel = this.#clock.after(timeoutMs, () => resolve(false));
      this.#idle.push(() => {
        cancel();
        resolve(true);
      });
    });
  }

  /** One inference asked for from outside. */
  infer(request: InferenceCall, signal: CancelSignal): Promise<InferenceOutcome> {
    return this.inferServing(this.#catalog.need(request.function), request, signal);
  }

  /** One inference of a given version, serving or not (the smoke test of a deployment). */
  async inferServing(serving: Serving, request: InferenceCall, signal: CancelSignal): Promise<InferenceOutcome> {
    const call = this.#begin(serving, request);
    let failure: GpufaasError | null = null;
    let inside = false;
    const limit = this.#limit(signal, serving.version.manifest.timeoutMs, call);
    try {
      this.#refuseIfDraining();
      const model = serving.models.get(request.model);
      if (model === undefined) {
        throw new GpufaasError('MODEL_NOT_FOUND', `Function ${serving.version.name} has no model "${request.model}".`);
      }
      if (!serving.runs.tryEnter()) await serving.runs.enter(limit.signal);
      inside = true;
      const { outputs } = await this.#run(serving, model, request.inputs, call, limit.signal);
      return { outputs, call: call.summary() };
    } catch (thrown) {
      failure = toGpufaasError(thrown);
      throw failure;
    } finally {
      if (inside) serving.runs.leave();
      limit.end();
      this.#end(call, failure?.status ?? 200, failure);
    }
  }

  /** One call of a function's handler. */
  invoke(request: FunctionCall, signal: CancelSignal, onStart?: () => void): Promise<FunctionOutcome> {
    return this.invokeServing(this.#catalog.need(request.function), request, signal, onStart);
  }

  /** One call of a given version, serving or not (the smoke test of a deployment). */
  async invokeServing(
    serving: Serving,
    request: FunctionCall,
    signal: CancelSignal,
    onStart?: () => void,
  ): Promise<FunctionOutcome> {
    const call = this.#begin(serving, request);
    const limit = this.#limit(signal, serving.version.manifest.timeoutMs, call);
    let inside = false;
    const finish = (status: number, error: GpufaasError | null): void => {
      limit.end();
      if (inside) serving.calls.leave();
      this.#end(call, status, error);
    };
    try {
      this.#refuseIfDraining();
      const { process } = serving;
      if (process === null) throw new GpufaasError('INTERNAL', 'A function without handler was invoked.');
      // Its models are loaded while the handler is not yet there, or prepares what it will run them on.
      for (const { key } of serving.models.values()) this.#dispatcher.hint(key);
      await serving.calls.enter(limit.signal);
      inside = true;
      onStart?.();
      const response = await process.invoke(request, this.#runFor(serving, call, limit), limit.signal);
      if (limit.signal.aborted) throw toGpufaasError(limit.signal.reason);
      if (response.body instanceof Uint8Array) {
        const outcome = { ...response, call: call.summary() };
        finish(response.status, null);
        return outcome;
      }
      return { ...response, body: streamed(response, response.body, finish), call: call.summary() };
    } catch (thrown) {
      // The limit's own reason tells more than what the handler made of it.
      const error =
        limit.refusal ?? (limit.signal.aborted ? toGpufaasError(limit.signal.reason) : toGpufaasError(thrown));
      finish(error.status, error);
      throw error;
    }
  }

  /** A call that ended before it came here. */
  refused(request: RefusedCall): void {
    const call = new Call(
      this.#clock,
      request.callId,
      request.function,
      request.version,
      request.surface,
      request.arrivedAtMs,
    );
    this.#onEnd({
      ...call.record(request.status, null),
      errorCode: request.errorCode,
      errorMessage: request.errorMessage,
    });
  }

  #runFor(serving: Serving, call: Call, limit: Limit): RunModel {
    return async (name, inputs, signal) => {
      const model = serving.models.get(name);
      if (model === undefined) {
        throw new GpufaasError('MODEL_NOT_FOUND', `function.yaml declares no model "${name}".`, {
          suggestions: [`It declares: ${Array.from(serving.models.keys()).join(', ')}.`],
        });
      }
      await serving.runs.enter(signal);
      try {
        const { outputs } = await this.#run(serving, model, inputs, call, signal);
        return outputs;
      } catch (thrown) {
        const error = toGpufaasError(thrown);
        // What is refused is the whole invocation, whatever the handler makes of the error.
        if (error.kind === 'capacity') limit.refusal ??= error;
        throw error;
      } finally {
        serving.runs.leave();
      }
    };
  }

  async #run(
    serving: Serving,
    model: ServingModel,
    inputs: readonly Tensor[],
    call: Call,
    signal: CancelSignal,
  ): Promise<InferenceResult> {
    const { manifest } = serving.version;
    const fresh = call.fresh;
    let bytes = 0;
    for (const tensor of inputs) bytes += tensor.data.byteLength;
    call.runSubmitted();
    let result: InferenceResult | null = null;
    try {
      result = await this.#dispatcher.infer(
        {
          model: model.key,
          inputs,
          arrivedAtMs: call.arrivedAtMs,
          coldAfterMs: call.coldAfterMs(model.name),
          bytes,
          rows: rowsOf(model.model, inputs[0]?.shape),
          priority: PRIORITIES[manifest.priority],
          admitted: !fresh,
          ...(manifest.deadlineMs === null ? {} : { deadlineAtMs: call.arrivedAtMs + manifest.deadlineMs }),
        },
        signal,
      );
      return result;
    } finally {
      call.runEnded(model.name, result);
    }
  }

  #begin(serving: Serving, request: InferenceCall | FunctionCall): Call {
    this.#underWay++;
    const { name, version } = serving.version;
    return new Call(this.#clock, request.callId, name, version, request.surface, request.arrivedAtMs);
  }

  #end(call: Call, status: number, error: GpufaasError | null): void {
    call.end();
    // Remembering waits until the answer is on its way.
    if (this.#ended.push(() => call.record(status, error)) === 1) setImmediate(() => this.#remember());
    if (--this.#underWay > 0) return;
    if (this.#idle.length > 0) this.#remember();
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }

  #remember(): void {
    const ended = this.#ended;
    this.#ended = [];
    for (const record of ended) this.#onEnd(record());
  }

  #refuseIfDraining(): void {
    if (!this.#draining) return;
    throw new GpufaasError('DRAINING', 'The daemon is going down and takes no new calls.', { retryAfterMs: 5000 });
  }

  /** The caller's signal joined with the function's timeout, counted from the arrival. */
  #limit(caller: CancelSignal, timeoutMs: number, call: Call): Limit {
    const cancellation = new Cancellation();
    const onCaller = (): void =>
      cancellation.cancel(new GpufaasError('CANCELLED', 'The caller gave up before there was an answer.'));
    if (caller.aborted) onCaller();
    else caller.addEventListener('abort', onCaller, { once: true });
    const cancelTimer = this.#clock.after(timeoutMs - (this.#clock.now() - call.arrivedAtMs), () =>
      cancellation.cancel(
        new GpufaasError('TIMEOUT', `The function had no answer within its timeout of ${timeoutMs} ms.`, {
          suggestions: ['Raise `timeout` in function.yaml, or see with `gpufaas explain` where the time went.'],
        }),
      ),
    );
    return {
      signal: cancellation,
      refusal: null,
      end: () => {
        cancelTimer();
        caller.removeEventListener('abort', onCaller);
      },
    };
  }
}

interface Limit {
  readonly signal: CancelSignal;
  /** Why the whole invocation is refused, if one of its runs was. */
  refusal: GpufaasError | null;
  end(): void;
}

/** Passes a streamed body on; the invocation ends when the stream does, or when nobody reads it any more. */
function streamed(
  response: HandlerResponse,
  body: AsyncIterable<Uint8Array>,
  finish: (status: number, error: GpufaasError | null) => void,
): AsyncIterable<Uint8Array> {
  let ended = false;
  const endOnce = (error: GpufaasError | null): void => {
    if (ended) return;
    ended = true;
    finish(error === null ? response.status : error.status, error);
  };
  return {
    // By hand and not as a generator: one that is returned before its first step would never end the invocation.
    [Symbol.asyncIterator]() {
      const source = body[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            const step = await source.next();
            if (step.done === true) endOnce(null);
            return step;
          } catch (thrown) {
            endOnce(toGpufaasError(thrown));
            throw thrown;
          }
        },
        async return() {
          endOnce(new GpufaasError('CANCELLED', 'The caller stopped reading before the end.'));
          await source.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  };
}
