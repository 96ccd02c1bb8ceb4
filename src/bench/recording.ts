// The daemon's recorded invocations as a workload: every inference it ran, at the time it was asked for, with what its
// model costs. What cannot be replayed is counted, not hidden.

import type { FunctionDetail, InvocationRecord, RunTiming } from '../api/schemas.ts';
import type { GpufaasClient } from '../client/client.ts';
import { GpufaasError } from '../errors.ts';
import type { BatchingSpec, ModelSpec } from '../scheduling/types.ts';
import { percentile } from '../simulation/metrics.ts';
import type { SimulatedDevice } from '../simulation/types.ts';
import type { ListWorkload } from '../simulation/workloads.ts';
import { parseDuration } from '../units.ts';

/** How the recorded requests fared on the real devices. Times in milliseconds from the request to its answer. */
export interface RecordedFigures {
  readonly policy: string;
  readonly requests: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Requests that waited for a load. */
  readonly coldRatio: number;
}

/** What a daemon remembers, ready to be simulated. */
export interface Recording {
  readonly list: ListWorkload;
  readonly devices: readonly SimulatedDevice[];
  readonly figures: RecordedFigures;
  /** Inferences of functions that are not deployed any more: their models' costs are unknown. */
  readonly leftOut: number;
}

type ModelDetail = FunctionDetail['modelDetails'][number];

/** The daemon lists at most so many invocations at once; the newest are taken. */
const MOST_INVOCATIONS = 10_000;

/** Reads what the daemon remembers since a time (`1h`, an ISO date; all if null). Throws USAGE if there is nothing. */
export async function fetchRecording(client: GpufaasClient, since: string | null): Promise<Recording> {
  const from = since === null ? undefined : parseSince(since, Date.now());
  const [status, newestFirst] = await Promise.all([
    client.status(),
    client.invocations({ limit: MOST_INVOCATIONS, ...(from === undefined ? {} : { since: from }) }),
  ]);
  const records = newestFirst.filter((record) => record.runs.length > 0).toReversed();
  const details = await fetchDetails(client, new Set(records.map((record) => record.function)));
  const { list, answered, leftOut } = toWorkload(records, details);
  if (answered.length === 0)
    throw new GpufaasError('USAGE', 'The daemon remembers no inference that could be replayed.', {
      suggestions: ['Call a function first, or choose an earlier start: --replay 24h.'],
    });
  return {
    list,
    leftOut,
    devices: status.devices.map(({ id, memoryBytes }) => ({ id, memoryBytes, overlap: true })),
    figures: figuresOf(status.policy, answered),
  };
}

/** The time that `30m`, `2026-01-31` or `2026-01-31T12:00:00Z` means, as an ISO date. Throws USAGE. */
export function parseSince(text: string, nowMs: number): string {
  if (/^\d{4}-/.test(text)) {
    const atMs = Date.parse(text);
    if (!Number.isNaN(atMs)) return new Date(atMs).toISOString();
    throw new GpufaasError('USAGE', `--replay ${JSON.stringify(text)} is not a date.`, {
      suggestions: ['Write 2026-01-31, 2026-01-31T12:00:00Z, or how long ago: 30m, 24h.'],
    });
  }
  return new Date(nowMs - parseDuration(text)).toISOString();
}

async function fetchDetails(client: GpufaasClient, names: ReadonlySet<string>): Promise<Map<string, FunctionDetail>> {
  const details = new Map<string, FunctionDetail>();
  for (const name of names) {
    try {
      details.set(name, await client.function(name));
    } catch (error) {
      if (!(error instanceof GpufaasError) || error.code !== 'FUNCTION_NOT_FOUND') throw error;
    }
  }
  return details;
}

interface Answered {
  readonly totalMs: number;
  readonly cold: boolean;
}

/**
 * Inferences in order of time. A later inference of one invocation enters when the ones before it had ended, as recorded:
 * what the function would have done on other devices is not known.
 */
