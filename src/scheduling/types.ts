// The vocabulary of the scheduling core: what happens to it (events), what it wants done (actions), what can be
// asked of it (views). The core is pure: the driver brings the time and carries out the actions.

/** The sha256 of the model's bytes (or any stable name in a simulation). */
export type ModelId = string;
/** `cpu:0`, `cuda:1`, `emulated:11`, … */
export type DeviceId = string;
/** Dense numbers handed out by the driver, ascending in order of submission. */
export type RequestId = number;

/** What the core knows about a model. Times in milliseconds, sizes in bytes. */
export interface ModelSpec {
  readonly id: ModelId;
  /** Bytes accounted on a device from the start of a load until the eviction. */
  readonly memoryBytes: number;
  /** Expected duration of a load; refined by `model-observed`. */
  readonly loadMs: number;
  /** Expected duration of a load while the model's bytes are in the host cache; absent: not known yet. */
  readonly hostLoadMs?: number;
  /** Expected duration of one run at batch 1; refined by `model-observed`. */
  readonly runMs: number;
  /** Absent: the model can't be batched. */
  readonly batching?: BatchingSpec;
  /** How long it stays resident after its last use when nothing else wants the memory; absent: for ever. */
  readonly keepAliveMs?: number;
}

/** How requests for one model may be joined along the batch axis. */
export interface BatchingSpec {
  /** The most rows in one run. */
  readonly maxSize: number;
  /** The longest a request may wait for companions, in milliseconds. */
  readonly maxDelayMs: number;
  /** Nobody asked for it: the driver compares answers with those of runs alone, and ends it where they differ. */
  readonly unasked?: boolean;
  /** Expected run time by rows: entry `i` is the time of `i + 1` rows; shorter than maxSize: the last step repeats. */
  readonly runMsByRows?: readonly number[];
}

/** A device as the core sees it. */
export interface DeviceSpec {
  readonly id: DeviceId;
  readonly memoryBytes: number;
  /** True if a load may go on beside a run. Baseline policies never use it. */
  readonly overlap: boolean;
  /** True if a load takes from runs what it needs, such as cores: `locality` then starts one only where no run goes on (default false). */
  readonly loadsSlowRuns?: boolean;
  /** How many runs of one model it can take side by side, each in an instance of its own (default 1: none). */
  readonly instances?: number;
}

/** One inference to place. `arrivedAtMs` is the arrival of its invocation: order and age go by it. */
export interface RequestSpec {
  readonly id: RequestId;
  readonly model: ModelId;
  /** How many models were registered before it, if the driver knows: saves a look-up, and is ignored where wrong. */
  readonly modelIndex?: number;
  readonly arrivedAtMs: number;
  /** Bytes of its tensors, for the bound of the queue. */
  readonly bytes: number;
  /** Rows along the batch axis (default 1). */
  readonly rows?: number;
  /** Absolute, on the driver's clock. */
  readonly deadlineAtMs?: number;
  /** -1 low, 0 normal (default), 1 high. */
  readonly priority?: -1 | 0 | 1;
  /** True for the later runs of an invocation already admitted: never refused for a full queue. */
  readonly admitted?: boolean;
}

