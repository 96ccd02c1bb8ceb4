// Checks a time line against the rules of devices in simulation, and that nothing in it knew the future. Independent of
// the kernel: it looks at the rows alone. Rows must be in order of their start, as the kernel emits them.

import type { ModelSpec } from '../scheduling/types.ts';
import { batchRunMs } from './kernel.ts';
import type { TimelineRow } from './timeline.ts';
import type { SimulatedDevice, Workload } from './types.ts';

/** What the rows are checked against. */
export interface DeviceRules {
  readonly devices: readonly SimulatedDevice[];
  readonly workload: Workload;
  /** Models may be loaded before anyone asked for them. */
  readonly preload?: boolean;
  /** Loads under way at once on all devices. */
  readonly loadLanes?: number;
}

interface DeviceState {
  usedBytes: number;
  loadEndMs: number;
  runEndMs: number;
  /** Model → when its load ends. */
  readonly held: Map<string, number>;
  /** Model → when its last run ends. */
  readonly usedUntil: Map<string, number>;
}

/** Every breach of the rules in a finished run, in words; empty if there is none. */
export function deviceRuleViolations(rows: readonly TimelineRow[], rules: DeviceRules): string[] {
  return new RuleChecker(rules).check(rows);
}

/**
 * The first difference between what two runs did before `atMs`, or null: a run whose request list is cut at `atMs` must
 * have done the same up to then.
 */
export function prefixDifference(
  full: readonly TimelineRow[],
  cut: readonly TimelineRow[],
  atMs: number,
): string | null {
  const before = (rows: readonly TimelineRow[]): string[] =>
    rows.filter((row) => row.startMs < atMs).map((row) => JSON.stringify(row));
  const left = before(full);
  const right = before(cut);
  const index = left.findIndex((row, at) => row !== right[at]);
  if (index === -1 && left.length === right.length) return null;
  const at = index === -1 ? left.length : index;
  return `row ${at}: ${left[at] ?? 'nothing'} became ${right[at] ?? 'nothing'} when the list was cut at ${atMs} ms`;
}

class RuleChecker {
  readonly #rules: DeviceRules;
  readonly #models: ReadonlyMap<string, ModelSpec>;
  readonly #states: readonly DeviceState[];
  readonly #requests = new Map<number, { readonly model: string; readonly atMs: number; ended: number }>();
  readonly #firstAskedMs = new Map<string, number>();
  readonly #violations: string[] = [];
  #loadEnds: number[] = [];

