// The workloads as data that a worker thread can be sent, and the arrivals each stands for. Streams minute by minute, so
// that millions of requests need little memory; the same seed gives the same arrivals on any machine.

import { seededRandom } from '../random.ts';
import type { Random } from '../random.ts';
import type { ModelSpec } from '../scheduling/types.ts';
import { sampler, zipfShares } from './popularity.ts';
import type { ArrivalChunk, Workload } from './types.ts';

const MINUTE_MS = 60_000;

/** So many requests a minute, each for a function drawn by Zipf's law; model `i` is the function of rank `i`. */
export interface ZipfWorkload {
  readonly kind: 'zipf';
  readonly models: readonly ModelSpec[];
  readonly rpm: number;
  readonly minutes: number;
  readonly skew: number;
  readonly seed: number;
}

/** Calls counted per minute and function, scaled to a rate (or as they were: `rpm` null). */
export interface TraceWorkload {
  readonly kind: 'trace';
  readonly models: readonly ModelSpec[];
  /** minute * models + model → calls. */
  readonly counts: Int32Array;
  readonly minutes: number;
  readonly rpm: number | null;
  readonly seed: number;
}

/** Exactly these requests, in order of time; `rows` says which row of the input each was. */
export interface ListWorkload {
  readonly kind: 'list';
  readonly models: readonly ModelSpec[];
  readonly atMs: Float64Array;
  readonly model: Int32Array;
  readonly rows: Int32Array;
  readonly workingSet: number;
}

export type WorkloadSpec = ZipfWorkload | TraceWorkload | ListWorkload;

/** Makes the workload that the description stands for. */
export function openWorkload(spec: WorkloadSpec): Workload {
  if (spec.kind === 'list') return openList(spec);
  return spec.kind === 'zipf' ? openZipf(spec) : openTrace(spec);
}

function openZipf(spec: ZipfWorkload): Workload {
  const draw = sampler(zipfShares(spec.models.length, spec.skew));
  const upTo = (minute: number): number => Math.floor(minute * spec.rpm);
  return {
    models: spec.models,
    requests: upTo(spec.minutes),
    workingSet: spec.models.length,
    *arrivals() {
      const random = seededRandom(spec.seed);
      for (let minute = 0; minute < spec.minutes; minute++) {
        const models = new Int32Array(upTo(minute + 1) - upTo(minute));
        for (let i = 0; i < models.length; i++) models[i] = draw(random);
        yield spread(minute, models, random);
      }
    },
  };
}

function openTrace(spec: TraceWorkload): Workload {
  const functions = spec.models.length;
  const counts = spec.rpm === null ? spec.counts : scaledCounts(spec, spec.rpm);
  return {
    models: spec.models,
    requests: sum(counts),
    workingSet: functions,
    *arrivals() {
      const random = seededRandom(spec.seed);
      for (let minute = 0; minute < spec.minutes; minute++) {
        const row = counts.subarray(minute * functions, (minute + 1) * functions);
        const models = new Int32Array(sum(row));
        let at = 0;
        for (let model = 0; model < functions; model++) {
          models.fill(model, at, at + row[model]!);
          at += row[model]!;
        }
        yield spread(minute, models, random);
      }
    },
  };
}

/** Each function keeps its share and its shape over time; what rounding would lose is carried on, from a start by seed. */
function scaledCounts(spec: TraceWorkload, rpm: number): Int32Array {
  const functions = spec.models.length;
  const factor = (rpm * spec.minutes) / sum(spec.counts);
  const random = seededRandom(spec.seed ^ 0x5ca1ed);
  const scaled = new Int32Array(spec.counts.length);
  for (let model = 0; model < functions; model++) {
    const start = random();
    let seen = 0;
    let given = 0;
    for (let minute = 0; minute < spec.minutes; minute++) {
      seen += spec.counts[minute * functions + model]!;
      const due = Math.floor(seen * factor + start);
      scaled[minute * functions + model] = due - given;
      given = due;
    }
  }
  return scaled;
}

function openList(spec: ListWorkload): Workload {
  const chunk = { count: spec.atMs.length, atMs: spec.atMs, model: spec.model };
  const { models, workingSet, rows } = spec;
  return { models, requests: chunk.count, workingSet, rows, arrivals: () => [chunk] };
}

/** Gives each request of one minute a whole millisecond, uniformly, and puts them in order; ties stay as drawn. */
function spread(minute: number, models: Int32Array, random: Random): ArrivalChunk {
  const count = models.length;
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) keys[i] = Math.floor(random() * MINUTE_MS) * count + i;
  keys.sort();
  const atMs = new Float64Array(count);
  const model = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const offset = Math.floor(keys[i]! / count);
    atMs[i] = minute * MINUTE_MS + offset;
    model[i] = models[keys[i]! - offset * count]!;
  }
  return { count, atMs, model };
}

function sum(values: Int32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
