// The wire contract of the daemon's own API under /api/v1, as schemas: what the gateway answers and the client reads.
// Fields may be added, never changed or removed.

import { z } from 'zod';

/** One inference inside an invocation. */
export const runTimingSchema = z.object({
  model: z.string(),
  device: z.string(),
  cache: z.enum(['hit', 'miss']),
  queueMs: z.number(),
  loadMs: z.number(),
  /** What of a load went by after the call had arrived and before this run was asked for: nobody waited for it. */
  hiddenLoadMs: z.number().optional(),
  runMs: z.number(),
  /** How many requests shared the run; absent: it had it to itself. */
  together: z.number().optional(),
  /** It went along in a run that is on the record of another request. */
  wentAlong: z.literal(true).optional(),
});
export type RunTiming = z.infer<typeof runTimingSchema>;

/** Where the time of an invocation went; queue, load and run are sums over its runs, total is wall time. */
export const timingSchema = z.object({
  queueMs: z.number(),
  loadMs: z.number(),
  hiddenLoadMs: z.number().optional(),
  runMs: z.number(),
  handlerMs: z.number(),
  totalMs: z.number(),
});
export type Timing = z.infer<typeof timingSchema>;

export const cacheOutcomeSchema = z.enum(['hit', 'miss', 'none']);
export type CacheOutcome = z.infer<typeof cacheOutcomeSchema>;

/** The placement of one run: what the scheduler looked at, and why it chose. */
export const decisionSchema = z.object({
  model: z.string(),
  device: z.string(),
  reason: z.string(),
  considered: z.array(
    z.object({
      device: z.string(),
      resident: z.boolean(),
      busy: z.boolean(),
      freeBytes: z.number(),
      estimateMs: z.number().nullable(),
    }),
  ),
});
export type DecisionRecord = z.infer<typeof decisionSchema>;

/** One invocation as the daemon remembers it. */
export const invocationSchema = z.object({
  id: z.string(),
  function: z.string(),
  version: z.number(),
  /** `function`, `infer` (Open Inference) or `async`. */
  surface: z.string(),
  /** HTTP status it ended with. */
  status: z.number(),
  errorCode: z.string().nullable(),
  errorMessage: z.string().nullable(),
  arrivedAt: z.string(),
  cache: cacheOutcomeSchema,
  device: z.string().nullable(),
  runs: z.array(runTimingSchema),
  timing: timingSchema,
  decisions: z.array(decisionSchema),
});
export type InvocationRecord = z.infer<typeof invocationSchema>;

/** An asynchronous call as it stands: `failed` is what its answer says, `interrupted` that the daemon ended while it ran. */
export const asyncCallSchema = z.object({
  id: z.string(),
  function: z.string(),
  state: z.enum(['queued', 'running', 'done', 'failed', 'cancelled', 'interrupted']),
  /** HTTP status of the answer; null until there is one. */
  status: z.number().nullable(),
  errorCode: z.string().nullable(),
  /** How often it was begun. */
  attempts: z.number(),
  submittedAt: z.string(),
  /** When it was last begun. */
  startedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  requestBytes: z.number(),
  answerBytes: z.number(),
  /** What became of its X-Callback-Url. */
  callback: z.enum(['none', 'pending', 'delivered', 'failed']),
});
export type AsyncCallSummary = z.infer<typeof asyncCallSchema>;

export const residentSchema = z.object({
  model: z.string(),
  sha256: z.string(),
  functions: z.array(z.string()),
  /** With those of its instances. */
  bytes: z.number(),
  /** Instances for runs side by side, beside the one for runs alone. */
  instances: z.number().optional(),
  state: z.enum(['loading', 'resident', 'running', 'quarantined']),
  hits: z.number(),
  lastUsedAt: z.string().nullable(),
  /** When keep-alive ends; null if pinned or in use. */
  until: z.string().nullable(),
  inUse: z.boolean(),
  pinned: z.boolean(),
});
export type ResidentModel = z.infer<typeof residentSchema>;

export const deviceSchema = z.object({
  id: z.string(),
  kind: z.string(),
  name: z.string(),
  state: z.string(),
  pid: z.number().nullable(),
  memoryBytes: z.number(),
  usedBytes: z.number(),
  /** Of the used bytes, those lent to a measurement. */
  reservedBytes: z.number().optional(),
  /** Growth of the worker since it was empty (or the device's own used memory), as the system measures it; null if not measured yet. */
  measuredBytes: z.number().nullable(),
  resident: z.array(residentSchema),
  queued: z.number(),
});
export type DeviceStatus = z.infer<typeof deviceSchema>;

export const psSchema = z.object({
  devices: z.array(deviceSchema),
  queued: z.number(),
  /** Functions with a model that is not loaded any more because it killed its worker. */
  quarantined: z.array(z.string()).optional(),
  /** Models' bytes ready in host memory, for devices that copy them; absent where there is no such cache. */
  hostCache: z
    .object({
      bytes: z.number(),
      budgetBytes: z.number(),
      models: z.number(),
      /** Loads of such devices that found the bytes there, and those that read them from disk. */
      hits: z.number(),
      misses: z.number(),
    })
    .optional(),
});
export type PsResponse = z.infer<typeof psSchema>;

