// Prometheus metrics of the daemon: gpufaas_* in the project's own words, and the names of OpenFaaS and Triton where they
// mean the same. Fed by the daemon's events; gauges are read when scraped. Labels are functions, models and devices that
// exist, never anything a caller can make up; what is removed loses its series.

import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { PlatformEvent } from '../api/events.ts';
import type { InvocationRecord, PsResponse } from '../api/schemas.ts';

/** Where the figures come from. */
export interface MetricsSource {
  readonly version: string;
  subscribe(listener: (event: PlatformEvent) => void): () => void;
  ps(): PsResponse;
  /** Every serving function. */
  served(): readonly { readonly name: string }[];
  /** A serving function with its models. */
  function(name: string): { readonly models: readonly unknown[] } | undefined;
}

/** The metrics of one daemon. */
export interface Metrics {
  readonly contentType: string;
  /** The text that Prometheus scrapes. */
  text(): Promise<string>;
  close(): void;
}

// From a millisecond, which a hit takes, to the minute that a large model takes to load.
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const AGE_SECONDS = [0.1, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400];

/** Events at which they are counted: few enough that no call waits long behind them. */
const COUNTED_TOGETHER = 32;

/** OpenFaaS labels functions with their namespace. */
const openFaasName = (name: string): string => `${name}.openfaas-fn`;

/** Starts counting. */
export function createMetrics(source: MetricsSource): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const own = ownMetrics(registry);
  const foreign = foreignMetrics(registry);
  registerGauges(registry, source);
  new Gauge({ name: 'gpufaas_info', help: 'The running version.', labelNames: ['version'], registers: [registry] })
    .labels(source.version)
    .set(1);

  const forget = (name: string): void => {
    for (const metric of [...Object.values(own), ...Object.values(foreign)]) void removeSeries(metric, name);
  };
  const count = ({ event, single }: Waiting): void => {
    if (event.type === 'invocation') {
      countOwn(own, event.record);
      countForeign(foreign, event.record, single);
    } else if (event.type === 'load') {
      const result = event.errorCode === null ? 'ok' : 'failed';
      own.loads.labels(event.device, event.reason, result).inc();
      if (event.errorCode === null) own.loadSeconds.labels(event.device).observe(event.loadMs / 1000);
      if (event.falseMiss) own.falseMisses.labels(event.device).inc();
    } else if (event.type === 'evict') {
      own.evictions.labels(event.device, event.reason).inc();
      own.evictionAge.labels(event.device).observe(event.ageMs / 1000);
    } else if (event.type === 'device') {
      own.deviceChanges.labels(event.device, event.state).inc();
    } else if (event.change === 'removed') {
      forget(event.function);
    }
  };

  // Counting waits until there are some to count, or somebody asks: one after the other costs less than one at a time.
  let waiting: Waiting[] = [];
  const flush = (): void => {
    const events = waiting;
    waiting = [];
    for (const each of events) count(each);
  };
  const unsubscribe = source.subscribe((event) => {
    const models = event.type === 'invocation' ? source.function(event.record.function)?.models.length : 1;
    // A call that outlived its function: the series are gone already.
    if (models === undefined) return;
    const gathered = waiting.push({ event, single: models === 1 });
    // What is removed must be gone before the next scrape.
    if (gathered === COUNTED_TOGETHER || event.type === 'function') setImmediate(flush);
  });
  return {
    contentType: registry.contentType,
    text: () => {
      flush();
      return registry.metrics();
    },
    close: unsubscribe,
  };
}

/** An event that is not counted yet. */
interface Waiting {
  readonly event: PlatformEvent;
  /** The function has one model, which goes by its name; seen at once, for the next version may have more. */
  readonly single: boolean;
}

type OwnMetrics = ReturnType<typeof ownMetrics>;
type ForeignMetrics = ReturnType<typeof foreignMetrics>;