export function toWorkload(
  records: readonly InvocationRecord[],
  details: ReadonlyMap<string, FunctionDetail>,
): { readonly list: ListWorkload; readonly answered: readonly Answered[]; readonly leftOut: number } {
  const costs = new ModelCosts();
  const requests: { readonly atMs: number; readonly sha256: string }[] = [];
  const answered: Answered[] = [];
  let leftOut = 0;
  const startMs = Math.min(...records.map((record) => Date.parse(record.arrivedAt)));
  for (const record of records) {
    let atMs = Date.parse(record.arrivedAt) - startMs;
    for (const run of record.runs) {
      const sha256 = costs.learn(details.get(record.function), run);
      const totalMs = run.queueMs + run.loadMs + run.runMs;
      if (sha256 === null) leftOut++;
      else {
        requests.push({ atMs: Math.round(atMs), sha256 });
        answered.push({ totalMs, cold: run.cache === 'miss' });
      }
      atMs += totalMs;
    }
  }
  requests.sort((left, right) => left.atMs - right.atMs);
  const { models, indexOf } = costs.models();
  const list: ListWorkload = {
    kind: 'list',
    models,
    atMs: Float64Array.from(requests, (request) => request.atMs),
    model: Int32Array.from(requests, (request) => indexOf.get(request.sha256)!),
    rows: Int32Array.from(requests.keys()),
    workingSet: models.length,
  };
  return { list, answered, leftOut };
}

/** What each model costs: memory and load as profiled, run as recorded, batches as both. */
class ModelCosts {
  readonly #known = new Map<string, { readonly spec: ModelSpec; readonly runsMs: number[] }>();

  /** Takes note of a run; the model's sha256, or null if it is not known any more. */
  learn(detail: FunctionDetail | undefined, run: RunTiming): string | null {
    const model = detail?.modelDetails.find((one) => one.name === run.model || one.sha256 === run.model);
    if (detail === undefined || model === undefined) return null;
    const runMs = aloneMs(run, model.runMsByRows);
    const known = this.#known.get(model.sha256);
    if (known !== undefined) known.runsMs.push(runMs);
    else {
      const id = detail.modelDetails.length === 1 ? detail.name : `${detail.name}.${model.name}`;
      const { memoryBytes, loadMs } = model;
      const batching = batchingOf(detail, model);
      const spec = { id, memoryBytes, loadMs, runMs, ...(batching !== null && { batching }) };
      this.#known.set(model.sha256, { spec, runsMs: [runMs] });
    }
    return model.sha256;
  }

  models(): { readonly models: ModelSpec[]; readonly indexOf: ReadonlyMap<string, number> } {
    const entries = [...this.#known];
    return {
      indexOf: new Map(entries.map(([sha256], index) => [sha256, index])),
      models: entries.map(([, { spec, runsMs }]) => {
        // The mean, not the median: what decides over queues is how busy the devices are.
        const meanMs = runsMs.reduce((sum, ms) => sum + ms, 0) / runsMs.length;
        const runMs = microseconds(meanMs);
        return { ...spec, loadMs: microseconds(spec.loadMs), runMs, ...batchesFor(runMs, spec.batching) };
      }),
    };
  }
}

/** What a recorded run would have taken alone, by what deploy measured of runs with so many rows. */
function aloneMs({ runMs, together = 1 }: RunTiming, runMsByRows: readonly number[] | null): number {
  if (together === 1) return runMs;
  const table = runMsByRows ?? [];
  const joint = table[Math.min(together, table.length) - 1];
  return joint === undefined ? runMs / together : (runMs * table[0]!) / joint;
}

/** How its requests share runs, as the daemon has it now. */
function batchingOf({ manifest }: FunctionDetail, model: ModelDetail): BatchingSpec | null {
  if (model.batching === null || model.runMsByRows === null) return null;
  const { maxDelayMs = 0 } = (manifest['batching'] || {}) as { readonly maxDelayMs?: number };
  return { maxSize: model.batching.maxRows, maxDelayMs, runMsByRows: model.runMsByRows };
}

/** The times of batches, as long in proportion as runs of one row were. */
function batchesFor(runMs: number, batching: BatchingSpec | undefined): Pick<ModelSpec, 'batching'> {
  if (batching === undefined) return {};
  const table = batching.runMsByRows ?? [];
  return { batching: { ...batching, runMsByRows: table.map((ms) => microseconds((runMs * ms) / table[0]!)) } };
}

/** Real models run for fractions of a millisecond; nothing takes no time at all. */
function microseconds(ms: number): number {
  return Math.max(0.001, Math.round(ms * 1000) / 1000);
}

function figuresOf(policy: string, answered: readonly Answered[]): RecordedFigures {
  const sorted = Float64Array.from(answered, (one) => one.totalMs).sort();
  const round = (ms: number): number => Number(ms.toFixed(3));
  return {
    policy,
    requests: answered.length,
    meanMs: round(sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length),
    p50Ms: round(percentile(sorted, 0.5)),
    p99Ms: round(percentile(sorted, 0.99)),
    maxMs: round(sorted.at(-1)!),
    coldRatio: answered.filter((one) => one.cold).length / answered.length,
  };
}