export const statusSchema = z.object({
  status: z.enum(['starting', 'ready', 'degraded', 'unavailable', 'draining']),
  pid: z.number(),
  url: z.string(),
  version: z.string(),
  policy: z.string(),
  devices: z.array(
    z.object({
      id: z.string(),
      kind: z.string(),
      name: z.string(),
      state: z.string(),
      memoryBytes: z.number(),
      usedBytes: z.number(),
    }),
  ),
  uptimeMs: z.number(),
  home: z.string(),
  functions: z.number(),
  underWay: z.number(),
  queued: z.number(),
});
export type StatusResponse = z.infer<typeof statusSchema>;

export const modelSummarySchema = z.object({
  name: z.string(),
  sha256: z.string(),
  bytes: z.number(),
  loadMs: z.number(),
  runMs: z.number(),
  memoryBytes: z.number(),
  /** Where devices have memory of their own: what the model costs on each kind of device. */
  profiles: z
    .array(
      z.object({
        kind: z.string(),
        device: z.string(),
        loadMs: z.number(),
        runMs: z.number(),
        memoryBytes: z.number(),
        /** It could not be measured there yet. */
        estimated: z.boolean(),
      }),
    )
    .optional(),
});
export type ModelSummary = z.infer<typeof modelSummarySchema>;

export const deployResultSchema = z.object({
  name: z.string(),
  version: z.number(),
  url: z.string(),
  models: z.array(modelSummarySchema),
  /** What the smoke test answered (cut to 2 kB), if the manifest names a sample. */
  smokeTest: z.object({ status: z.number(), body: z.string(), totalMs: z.number() }).nullable(),
});
export type DeployResult = z.infer<typeof deployResultSchema>;

/** RFC 9457 problem details. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number(),
  detail: z.string(),
  code: z.string(),
  suggestions: z.array(z.string()),
  retryAfterMs: z.number().optional(),
  /** Of a deployment that failed: the last lines that the handler printed, oldest first. Absent where there are none. */
  printed: z.array(z.string()).optional(),
});
export type Problem = z.infer<typeof problemSchema>;

const stepSchema = z.object({
  type: z.literal('step'),
  step: z.string(),
  message: z.string(),
  done: z.number().optional(),
  total: z.number().optional(),
});
const failureSchema = z.object({ type: z.literal('error'), error: problemSchema });

/** One line of the NDJSON answer to a deployment. */
export const progressSchema = z.discriminatedUnion('type', [
  stepSchema,
  z.object({ type: z.literal('done'), result: deployResultSchema }),
  failureSchema,
]);
export type DeployProgress = z.infer<typeof progressSchema>;

export const storedModelSchema = z.object({
  sha256: z.string(),
  bytes: z.number(),
  functions: z.array(z.string()),
  lastUsedAt: z.string().nullable(),
});
export type StoredModelSummary = z.infer<typeof storedModelSchema>;

/** One line of the NDJSON answer to a pull. */
export const pullProgressSchema = z.discriminatedUnion('type', [
  stepSchema,
  z.object({ type: z.literal('done'), result: storedModelSchema }),
  failureSchema,
]);
export type PullProgress = z.infer<typeof pullProgressSchema>;

export const functionSummarySchema = z.object({
  name: z.string(),
  version: z.number(),
  status: z.enum(['ready', 'deploying', 'failed', 'quarantined']),
  models: z.array(z.string()),
  invocations: z.number(),
});
export type FunctionSummary = z.infer<typeof functionSummarySchema>;

export const tensorSpecSchema = z.object({ name: z.string(), datatype: z.string(), shape: z.array(z.number()) });

export const functionDetailSchema = functionSummarySchema.extend({
  description: z.string(),
  url: z.string(),
  handler: z.string().nullable(),
  createdAt: z.string(),
  manifest: z.record(z.string(), z.unknown()),
  modelDetails: z.array(
    modelSummarySchema.extend({
      inputs: z.array(tensorSpecSchema),
      outputs: z.array(tensorSpecSchema),
      prepared: z.boolean(),
      quarantined: z.boolean(),
      residentOn: z.array(z.string()),
      runMsByRows: z.array(z.number()).nullable(),
      /** How many rows of different calls may share a run, and whether that was found at deploy and not asked for; null: none. */
      batching: z.object({ maxRows: z.number(), unasked: z.boolean() }).nullable(),
      /** Absent where there is no host cache; times are null until such a load was seen. */
      hostCache: z
        .object({ cached: z.boolean(), hostLoadMs: z.number().nullable(), diskLoadMs: z.number().nullable() })
        .optional(),
    }),
  ),
  versions: z.array(
    z.object({
      version: z.number(),
      createdAt: z.string(),
      serving: z.boolean(),
      /** What `deploy --note` gave; absent where it gave nothing. */
      note: z.string().optional(),
    }),
  ),
  lastErrors: z.array(z.object({ at: z.string(), code: z.string(), message: z.string(), callId: z.string() })),
});
export type FunctionDetail = z.infer<typeof functionDetailSchema>;

export const logLineSchema = z.object({
  at: z.string(),
  function: z.string(),
  version: z.number(),
  callId: z.string().nullable(),
  stream: z.string(),
  level: z.string(),
  text: z.string(),
});
export type LogLineMessage = z.infer<typeof logLineSchema>;

/** What is written to `daemon.json` in GPUFAAS_HOME once the daemon answers. */
export const daemonFileSchema = z.object({
  pid: z.number(),
  url: z.string(),
  version: z.string(),
  startedAt: z.string(),
});
export type DaemonFile = z.infer<typeof daemonFileSchema>;
