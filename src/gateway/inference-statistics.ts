// Statistics of models as the Open Inference Protocol's extension gives them, added up from the records of invocations
// since the daemon started. One row for each model of each serving version.

import type { PlatformEvent } from '../api/events.ts';
import type { InvocationRecord } from '../api/schemas.ts';
import type { FoundModel } from './names.ts';
import { modelName } from './names.ts';

interface Duration {
  count: number;
  ns: number;
}

interface Row {
  lastInferenceMs: number;
  inferences: number;
  /** Runs: one that several requests shared counts once. */
  executions: number;
  readonly success: Duration;
  readonly fail: Duration;
  readonly queue: Duration;
  readonly infer: Duration;
}

const NS_PER_MS = 1e6;
const zero = (): Duration => ({ count: 0, ns: 0 });
const newRow = (): Row => ({
  lastInferenceMs: 0,
  inferences: 0,
  executions: 0,
  success: zero(),
  fail: zero(),
  queue: zero(),
  infer: zero(),
});

function add(duration: Duration, ms: number): void {
  duration.count++;
  duration.ns += Math.round(ms * NS_PER_MS);
}

/** Adds up what the daemon's events tell. */
export class InferenceStatistics {
  // Function, then model; replaced as a whole when another version serves, so that it is bounded by what is deployed.
  readonly #functions = new Map<string, { version: number; rows: Map<string, Row> }>();

  /** Takes one event into account. */
  observe(event: PlatformEvent): void {
    if (event.type === 'invocation') this.#count(event.record);
    else if (event.type !== 'function') return;
    else if (event.change === 'removed') this.#functions.delete(event.function);
    else if (event.change === 'deployed' || event.change === 'rolled-back') this.#start(event.function, event.version);
  }

  /** Begins anew for the version that serves from now on. */
  #start(name: string, version: number): { version: number; rows: Map<string, Row> } {
    const entry = { version, rows: new Map<string, Row>() };
    this.#functions.set(name, entry);
    return entry;
  }

  #count(record: InvocationRecord): void {
    const entry = this.#functions.get(record.function) ?? this.#start(record.function, record.version);
    // The last calls of the version before, or the smoke test of the next.
    if (entry.version !== record.version) return;
    const { rows } = entry;
    for (const run of record.runs) {
      const row = rows.get(run.model) ?? newRow();
      rows.set(run.model, row);
      row.inferences++;
      if (run.wentAlong !== true) row.executions++;
      row.lastInferenceMs = Math.max(row.lastInferenceMs, Date.parse(record.arrivedAt));
      add(row.success, run.queueMs + run.loadMs + run.runMs);
      // A wait for a load is a wait to the caller of the protocol, which knows no loads.
      add(row.queue, run.queueMs + run.loadMs);
      add(row.infer, run.runMs);
    }
    // A refused inference ran nothing, so its record names no model; only with one model it is known which.
    if (record.status >= 400 && record.surface === 'infer' && rows.size <= 1) {
      const name = [...rows.keys()][0] ?? '';
      const row = rows.get(name) ?? newRow();
      rows.set(name, row);
      add(row.fail, record.timing.totalMs);
    }
  }

  /** One entry of `model_stats`. */
  of(found: FoundModel): object {
    const entry = this.#functions.get(found.served.name);
    const current = entry?.version === found.served.version ? entry.rows : undefined;
    const row = current?.get(found.model.name) ?? (found.served.models.length === 1 ? current?.get('') : undefined);
    const { lastInferenceMs, inferences, executions, success, fail, queue, infer } = row ?? newRow();
    const none = { count: inferences, ns: 0 };
    return {
      name: modelName(found.served, found.model),
      version: String(found.served.version),
      last_inference: lastInferenceMs,
      inference_count: inferences,
      execution_count: executions,
      inference_stats: {
        success,
        fail,
        queue,
        compute_input: none,
        compute_infer: infer,
        compute_output: none,
        cache_hit: zero(),
        cache_miss: zero(),
      },
      batch_stats: [],
    };
  }
}
