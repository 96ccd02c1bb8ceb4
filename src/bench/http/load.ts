// Puts load on one address: a number of callers one after the other (closed loop), or calls at a rate whatever the answers
// do (open loop). Latencies of an open loop count from when a call was due, so that a slow server can't hide behind us.

import type { ClientRequest, IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { readCallHeaders } from '../../client/call-headers.ts';
import { toGpufaasError } from '../../errors.ts';

/** What is called. */
export interface LoadTarget {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** How much and for how long. */
export interface LoadPlan {
  /** Callers of a closed loop. */
  readonly callers: number;
  readonly durationMs: number;
  /** Calls a second of an open loop; null for a closed one. */
  readonly rate: number | null;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (elapsedMs: number, calls: number) => void;
}

/** One answer. Times in milliseconds; `serverMs` is what the daemon says of the whole, null if it says nothing. */
export interface Answer {
  readonly latencyMs: number;
  readonly status: number;
  readonly cold: boolean;
  readonly queueMs: number;
  readonly loadMs: number;
  readonly runMs: number;
  readonly serverMs: number | null;
}

/** What a load came to. */
export interface LoadOutcome {
  readonly answers: readonly Answer[];
  /** Calls that got no answer at all, by what went wrong. */
  readonly broken: ReadonlyMap<string, number>;
  /** Calls of an open loop that were due while too many were under way. */
  readonly notSent: number;
  /** Nothing listens any more: connections were refused, and nothing was answered since. */
  readonly gone: boolean;
  readonly elapsedMs: number;
}

/** An open loop gives up on a server that falls this far behind. */
const MOST_UNDER_WAY = 1000;
const CALL_TIMEOUT_MS = 60_000;
const PROGRESS_EVERY_MS = 100;
/** Who refuses connections for so long is gone; a restart may take less. */
const GONE_AFTER_MS = 1000;
/** A server that fails answers at once: without a pause a closed loop would only burn the processor. */
const PAUSE_MS = 10;
const PAUSE_REFUSED_MS = 100;

/** Runs the plan to its end, to the signal, or until nothing listens any more, then waits for what is under way. Never throws for failed calls. */
export async function runLoad(target: LoadTarget, plan: LoadPlan): Promise<LoadOutcome> {
  const load = new Load(target, plan);
  try {
    await (plan.rate === null ? load.closedLoop() : load.openLoop(plan.rate));
    return load.outcome();
  } finally {
    load.close();
  }
}

class Load {
  // Not imported: see client/http.ts.
  readonly #http: typeof import('node:http') = process.getBuiltinModule('node:http');
  readonly #agent = new this.#http.Agent({ keepAlive: true, maxSockets: Infinity });
  readonly #target: LoadTarget;
  readonly #plan: LoadPlan;
  readonly #startMs = performance.now();
  readonly #answers: Answer[] = [];
  readonly #broken = new Map<string, number>();
  #underWay = 0;
  #notSent = 0;
  #endMs = 0;
  #toldMs = 0;
  /** When the first of the connections was refused that nothing was answered since; null while the server is there. */
  #refusedMs: number | null = null;

  constructor(target: LoadTarget, plan: LoadPlan) {
    this.#target = target;
    this.#plan = plan;
  }

  async closedLoop(): Promise<void> {
    const caller = async (): Promise<void> => {
      while (this.#goesOn()) await this.#call(performance.now());
    };
    await Promise.all(Array.from({ length: this.#plan.callers }, caller));
  }

  async openLoop(rate: number): Promise<void> {
    const calls: Promise<void>[] = [];
    for (let index = 0; ; index++) {
      // Counted from the start: the sum of a start and an offset is not exact, and could let one call more in.
      const offsetMs = (index * 1000) / rate;
      const dueMs = this.#startMs + offsetMs;
      const waitMs = dueMs - performance.now();
      if (offsetMs >= this.#plan.durationMs) break;
      if (waitMs > 0) await sleep(waitMs, undefined, { signal: this.#plan.signal }).catch(() => undefined);
      if (!this.#goesOn(offsetMs)) break;
      if (this.#underWay >= MOST_UNDER_WAY) this.#notSent++;
      else calls.push(this.#call(dueMs));
    }
    await Promise.all(calls);
  }

  outcome(): LoadOutcome {
    const elapsedMs = Math.max(this.#endMs - this.#startMs, 0.001);
    const gone = this.#refusedMs !== null;
    return { answers: this.#answers, broken: this.#broken, notSent: this.#notSent, gone, elapsedMs };
  }

  close(): void {
    this.#agent.destroy();
  }

  #goesOn(elapsedMs = performance.now() - this.#startMs): boolean {
    if (elapsedMs - this.#toldMs >= PROGRESS_EVERY_MS) {
      this.#toldMs = elapsedMs;
      this.#plan.onProgress?.(elapsedMs, this.#answers.length);
    }
    if (this.#refusedMs !== null && performance.now() - this.#refusedMs >= GONE_AFTER_MS) return false;
    return elapsedMs < this.#plan.durationMs && this.#plan.signal?.aborted !== true;
  }

  async #call(dueMs: number): Promise<void> {
    this.#underWay++;
    const sentMs = performance.now();
    try {
      const response = await this.#send();
      for await (const chunk of response) void chunk;
      this.#endMs = performance.now();
      // A server on its way out still answers what it had taken before.
      if (this.#refusedMs !== null && sentMs > this.#refusedMs) this.#refusedMs = null;
      const headers = readCallHeaders(response.headers as Record<string, string>);
      this.#answers.push({
        latencyMs: this.#endMs - dueMs,
        status: response.statusCode ?? 0,
        cold: headers.cache === 'miss',
        queueMs: headers.durations['queue'] ?? 0,
        loadMs: headers.durations['load'] ?? 0,
        runMs: headers.durations['run'] ?? 0,
        serverMs: headers.totalMs,
      });
    } catch (thrown) {
      this.#endMs = performance.now();
      if (this.#plan.signal?.aborted) return;
      const what = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : toGpufaasError(thrown).code;
      this.#broken.set(what, (this.#broken.get(what) ?? 0) + 1);
      const refused = what === 'ECONNREFUSED';
      if (refused) this.#refusedMs ??= this.#endMs;
      await sleep(refused ? PAUSE_REFUSED_MS : PAUSE_MS);
    } finally {
      this.#underWay--;
    }
  }

  #send(): Promise<IncomingMessage> {
    const { url, headers, body } = this.#target;
    return new Promise((resolve, reject) => {
      const outgoing: ClientRequest = this.#http.request(url, {
        method: 'POST',
        headers: { ...headers, 'content-length': body.length },
        agent: this.#agent,
        timeout: CALL_TIMEOUT_MS,
        ...(this.#plan.signal === undefined ? {} : { signal: this.#plan.signal }),
      });
      outgoing.on('response', resolve);
      outgoing.on('error', reject);
      outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error('no answer'), { code: 'TIMEOUT' })));
      outgoing.end(body);
    });
  }
}
