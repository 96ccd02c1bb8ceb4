// The calls that a runner has under way in its worker, with the limit of each. Calls of one lane are carried out one
// after the other, so the limit of a call runs from when it is the first of its lane: progress, not age, is watched. A lane's timer
// goes on from call to call, and looks for itself when it fires: one for each call would be work on the way of every run.

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

interface Lane {
  readonly name: string;
  readonly waiting: Call[];
  /** Since when the first of them is the first, on the monotonic clock. */
  sinceMs: number;
  timer: NodeJS.Timeout | undefined;
  dueAtMs: number;
}

/** Numbers calls, settles them once, and says which one went past its limit. */
export class Calls {
  readonly #onLimit: (what: string, limitMs: number, model: string | undefined) => void;
  readonly #calls = new Map<number, Call>();
  readonly #lanes = new Map<string, Lane>();
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
      this.#line(lane, call);
      try {
        send(call.number);
      } catch (error) {
        this.#take(call.number);
        reject(error);
      }
    });
  }

  #line(name: string, call: Call): void {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { name, waiting: [], sinceMs: 0, timer: undefined, dueAtMs: Infinity };
      this.#lanes.set(name, lane);
    }
    if (lane.waiting.push(call) === 1) this.#watch(lane, call);
  }

  /** The call is the first of its lane from now on. */
  #watch(lane: Lane, { limitMs }: Call): void {
    lane.sinceMs = performance.now();
    if (lane.dueAtMs > lane.sinceMs + limitMs) this.#look(lane, limitMs);
  }

  /** Looks after the lane once so much time has passed. */
  #look(lane: Lane, afterMs: number): void {
    clearTimeout(lane.timer);
    lane.dueAtMs = performance.now() + afterMs;
    lane.timer = setTimeout(() => {
      lane.dueAtMs = Infinity;
      const [first] = lane.waiting;
      if (first === undefined) {
        this.#lanes.delete(lane.name);
        return;
      }
      const leftMs = lane.sinceMs + first.limitMs - performance.now();
      if (leftMs > 0) this.#look(lane, Math.max(1, leftMs));
      else this.#onLimit(first.what, first.limitMs, first.model);
    }, afterMs);
    // The process that is watched keeps its owner alive, not the watch.
    lane.timer.unref();
  }

  /** Removes a call; the limit of the next in its lane starts to run. */
  #take(number: number): Call | undefined {
    const call = this.#calls.get(number);
    if (call === undefined) return undefined;
    this.#calls.delete(number);
    const lane = this.#lanes.get(call.lane)!;
    const position = lane.waiting.indexOf(call);
    lane.waiting.splice(position, 1);
    const [next] = lane.waiting;
    if (position === 0 && next !== undefined) this.#watch(lane, next);
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