function ownMetrics(registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[], buckets = SECONDS) =>
    new Histogram({ name, help, labelNames, buckets, registers });
  return {
    invocations: counter('gpufaas_invocations_total', 'Invocations that ended, by HTTP status.', [
      'function',
      'surface',
      'status',
    ]),
    invocationSeconds: histogram('gpufaas_invocation_seconds', 'Wall time of invocations.', ['function', 'cache']),
    hits: counter('gpufaas_cache_hits_total', 'Runs that found their model resident.', ['function', 'device']),
    misses: counter('gpufaas_cache_misses_total', 'Runs that were dispatched with a load.', ['function', 'device']),
    falseMisses: counter('gpufaas_cache_false_misses_total', 'Loads of a model that was resident on another device.', [
      'device',
    ]),
    queueSeconds: histogram('gpufaas_queue_seconds', 'Time runs waited in queues.', ['device']),
    loadWaitSeconds: histogram('gpufaas_load_wait_seconds', 'Time runs waited for a load.', ['device']),
    runSeconds: histogram('gpufaas_run_seconds', 'Time of the runs themselves.', ['device']),
    loads: counter('gpufaas_loads_total', 'Loads that ended, by reason.', ['device', 'reason', 'result']),
    loadSeconds: histogram('gpufaas_load_seconds', 'Time of loads that worked.', ['device']),
    evictions: counter('gpufaas_evictions_total', 'Evictions, by reason.', ['device', 'reason']),
    evictionAge: histogram(
      'gpufaas_eviction_age_seconds',
      'Time since last use of what was evicted.',
      ['device'],
      AGE_SECONDS,
    ),
    deviceChanges: counter('gpufaas_device_changes_total', 'Changes of state of a device.', ['device', 'state']),
  };
}

function foreignMetrics(registry: Registry) {
  const registers = [registry];
  const triton = (name: string, help: string) =>
    new Counter({ name, help, labelNames: ['model', 'version'], registers });
  return {
    faasInvocations: new Counter({
      name: 'gateway_function_invocation_total',
      help: 'Function invocations, by status (OpenFaaS).',
      labelNames: ['function_name', 'code'],
      registers,
    }),
    faasSeconds: new Histogram({
      name: 'gateway_functions_seconds',
      help: 'Function duration (OpenFaaS).',
      labelNames: ['function_name', 'code'],
      buckets: SECONDS,
      registers,
    }),
    success: triton('nv_inference_request_success', 'Inference requests that succeeded (Triton).'),
    failure: triton('nv_inference_request_failure', 'Inference requests that failed (Triton).'),
    inferences: triton('nv_inference_count', 'Inferences performed (Triton).'),
    executions: triton('nv_inference_exec_count', 'Model executions performed (Triton).'),
    requestUs: triton('nv_inference_request_duration_us', 'Cumulative time of inference requests (Triton).'),
    queueUs: triton('nv_inference_queue_duration_us', 'Cumulative time in queues (Triton).'),
    inferUs: triton('nv_inference_compute_infer_duration_us', 'Cumulative time of runs (Triton).'),
  };
}

/** Gauges that are read from the daemon when somebody asks. */
function registerGauges(registry: Registry, source: MetricsSource): void {
  const registers = [registry];
  const perDevice = (name: string, help: string, value: (device: PsResponse['devices'][number]) => number | null) =>
    new Gauge({
      name,
      help,
      labelNames: ['device', 'kind'],
      registers,
      collect() {
        this.reset();
        for (const device of source.ps().devices) {
          const figure = value(device);
          if (figure !== null) this.labels(device.id, device.kind).set(figure);
        }
      },
    });
  perDevice('gpufaas_device_memory_bytes', 'Budget of the device cache.', (device) => device.memoryBytes);
  perDevice('gpufaas_device_resident_bytes', 'Bytes accounted to resident models.', (device) => device.usedBytes);
  perDevice('gpufaas_device_measured_bytes', 'Bytes in use as measured.', (device) => device.measuredBytes);
  perDevice('gpufaas_device_resident_models', 'Models resident.', (device) => device.resident.length);
  perDevice('gpufaas_device_queued', 'Runs bound to the device and waiting.', (device) => device.queued);
  perDevice('gpufaas_device_up', '1 if the device serves.', (device) => (device.state === 'ready' ? 1 : 0));
  registerHostCache(registry, source);
  new Gauge({
    name: 'gpufaas_queued',
    help: 'Runs waiting anywhere.',
    registers,
    collect() {
      this.set(source.ps().queued);
    },
  });
  new Gauge({
    name: 'gateway_service_count',
    help: 'Devices that hold a model of the function (OpenFaaS: replicas).',
    labelNames: ['function_name'],
    registers,
    collect() {
      this.reset();
      const { devices } = source.ps();
      for (const { name } of source.served()) {
        const holds = devices.filter((device) => device.resident.some((model) => model.functions.includes(name)));
        this.labels(openFaasName(name)).set(holds.length);
      }
    },
  });
}

