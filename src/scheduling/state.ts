// What the core remembers: models, devices, the copies of models on devices, requests, runs and loads. Only the pool
// changes these objects; policies read them.

import { DeviceCopies, ModelCopies } from './copies.ts';
import type { CopyTable } from './copies.ts';
import { IndexedHeap } from './heap.ts';
import { LocalQueue } from './local-queue.ts';
import { RequestList } from './request-list.ts';
import type { ListNode } from './request-list.ts';
import type { BatchingSpec, Decision, DecisionReason, DeviceId, ModelId, ModelSpec, RequestId } from './types.ts';

// One function each for thousands of heaps.
const onLowerDevice = (a: Copy, b: Copy): boolean => a.device.index < b.device.index;
const freeSooner = (a: Copy, b: Copy): boolean =>
  a.freeAtMs < b.freeAtMs || (a.freeAtMs === b.freeAtMs && a.device.index < b.device.index);

/** The two keys of models in order of the earliest request that waits for them. */
export const headArrival = ({ waiting }: ModelState): number => waiting.head()!.arrivedAtMs;
export const headId = ({ waiting }: ModelState): number => waiting.head()!.id;

/** A model that may be asked for, with its copies and its waiting requests. */
export class ModelState {
  readonly id: ModelId;
  /** Dense, in order of registration. */
  readonly index: number;
  memoryBytes: number;
  /** What a load takes now: from the host cache while the model's bytes are there and that is known, else from disk. */
  loadMs: number;
  #diskLoadMs: number;
  #hostLoadMs: number | undefined;
  #hostCached = false;
  runMs: number;
  /** What runs side by side take together; null: not known yet. */
  sideBySideMs: number | null = null;
  batching: BatchingSpec | undefined;
  keepAliveMs: number | undefined;
  pinned = false;
  barred = false;
  removed = false;
  /** locality: its head must not be overtaken by requests that arrived after this. */
  overtakeEndMs = 0;
  /** locality: runs since the last batch as large as it could be, or the last trial of a copy with instances. */
  runsApart = 0;
  /** locality: runs that left a long queue behind them, less those that did not; below 0 there is a pause. */
  crowdedRuns = 0;
  /** The state of the machine (`Pool.capacityVersion`) for which it was last found to fit somewhere. */
  fitsVersion = -1;
  /** Waiting in the global queue, earliest first. */
  readonly waiting = new RequestList<RequestState>();
  /** Its copies, loading ones included, in order of their loads. */
  readonly copies = new ModelCopies<Copy>();
  /** Copies that could run now by device index; may also hold others, which are put aside when met. */
  readonly freeCopies = new IndexedHeap<Copy>('first', onLowerDevice);
  /** All copies by a lower bound of when their device is free, brought up to date when met. */
  readonly copiesByFreeAt = new IndexedHeap<Copy>('second', freeSooner);

  constructor(index: number, spec: ModelSpec) {
    this.index = index;
    this.id = spec.id;
    this.memoryBytes = spec.memoryBytes;
    this.loadMs = spec.loadMs;
    this.#diskLoadMs = spec.loadMs;
    this.#hostLoadMs = spec.hostLoadMs;
    this.runMs = spec.runMs;
    this.batching = spec.batching;
    this.keepAliveMs = spec.keepAliveMs;
  }

  /** Takes over what became known of loads. */
  observeLoad(seen: { readonly loadMs?: number; readonly hostLoadMs?: number; readonly cached?: boolean }): void {
    this.#diskLoadMs = seen.loadMs ?? this.#diskLoadMs;
    this.#hostLoadMs = seen.hostLoadMs ?? this.#hostLoadMs;
    this.#hostCached = seen.cached ?? this.#hostCached;
    this.loadMs = this.#hostCached ? (this.#hostLoadMs ?? this.#diskLoadMs) : this.#diskLoadMs;
  }

  /** How so many requests go in one run: each in an instance of its own, or joined. */
  sharing(requests: number): { readonly sideBySide?: true; readonly unasked?: true } {
    if (requests === 1) return ALONE;
    if (this.batching === undefined) return SIDE_BY_SIDE;
    return this.batching.unasked === true ? UNASKED : ALONE;
  }