/** What happened. Times are never in an event: they come with the call that applies it. */
export type SchedulerEvent =
  | { readonly type: 'device-added'; readonly device: DeviceSpec }
  /** The worker died or the device was unplugged: everything resident is gone, everything on it returns to the queue. */
  | { readonly type: 'device-lost'; readonly device: DeviceId }
  | { readonly type: 'model-added'; readonly model: ModelSpec }
  /** No request of it may be submitted any more; resident copies are evicted once unused. */
  | { readonly type: 'model-removed'; readonly model: ModelId }
  | {
      readonly type: 'model-observed';
      readonly model: ModelId;
      readonly memoryBytes?: number;
      readonly loadMs?: number;
      readonly hostLoadMs?: number;
      readonly runMs?: number;
      readonly runMsByRows?: readonly number[];
      /** Batches that nobody asked for did not answer as runs alone do: there are no more of them. */
      readonly batchesDiffer?: true;
      /** What runs side by side take together, with all instances busy. */
      readonly sideBySideMs?: number;
    }
  /** The model's bytes came into the host cache, or left it: from now on its loads take `hostLoadMs`, or `loadMs`. */
  | { readonly type: 'host-cached'; readonly model: ModelId; readonly cached: boolean }
  | { readonly type: 'submitted'; readonly request: RequestSpec }
  /** Removes a queued request; one that is running is left to finish (the driver drops its answer). */
  | { readonly type: 'cancelled'; readonly request: RequestId }
  | {
      readonly type: 'load-finished';
      readonly device: DeviceId;
      /** As `modelIndex` of a request. */
      readonly deviceIndex?: number;
      readonly model: ModelId;
      readonly memoryBytes?: number;
    }
  /** The instances of a `widen` are ready; `ready` false: they could not be had. */
  | { readonly type: 'widened'; readonly device: DeviceId; readonly model: ModelId; readonly ready: boolean }
  /** The driver says what became of the requests: `retry` puts those bound to this load back at their old place. */
  | { readonly type: 'load-failed'; readonly device: DeviceId; readonly model: ModelId; readonly retry: boolean }
  /**
   * The run is about to end: the device takes the next one behind it, so that it need not wait for us in between. `run-finished`
   * or `run-failed` still follow. Ignored while an earlier run of the device is yet to end.
   */
  | { readonly type: 'run-ending'; readonly device: DeviceId; readonly run: number }
  | { readonly type: 'run-finished'; readonly device: DeviceId; readonly deviceIndex?: number; readonly run: number }
  /** `retry`: the requests return to the global queue in their old order; else they are the driver's to answer. */
  | { readonly type: 'run-failed'; readonly device: DeviceId; readonly run: number; readonly retry: boolean }
  /** An operator wants the model resident (on this device, or wherever it fits best). */
  | { readonly type: 'load-requested'; readonly model: ModelId; readonly device?: DeviceId }
  /** An operator wants it gone as soon as nothing uses it (everywhere if no device is named). */
  | { readonly type: 'unload-requested'; readonly model: ModelId; readonly device?: DeviceId }
  /** Pinned: never evicted while resident. */
  | { readonly type: 'pinned'; readonly model: ModelId; readonly pinned: boolean }
  /** No demand load of it until further notice (quarantine); queued requests of it are rejected. */
  | { readonly type: 'barred'; readonly model: ModelId; readonly barred: boolean }
  /** An invocation arrived that will probably run this model soon. */
  | { readonly type: 'hinted'; readonly model: ModelId }
  /** Something other than a resident model wants memory of a device for a while; a `reservation` action answers, once. */
  | {
      readonly type: 'reserve';
      /** A name of the driver's for it. */
      readonly reservation: string;
      readonly device: DeviceId;
      readonly bytes: number;
    }
  /** The reservation, or the wait for it, is over. It outlives the device's loss: its holder is a process of its own. */
  | { readonly type: 'unreserve'; readonly reservation: string };

/** Why the core decided as it did: one stable word each, for `explain` and the metrics. */
export type DecisionReason =
  | 'hit-idle' // an idle device held the model
  | 'hit-queued' // a busy device held it and would be free sooner than a load
  | 'hit-out-of-order' // dispatched past earlier requests because the device held it
  | 'skip-limit' // overtaken often enough: placed by the three steps
  | 'miss-most-free' // no copy: the idle device with the most free memory
  | 'miss-next-idle' // lb: the next idle device, wherever the model is
  | 'economic' // locality's rule found this load the best use of the memory
  | 'age-limit' // locality's bound in time
  | 'replica'
  | 'hint'
  | 'preload'
  | 'requested'
  | 'keep-alive' // evicted after its keep-alive
  | 'removed' // evicted because the model was removed
  | 'capacity'; // evicted to make room

/** What the core knew when it decided; recorded only if the scheduler was made with `explain: true`. */
export interface Decision {
  readonly reason: DecisionReason;
  /** The devices looked at, with what spoke for or against each. */
  readonly considered: readonly {
    readonly device: DeviceId;
    readonly resident: boolean;
    readonly busy: boolean;
    readonly freeBytes: number;
    /** When it could have answered, relative to now; null where the policy does not estimate it. */
    readonly estimateMs: number | null;
  }[];
}

