// The numbers of `locality`, found by search over the paper's workload and checked on a grid of others
// (docs/decisions/0002-locality.md). All but the memory of popularity are relative to the costs of the models.

/** Weights and limits of the rule; every entry says what it weighs. */
export interface Tuning {
  /** Time after which an arrival counts 1/e in the popularity, in milliseconds. */
  readonly memoryMs: number;
  /** Rates are reckoned as if the models had been watched for so much longer: they start low, not wild. */
  readonly startMs: number;
  /** Looked at per decision: devices for a load, copies of a model, waiting requests of a model. */
  readonly sample: number;
  /** How long a copy that a waiting request asks for is expected to pay, in load times of its model. */
  readonly demandHorizon: number;
  /** The same for a copy that nobody waits for. */
  readonly replicaHorizon: number;
  /** What a load that nobody waits for costs, in load times of its model. */
  readonly replicaCost: number;
  /** The expected utilization of devices is multiplied by this: queues form earlier than the mean tells. */
  readonly utilizationBias: number;
  /** How much a device's own copies, rather than the mean of all devices, say about its utilization. */
  readonly ownUtilization: number;
  /** The expected wait behind busy copies is multiplied by this. */
  readonly busyBias: number;
  /** Weight of a device's utilization against placing one more copy there. */
  readonly spread: number;
  /** The chance that an idle copy is taken, for a request that comes while another copy of its model runs. */
  readonly idleTaken: number;
  /** Without overlap: what a load costs those who want the device meanwhile; for demand loads and for replicas. */
  readonly demandBlocking: number;
  readonly replicaBlocking: number;
  /** So many arrivals more than were counted are expected of a model whose last copy is to go: rare ones show up too seldom. */
  readonly unseen: number;
  /** Weight of requests that wait for the victim of an eviction. */
  readonly victimQueue: number;
  /** Weight of having no soon alternative when a device chooses among the requests it could run. */
  readonly leastFlexible: number;
  /** Share of the load lanes that replicas leave free, and with overlap how many for each model that has no copy at most. */
  readonly freeLanes: number;
  readonly lanesPerUnheld: number;
  /** A request this much older than what a device would run next may make it load instead, in costs of its model. */
  readonly fairLoad: number;
  /** No request is overtaken by one that arrived this much later, in costs (load + run) of its model, ... */
  readonly overtakeCosts: number;
  /** ... or this many milliseconds if that is more. */
  readonly overtakeFloorMs: number;
}

export const TUNING: Tuning = {
  memoryMs: 166_000,
  startMs: 3040,
  sample: 16,
  demandHorizon: 3.59,
  replicaHorizon: 17,
  replicaCost: 0.0326,
  utilizationBias: 1.35,
  ownUtilization: 0.8,
  busyBias: 1.1,
  spread: 0.5,
  idleTaken: 0.164,
  demandBlocking: 0.7,
  replicaBlocking: 0.3,
  unseen: 4,
  victimQueue: 1.5,
  leastFlexible: 1.37,
  freeLanes: 0.55,
  lanesPerUnheld: 0.6,
  fairLoad: 2.5,
  overtakeCosts: 30,
  overtakeFloorMs: 1000,
};