  /** The expected time of one run over so many rows, in milliseconds; beyond the known rows the last step repeats. */
  runMsOf(rows: number): number {
    // A request of no rows is one run all the same.
    if (rows <= 1) return this.runMs;
    const table = this.batching?.runMsByRows;
    if (table === undefined || table.length === 0) return this.runMs * rows;
    // What single rows are seen to take moves the whole table: else rows would look free on a machine that got slower.
    const scale = this.runMs / table[0]!;
    if (rows <= table.length) return scale * table[rows - 1]!;
    const last = table[table.length - 1]!;
    const step = table.length > 1 ? last - table[table.length - 2]! : last;
    return scale * (last + step * (rows - table.length));
  }
}

const ALONE = {} as const;
const SIDE_BY_SIDE = { sideBySide: true } as const;
const UNASKED = { unasked: true } as const;

/** One model on one device, from the start of its load until its eviction. */
export class Copy {
  firstPlace = -1;
  secondPlace = -1;
  thirdPlace = -1;
  /** Its neighbours among the copies of its device, and of its model. */
  older: Copy | null = null;
  newer: Copy | null = null;
  before: Copy | null = null;
  after: Copy | null = null;
  readonly model: ModelState;
  readonly device: DeviceState;
  bytes: number;
  /** Instances for runs side by side, asked for or ready, and what they hold: free memory, given up when it is wanted. */
  instances = 0;
  extraBytes = 0;
  /** How many runs it takes side by side now. */
  width = 1;
  state: 'loading' | 'ready' = 'loading';
  /** Runs under way, requests bound to it, and the load itself: while above 0 it is not evicted. */
  uses = 0;
  hits = 0;
  loadedAtMs: number;
  lastUsedAtMs: number;
  /** The key in `copiesByFreeAt`. */
  freeAtMs: number;
  /** When its keep-alive wants to be looked at. */
  expiresAtMs = Infinity;
  /** An operator asked for its eviction. */
  unwanted = false;
  /** The request a load without a bound request was started for, until it ran. */
  loadedFor: RequestState | null = null;
  gone = false;

  constructor(model: ModelState, device: DeviceState, nowMs: number) {
    this.model = model;
    this.device = device;
    this.bytes = model.memoryBytes;
    this.loadedAtMs = nowMs;
    this.lastUsedAtMs = nowMs;
    this.freeAtMs = device.freeAtMs;
  }

  /** True if it could run now. */
  get free(): boolean {
    return this.state === 'ready' && this.device.canRun;
  }

  /** True if nothing forbids its eviction now. */
  get evictable(): boolean {
    return this.uses === 0 && !this.model.pinned;
  }
}

/** A run under way. */
export interface Run {
  readonly id: number;
  readonly copy: Copy;
  readonly requests: readonly RequestState[];
  readonly expectedEndMs: number;
}

/** A load under way, or ended with requests that are to run first of all. */
export interface Load {
  readonly copy: Copy;
  /** Bound to it: dispatched with this load as a miss. */
  readonly waiting: RequestState[];
  /** The request named in the action. */
  readonly request: RequestState | null;
  readonly expectedEndMs: number;
  readonly reason: DecisionReason;
  readonly decision: Decision | undefined;
}

/** A device, present or lost; its index stays its own. */
export class DeviceState {
  readonly index: number;
  readonly id: DeviceId;
  memoryBytes: number;
  /** The device can overlap loads with runs, and the policy uses it. */
  overlap: boolean;
  /** A load takes from runs what it needs: none starts beside one, though runs start beside loads. */
  loadsSlowRuns = false;
  /** How many runs of one model it can take side by side. */
  instances = 1;
  present = true;
  /** When it was lost, while it is not present. */
  lostAtMs = 0;
  /** By copies and by a reservation. */
  heldBytes = 0;
  /** Of the held bytes, those that are lent to something other than a copy. Above 0, nothing is loaded or evicted here. */
  reservedBytes = 0;
  /** Of the held bytes, those that no eviction can free now (pinned, in use or reserved). */
  fixedBytes = 0;
  /** Of the held bytes, those of pinned models. */
  pinnedBytes = 0;
  /** Of the free bytes, those that instances of these copies use until they are wanted. */
  extraBytes = 0;
  readonly wide = new Set<Copy>();
  /** Least recently dispatched first. */
  readonly copies: DeviceCopies<Copy>;
  run: Run | null = null;
  /** A run that is about to end: its copy is in use, but the next one may be handed over. */
  ending: Run | null = null;
  load: Load | null = null;
  /** When they are expected to end, while there are any. */
  runEndMs = 0;
  loadEndMs = 0;
  /** A load that ended and whose requests have not started: they come before all else. */
  loaded: Load | null = null;
  /** Requests bound to this device, in order of binding. */
  readonly local = new LocalQueue<RequestState>();
  localRunMs = 0;
  /** locality: run times of the waiting requests that are expected to run here. */
  expectedMs = 0;
  /** When what it does now is expected to end. */
  busyUntilMs = 0;
  /** No copy's key in `copiesByFreeAt` is above this. */
  highestKeyMs = 0;
  dispatches = 0;
  /** Copies put aside from `freeCopies` because the device could not run them. */
  readonly aside: Copy[] = [];