/** Models ready in host memory; no series where there is no such cache. */
function registerHostCache(registry: Registry, source: MetricsSource): void {
  type View = NonNullable<PsResponse['hostCache']>;
  const registers = [registry];
  const gauge = (name: string, help: string, value: (view: View) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const { hostCache } = source.ps();
        // `remove` without labels leaves the name without a value.
        if (hostCache === undefined) this.remove();
        else this.set(value(hostCache));
      },
    });
  const counter = (name: string, help: string, value: (view: View) => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        const { hostCache } = source.ps();
        this.reset();
        if (hostCache !== undefined) this.inc(value(hostCache));
      },
    });
  gauge('gpufaas_host_cache_bytes', 'Bytes of models ready in host memory.', ({ bytes }) => bytes);
  gauge('gpufaas_host_cache_budget_bytes', 'Budget of the host cache.', ({ budgetBytes }) => budgetBytes);
  gauge('gpufaas_host_cache_models', 'Models ready in host memory.', ({ models }) => models);
  counter('gpufaas_host_cache_hits_total', 'Loads that found their bytes in host memory.', ({ hits }) => hits);
  counter('gpufaas_host_cache_misses_total', 'Loads that read their bytes from disk.', ({ misses }) => misses);
}

function countOwn(own: OwnMetrics, record: InvocationRecord): void {
  own.invocations.labels(record.function, record.surface, String(record.status)).inc();
  own.invocationSeconds.labels(record.function, record.cache).observe(record.timing.totalMs / 1000);
  for (const run of record.runs) {
    (run.cache === 'hit' ? own.hits : own.misses).labels(record.function, run.device).inc();
    own.queueSeconds.labels(run.device).observe(run.queueMs / 1000);
    if (run.loadMs > 0) own.loadWaitSeconds.labels(run.device).observe(run.loadMs / 1000);
    own.runSeconds.labels(run.device).observe(run.runMs / 1000);
  }
}

function countForeign(foreign: ForeignMetrics, record: InvocationRecord, single: boolean): void {
  const code = String(record.status);
  foreign.faasInvocations.labels(openFaasName(record.function), code).inc();
  foreign.faasSeconds.labels(openFaasName(record.function), code).observe(record.timing.totalMs / 1000);
  const version = String(record.version);
  const nameOf = (model: string): string => (single ? record.function : `${record.function}.${model}`);
  for (const run of record.runs) {
    const model = nameOf(run.model);
    for (const counter of [foreign.success, foreign.inferences]) counter.labels(model, version).inc();
    if (run.wentAlong !== true) foreign.executions.labels(model, version).inc();
    foreign.queueUs.labels(model, version).inc(Math.round(run.queueMs * 1000));
    foreign.inferUs.labels(model, version).inc(Math.round(run.runMs * 1000));
    foreign.requestUs.labels(model, version).inc(Math.round((run.queueMs + run.loadMs + run.runMs) * 1000));
  }
  // A refused inference ran nothing; which of several models it meant is not on record.
  if (record.surface === 'infer' && record.status >= 400 && single)
    foreign.failure.labels(record.function, version).inc();
}

/** Drops every series that names a function (or a model of it). */
async function removeSeries(metric: Counter | Histogram, name: string): Promise<void> {
  const { values } = await metric.get();
  for (const value of values) {
    // A histogram lists each series once a bucket; the bucket's bound is no label of the series.
    const { le: _bound, ...labels } = value.labels as Record<string, string>;
    const { function: own, function_name: faas, model } = labels;
    const named = own === name || faas === openFaasName(name) || model === name || model?.startsWith(`${name}.`);
    if (named === true) metric.remove(labels);
  }
}