/** What the driver is to do, in this order. */
export type SchedulerAction =
  /** Evictions of one device come before the load that wants their room, and are to be carried out in order. */
  | { readonly type: 'evict'; readonly device: DeviceId; readonly model: ModelId; readonly reason: DecisionReason }
  | {
      readonly type: 'load';
      readonly device: DeviceId;
      readonly model: ModelId;
      /** The request it was started for, or null. */
      readonly request: RequestId | null;
      readonly reason: DecisionReason;
      readonly decision?: Decision;
    }
  /** Make so many more instances of a resident model, for runs side by side; `widened` answers. Their memory is free memory. */
  | { readonly type: 'widen'; readonly device: DeviceId; readonly model: ModelId; readonly instances: number }
  /** Give those up again, ready or not: something else needs the memory. Comes before the load that does. */
  | { readonly type: 'narrow'; readonly device: DeviceId; readonly model: ModelId }
  | {
      readonly type: 'run';
      /** A number for the run, used in `run-finished`. */
      readonly run: number;
      readonly device: DeviceId;
      readonly model: ModelId;
      /** One request, or several: joined to a batch, or side by side. */
      readonly requests: readonly RequestId[];
      /** Each request runs in an instance of its own, all at once. */
      readonly sideBySide?: true;
      /** A batch that nobody asked for. */
      readonly unasked?: true;
      /** `miss` for a request that was dispatched with a load; a request that joined a load under way is a hit that waited. */
      readonly cache: 'hit' | 'miss';
      readonly reason: DecisionReason;
      readonly decision?: Decision;
    }
  | {
      readonly type: 'reject';
      readonly request: RequestId;
      readonly code: 'QUEUE_FULL' | 'DEADLINE' | 'DOES_NOT_FIT' | 'QUARANTINED' | 'MODEL_NOT_FOUND' | 'NO_DEVICE';
      readonly retryAfterMs?: number;
      /** With DOES_NOT_FIT. */
      readonly misfit?: Misfit;
    }
  /** The answer to a `load-requested` that no device (or not the named one) could ever carry out beside what is pinned. */
  | {
      readonly type: 'load-refused';
      readonly model: ModelId;
      readonly device: DeviceId | null;
      readonly misfit: Misfit;
    }
  /**
   * The answer to `reserve`: the memory is accounted from now on, and no load or eviction starts on the device until
   * `unreserve`. Evictions that make its room come before it. `granted` false: the device could never have so much.
   */
  | {
      readonly type: 'reservation';
      readonly reservation: string;
      readonly device: DeviceId;
      readonly granted: boolean;
    };

/** What a model needs and what the largest device has: enough, if only what is pinned is in the way. */
export interface Misfit {
  readonly needsBytes: number;
  readonly largestBytes: number;
}

type Reject = Extract<SchedulerAction, { readonly type: 'reject' }>;

/** Why a request is refused. */
export type RejectCode = Reject['code'];

/** What belongs to the code. */
export type RejectDetails = Pick<Reject, 'retryAfterMs' | 'misfit'>;

/** Bounds and switches of one scheduler. */
export interface SchedulerOptions {
  readonly policy: string;
  /** Requests waiting anywhere (global and local queues). */
  readonly maxQueuedRequests?: number;
  readonly maxQueuedBytes?: number;
  /** How long a lost device may take to come back before requests are refused for want of it (default 30,000). */
  readonly deviceGraceMs?: number;
  /** lalbo3's limit of skips. */
  readonly skipLimit?: number;
  /** Loads under way on the whole machine at once. */
  readonly loadLanes?: number;
  /** Mechanisms of `locality` that are switched off, by name. */
  readonly disable?: readonly string[];
  /** `locality`: models may be loaded into free memory before anyone asked for them (default false). */
  readonly preload?: boolean;
  /** Record a `Decision` with each run and load. */
  readonly explain?: boolean;
}

/** One resident model as seen from outside. */
export interface ResidentView {
  readonly model: ModelId;
  /** With those of its instances. */
  readonly bytes: number;
  /** Instances for runs side by side, beside the one for runs alone. */
  readonly instances: number;
  readonly state: 'loading' | 'resident' | 'running';
  readonly hits: number;
  readonly lastUsedAtMs: number;
  readonly inUse: boolean;
  readonly pinned: boolean;
}

/** One device as seen from outside. */
export interface DeviceView {
  readonly id: DeviceId;
  readonly memoryBytes: number;
  /** Held by models, and reserved. */
  readonly usedBytes: number;
  /** Of the used bytes, those lent to something other than a resident model. */
  readonly reservedBytes: number;
  /** Of the used bytes, those of instances: free for whatever wants them. */
  readonly instanceBytes: number;
  readonly resident: readonly ResidentView[];
  /** Requests bound to this device and waiting. */
  readonly queued: number;
  readonly busy: boolean;
}

/** Everything at one instant; made on request, never kept up to date. */
export interface SchedulerView {
  readonly policy: string;
  readonly queuedRequests: number;
  readonly queuedBytes: number;
  readonly devices: readonly DeviceView[];
}

/**
 * The scheduling core. A driver applies everything that happened at one instant with `apply` (completions first, then
 * arrivals, in order) and then asks once with `decide` what to do. Both take the driver's time in milliseconds, which
 * never goes back. Neither throws for anything an event can say about a race (an unknown request, a device that is gone).
 */
export interface SchedulingCore {
  apply(nowMs: number, event: SchedulerEvent): void;
  /** The returned array is the caller's. */
  decide(nowMs: number): SchedulerAction[];
  /** The next time `decide` wants to be called although nothing happened (keep-alive, batching delay, deadline), or null. */
  nextWakeMs(): number | null;
  view(): SchedulerView;
}