  constructor(index: number, id: DeviceId, memoryBytes: number, overlap: boolean, table: CopyTable<Copy>) {
    this.copies = new DeviceCopies(this, table);
    this.index = index;
    this.id = id;
    this.memoryBytes = memoryBytes;
    this.overlap = overlap;
  }

  get freeBytes(): number {
    return this.memoryBytes - this.heldBytes;
  }

  /** Neither runs nor loads nor is about to. */
  get idle(): boolean {
    return this.run === null && this.load === null && this.loaded === null;
  }

  /** A run could start: on a device that overlaps, beside a load too. */
  get canRun(): boolean {
    return this.run === null && this.loaded === null && (this.load === null || this.overlap);
  }

  /** Loads cost runs nothing. */
  get loadsAreFree(): boolean {
    return this.overlap && !this.loadsSlowRuns;
  }

  /** A load could start: where that costs runs nothing, beside a run too. */
  get canLoad(): boolean {
    const isFree = this.load === null && this.loaded === null && (this.run === null || this.loadsAreFree);
    return isFree && this.present && this.reservedBytes === 0;
  }

  /** When it is expected to have done what it does now and its local queue. */
  get freeAtMs(): number {
    return this.busyUntilMs + this.localRunMs;
  }

  /** True if so many bytes could be made free by evictions now. */
  canHold(bytes: number): boolean {
    return this.reservedBytes === 0 && this.memoryBytes - this.fixedBytes >= bytes;
  }
}

/** A request that has not ended. */
export class RequestState {
  firstPlace = -1;
  readonly id: RequestId;
  readonly model: ModelState;
  readonly arrivedAtMs: number;
  readonly submittedAtMs: number;
  readonly bytes: number;
  readonly rows: number;
  readonly deadlineAtMs: number | undefined;
  readonly priority: -1 | 0 | 1;
  /** `waiting` in the global queue, `bound` to a device or a load, `running`, or `ended`. */
  state: 'waiting' | 'bound' | 'running' | 'ended' = 'waiting';
  /** Where it is bound or runs. */
  device: DeviceState | null = null;
  /** Its place in the model's queue. */
  node: ListNode<RequestState> | null = null;
  /** In the local queue of `device`, and its neighbours there. */
  isLocal = false;
  localBefore: RequestState | null = null;
  localAfter: RequestState | null = null;
  /** A second place, for a policy that keeps an order of its own. */
  policyNode: ListNode<RequestState> | null = null;
  /** lalbo3: skips that this request has beyond the next one in the queue. */
  extraSkips = 0;
  /** locality: where it is expected to run, and the run time it is expected with. */
  expectedOn: DeviceState | null = null;
  expectedRunMs = 0;
  /** True once a failure put it back. */
  returned = false;
  /** The expected run time it was bound with. */
  boundRunMs = 0;
  boundReason: DecisionReason = 'hit-queued';
  boundDecision: Decision | undefined = undefined;

  constructor(
    id: RequestId,
    model: ModelState,
    nowMs: number,
    spec: {
      readonly arrivedAtMs: number;
      readonly bytes: number;
      readonly rows?: number;
      readonly deadlineAtMs?: number;
      readonly priority?: -1 | 0 | 1;
    },
  ) {
    this.id = id;
    this.model = model;
    this.submittedAtMs = nowMs;
    this.arrivedAtMs = spec.arrivedAtMs;
    this.bytes = spec.bytes;
    this.rows = spec.rows ?? 1;
    this.deadlineAtMs = spec.deadlineAtMs;
    this.priority = spec.priority ?? 0;
  }
}