  constructor(rules: DeviceRules) {
    this.#rules = rules;
    const { models, rows } = rules.workload;
    this.#models = new Map(models.map((model) => [model.id, model]));
    this.#states = rules.devices.map(() => ({
      usedBytes: 0,
      loadEndMs: 0,
      runEndMs: 0,
      held: new Map<string, number>(),
      usedUntil: new Map<string, number>(),
    }));
    let request = 0;
    for (const chunk of rules.workload.arrivals()) {
      for (let i = 0; i < chunk.count; i++, request++) {
        const model = models[chunk.model[i]!]!.id;
        this.#requests.set(rows?.[request] ?? request, { model, atMs: chunk.atMs[i]!, ended: 0 });
        if (!this.#firstAskedMs.has(model)) this.#firstAskedMs.set(model, chunk.atMs[i]!);
      }
    }
  }

  check(rows: readonly TimelineRow[]): string[] {
    let lastMs = 0;
    for (const row of rows) {
      const state = this.#states[row.device];
      const model = this.#models.get(row.model);
      if (state === undefined || model === undefined) this.#fault(row, 'names a device or a model that there is not');
      else {
        if (row.startMs < lastMs) this.#fault(row, `comes after a row of ${lastMs} ms`);
        lastMs = row.startMs;
        if (row.kind === 'load') this.#load(row, state, model);
        else if (row.kind === 'run') this.#run(row, state, model);
        else this.#evict(row, state, model);
      }
    }
    for (const [row, { ended }] of this.#requests) {
      if (ended !== 1) this.#violations.push(`request ${row} ran ${ended} times`);
    }
    return this.#violations;
  }

  #load(row: TimelineRow, state: DeviceState, model: ModelSpec): void {
    const device = this.#rules.devices[row.device]!;
    if (state.held.has(row.model)) this.#fault(row, 'loads what the device holds');
    if (row.startMs < state.loadEndMs) this.#fault(row, 'is a second load at once');
    if (!device.overlap && row.startMs < state.runEndMs) this.#fault(row, 'loads beside a run, without overlap');
    if (row.endMs !== row.startMs + model.loadMs) this.#fault(row, `does not take ${model.loadMs} ms`);
    state.usedBytes += model.memoryBytes;
    if (state.usedBytes > device.memoryBytes) this.#fault(row, `takes the device to ${state.usedBytes} bytes`);
    state.held.set(row.model, row.endMs);
    state.loadEndMs = row.endMs;
    this.#loadEnds = this.#loadEnds.filter((endMs) => endMs > row.startMs);
    this.#loadEnds.push(row.endMs);
    if (this.#loadEnds.length > (this.#rules.loadLanes ?? Infinity)) this.#fault(row, 'is a load beyond the lanes');
    const askedMs = this.#firstAskedMs.get(row.model) ?? Infinity;
    if (this.#rules.preload !== true && row.startMs < askedMs) this.#fault(row, 'loads before anyone asked');
    for (const request of row.requests) this.#checkRequest(row, request);
  }

  #run(row: TimelineRow, state: DeviceState, model: ModelSpec): void {
    const readyMs = state.held.get(row.model);
    if (readyMs === undefined || readyMs > row.startMs) this.#fault(row, 'runs a model that is not resident');
    if (row.startMs < state.runEndMs) this.#fault(row, 'is a second run at once');
    if (!this.#rules.devices[row.device]!.overlap && row.startMs < state.loadEndMs)
      this.#fault(row, 'runs beside a load, without overlap');
    const runMs = row.requests.length === 1 ? model.runMs : batchRunMs(model, row.requests.length);
    if (row.endMs !== row.startMs + runMs) this.#fault(row, `does not take ${runMs} ms`);
    if (row.requests.length === 0) this.#fault(row, 'serves nobody');
    if (row.requests.length > (model.batching?.maxSize ?? 1)) this.#fault(row, 'joins more than a batch');
    state.runEndMs = row.endMs;
    state.usedUntil.set(row.model, row.endMs);
    for (const request of row.requests) {
      this.#checkRequest(row, request);
      const known = this.#requests.get(request);
      if (known !== undefined) known.ended++;
    }
  }

  #evict(row: TimelineRow, state: DeviceState, model: ModelSpec): void {
    const readyMs = state.held.get(row.model);
    if (readyMs === undefined) this.#fault(row, 'evicts what the device does not hold');
    else if (readyMs > row.startMs) this.#fault(row, 'evicts what is being loaded');
    else state.usedBytes -= model.memoryBytes;
    if ((state.usedUntil.get(row.model) ?? 0) > row.startMs) this.#fault(row, 'evicts what runs');
    if (row.endMs !== row.startMs) this.#fault(row, 'is an eviction that takes time');
    state.held.delete(row.model);
  }

  #checkRequest(row: TimelineRow, request: number): void {
    const known = this.#requests.get(request);
    if (known === undefined) this.#fault(row, `names request ${request}, which there is not`);
    else if (known.model !== row.model) this.#fault(row, `serves request ${request} of another model`);
    else if (known.atMs > row.startMs) this.#fault(row, `serves request ${request} before its arrival`);
  }

  #fault(row: TimelineRow, what: string): void {
    this.#violations.push(`${row.kind} of ${row.model} on device ${row.device} at ${row.startMs} ms ${what}`);
  }
}
