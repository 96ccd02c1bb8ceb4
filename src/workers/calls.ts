// The calls that a runner has under way in its worker, with the limit of each. Calls of one lane are carried out one
// after the other, so the limit of a call runs from when it is the first of its lane: progress, not age, is watched.

import { GpufaasError } from '../errors.ts';

interface Call {
  readonly number: number;
  readonly lane: string;
  readonly limitMs: number;
  readonly what: string;
  readonly model: string | undefined;
  resolve(value: unknown): void;
  reject(error: GpufaasError): void;
}

/** Numbers calls, settles them once, and says which one went past its limit. */
export class Calls {
  readonly #onLimit: (what: string, limitMs: number, model: string | undefined) => void;
  readonly #calls = new Map<number, Call>();
  readonly #lanes = new Map<string, { readonly waiting: Call[]; timer: NodeJS.Timeout }>();
  #next = 1;

  constructor(onLimit: (what: string, limitMs: number, model: string | undefined) => void) {
    this.#onLimit = onLimit;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Adds a call and hands its number to `send`; a `send` that throws rejects it. */
  add<T>(
    {
      lane,
      limitMs,
      what,
      model,
    }: { readonly lane: string; readonly limitMs: number; readonly what: string; readonly model?: string },
    send: (number: number) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const call: Call = {
        number: this.#next++,
        lane,
        limitMs,
        what,
        model,
        resolve: resolve as (value: unknown) => void,
        reject,
      };
      this.#calls.set(call.number, call);
      const waiting = this.#lanes.get(lane);
      if (waiting) waiting.waiting.push(call);
      else this.#lanes.set(lane, { waiting: [call], timer: this.#arm(call) });
      try {
        send(call.number);
      } catch (error) {
        this.#take(call.number);
        reject(error);
      }
    });
  }

  #arm(call: Call): NodeJS.Timeout {
    return setTimeout(() => this.#onLimit(call.what, call.limitMs, call.model), call.limitMs);
  }

  /** Removes a call; the limit of the next in its lane starts to run. */
  #take(number: number): Call | undefined {
    const call = this.#calls.get(number);
    if (call === undefined) return undefined;
    this.#calls.delete(number);
    const lane = this.#lanes.get(call.lane)!;
    const position = lane.waiting.indexOf(call);
    lane.waiting.splice(position, 1);
    if (position > 0) return call;
    clearTimeout(lane.timer);
    const [next] = lane.waiting;
    if (next === undefined) this.#lanes.delete(call.lane);
    else lane.timer = this.#arm(next);
    return call;
  }

  /** Settles a call; one that is not under way any more is ignored. */
  resolve(number: number, value: unknown): void {
    this.#take(number)?.resolve(value);
  }

  reject(number: number, error: GpufaasError): void {
    this.#take(number)?.reject(error);
  }

  /** Rejects everything under way with WORKER_DIED, in the order it was given. */
  rejectAll(message: string): void {
    const calls = [...this.#calls.values()];
    for (const { timer } of this.#lanes.values()) clearTimeout(timer);
    this.#calls.clear();
    this.#lanes.clear();
    for (const call of calls) call.reject(new GpufaasError('WORKER_DIED', message));
  }
}
