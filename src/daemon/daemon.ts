// The composition root: the only place that constructs the parts of a daemon, starts them in order, and ends them in
// the reverse order.

import { readFileSync, rmSync } from 'node:fs';
import { systemClock, type Clock } from '../clock.ts';
import { compileEarly } from '../compile-early.ts';
import { resolveDevices } from '../devices/resolve.ts';
import type { Device } from '../devices/types.ts';
import { toGpufaasError } from '../errors.ts';
import { installDependencies } from '../functions/dependencies.ts';
import { createFunctionProcess } from '../functions/process.ts';
import { createSecretStore } from '../functions/secrets.ts';
import { createGateway } from '../gateway/server.ts';
import { createHome, type Home } from '../home.ts';
import { clearArtefacts, removeArtefacts } from '../models/artefact.ts';
import { createModelFetcher } from '../models/pull.ts';
import { createModelStore } from '../models/store.ts';
import { createScheduler, policyNamed } from '../scheduling/scheduler.ts';
import { openDatabase } from '../store/database.ts';
import { createAsyncCallStore } from '../store/async-calls.ts';
import { createFunctionStore } from '../store/functions.ts';
import { createHistory } from '../store/history.ts';
import { createDiskReserve } from '../store/reserve.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { createRunner, type RunnerOptions } from '../workers/runner.ts';
import { AsyncCalls } from './async-calls.ts';
import { Callbacks } from './callbacks.ts';
import { type AssessLimits, createAssessor, isMeasured } from './assessor.ts';
import { Calls } from './calls.ts';
import { Catalog } from './catalog.ts';
import { Deployments } from './deployments.ts';
import { Dispatcher } from './dispatcher.ts';
import { EventBus } from './event-bus.ts';
import { HostTier } from './host-tier.ts';
import { Inventory } from './inventory.ts';
import { acquireInstanceLock } from './lock.ts';
import { DEFAULT_HOST, listenSomewhere, writeDaemonFile } from './listen.ts';
import { LogHub } from './log-hub.ts';
import { type Assess, ModelLibrary } from './model-library.ts';
import { openHostCache } from './open-host-cache.ts';
import { createPlatform } from './platform.ts';
import { ResidencyKeeper } from './residency-keeper.ts';
import { obtainToken } from './token.ts';
import { publishDispatcherEvents } from './translate-events.ts';

/** What a daemon is started with; everything but the home has a default. */
export interface DaemonOptions {
  readonly home: Home;
  /** A `--devices` specification, or devices made by the caller. */
  readonly devices?: string | readonly Device[];
  /** Left to others on each GPU, in bytes. */
  readonly reserveBytes?: number;
  readonly policy?: string;
  readonly host?: string;
  /** 0: any free port. Absent: the default one, or any if that is taken. */
  readonly port?: number;
  readonly clock?: Clock;
  /** Log to the standard error instead of the home's log file. */
  readonly logToStderr?: boolean;
  readonly maxQueuedRequests?: number;
  readonly maxQueuedBytes?: number;
  /** The most the model store may hold, in bytes; models that no function uses go first. Absent: what the disk holds. */
  readonly modelQuotaBytes?: number;
  /** Host memory for models of devices that copy them, in bytes. Absent: a share of what is free; 0: none. */
  readonly hostCacheBytes?: number;
  /** How workers are run: limits, pauses, a backend of the caller's. */
  readonly workers?: RunnerOptions;
  /** How models are prepared and measured at deploy; a bench on emulated devices brings figures of its own. */
  readonly assess?: Assess;
  /** How long measuring on a device may wait for room and hold it (milliseconds). */
  readonly assessLimits?: AssessLimits;
}

export interface Daemon {
  readonly url: string;
  readonly devices: readonly Device[];
  /** Resolves when the daemon has ended, whoever asked for it. */
  readonly closed: Promise<void>;
  /** Takes no more calls, lets those under way end for at most `drainMs`, then ends everything. */
  close(drainMs?: number): Promise<void>;
}

export const DEFAULT_POLICY = 'locality';

const QUEUE_REQUESTS = 10_000;
const QUEUE_BYTES = 2e9;
const MEASURE_EVERY_MS = 5_000;
/** The longest a deployment waits for the models of the new version to be resident. */
const WARM_UP_MS = 30_000;

/** Starts a daemon; resolves once it listens and every device was asked to start. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { home } = options;
  compileEarly();
  createHome(home);
  const lock = acquireInstanceLock(home);
  const undo: (() => void | Promise<void>)[] = [() => lock.release()];
  const abandon = async (): Promise<void> => {
    for (const step of undo.reverse()) await step();
  };
  try {
    return await compose(options, undo);
  } catch (error) {
    await abandon().catch(() => undefined);
    throw error;
  }
}

async function compose(options: DaemonOptions, undo: (() => void | Promise<void>)[]): Promise<Daemon> {
  const { home } = options;
  const clock = options.clock ?? systemClock;
  const startedAtMs = clock.now();
  const version = productVersion();
  const policy = options.policy ?? DEFAULT_POLICY;
  const host = options.host ?? DEFAULT_HOST;
  const log = createLog(options.logToStderr === true ? { stderr: true } : { folder: home.logs });
  const token = obtainToken(home);
  const devices = await devicesFor(options, log);
  const workers: RunnerOptions = {
    ...(options.reserveBytes !== undefined && { reserveBytes: options.reserveBytes }),
    ...options.workers,
  };

  const database = openDatabase(home.database);
  undo.push(() => database.close());
  const reserve = createDiskReserve(home.reserve);
  reserve.keep();
  const store = createFunctionStore(database, reserve);
  // Written while calls are served: waiting for the disk here would hold every caller up.
  const historyDatabase = openDatabase(home.database, 'normal');
  undo.push(() => historyDatabase.close());
  const history = createHistory(historyDatabase, clock, {
    maxInvocations: 100_000,
    maxLogLines: 50_000,
    flushAfterMs: 250,
    flushAtRecords: 2_000,
    onWriteError: (error, dropped) =>
      log.error({ error: toGpufaasError(error).message, dropped }, 'history not written'),
  });
  undo.push(() => history.close());

  const events = new EventBus();
  const core = createScheduler({
    policy,
    explain: true,
    maxQueuedRequests: options.maxQueuedRequests ?? QUEUE_REQUESTS,
    maxQueuedBytes: options.maxQueuedBytes ?? QUEUE_BYTES,
  });
  const dispatcher = new Dispatcher(
    core,
    clock,
    (event) => {
      publishDispatcherEvents(event, catalog, events, clock, log);
      if (event.type === 'evict') void modelStore.touch(event.model.slice(0, 64), clock.wall() - event.ageMs);
    },
    async (model, device) => {
      await library.check(model);
      return hostTier.plan(model, device);
    },
  );
  const hostCache = openHostCache({
    devices,
    home: home.root,
    budgetBytes: options.hostCacheBytes,
    onChange: (model, cached) => dispatcher.hostCached(model, cached),
    onNotice: (message, details) => log.warn(details, message),
  });
  undo.push(() => hostCache?.close());
  const hostTier = new HostTier(hostCache);
  // What emulated devices do is what the policy says of the models' figures, and on a card nothing of it was seen yet.
  const batchesUnasked =
    devices.every(({ kind }) => kind === 'cpu') && policyNamed(policy).batches?.({ policy }) === true;
  const catalog = new Catalog(dispatcher, batchesUnasked);
  const inventory = new Inventory(dispatcher, catalog, clock, hostTier);
  const logs = new LogHub(history);
  const calls = new Calls({
    catalog,
    dispatcher,
    clock,
    onEnd: (record) => {
      history.record(record);
      // A smoke test is no call of anybody's: readable by its id, and counted nowhere.
      if (record.surface !== 'smoke') events.publish({ type: 'invocation', record });
    },
  });
  const modelStore = await createModelStore(home.models);
  const secrets = createSecretStore(home.secrets);
  const largestDevice = (): number => Math.max(...devices.map((device) => device.memoryBytes));
  const quota = options.modelQuotaBytes === undefined ? {} : { quotaBytes: options.modelQuotaBytes };
  const library = new ModelLibrary({
    store,
    modelStore,
    clock,
    assess:
      options.assess ??
      createAssessor({
        devices,
        folder: home.prepared,
        lend: dispatcher.lend,
        workers,
        ...options.assessLimits,
        onNotice: (message, details) => log.warn(details, message),
      }),
    isMeasured: (profile) => options.assess !== undefined || isMeasured(profile, devices),
    fetch: createModelFetcher(modelStore, {
      ...quota,
      used: () => library.inUse(),
      onCleared: (removed) => library.forget(removed),
    }),
    ...quota,
    removePrepared: (sha256) => {
      hostTier.forget(sha256);
      return removeArtefacts(home.prepared, sha256);
    },
  });
  let url = '';
  const deployments = new Deployments({
    home,
    store,
    catalog,
    calls,
    intake: library,
    clock,
    createProcess: (functionVersion, onLine) =>
      createFunctionProcess(
        functionVersion,
        { secrets: secrets.values(functionVersion.manifest.secrets) },
        {
          onLog: (line) => {
            logs.write(line);
            onLine?.(line);
          },
          onNotice: (message, details) => log.warn({ function: functionVersion.name, ...details }, message),
        },
      ),
    installDependencies,
    largestDevice,
    warm: (models, replaced) => warmUp(dispatcher, models, replaced),
    url: () => url,
    onChange: (name, changed, change) => {
      log.info({ function: name, version: changed, change }, 'function changed');
      events.publish({
        type: 'function',
        at: new Date(clock.wall()).toISOString(),
        function: name,
        version: changed,
        change,
      });
    },
    onNotice: (message, error) => log.warn({ error: toGpufaasError(error).message }, message),
  });

  await deployments.restore();
  await clearArtefacts(home.prepared, new Set(store.models().map((model) => model.sha256)));
  undo.push(() => deployments.close());
  undo.push(() => dispatcher.close(true));
  const memoryFolder = hostCache?.folder ?? null;
  await startDevices(devices, dispatcher, { ...workers, ...(memoryFolder !== null && { memoryFolder }) }, log);

  const asyncCallStore = createAsyncCallStore(historyDatabase, home.calls);
  await asyncCallStore.sweep();
  const asyncCalls = new AsyncCalls({
    store: asyncCallStore,
    callbacks: new Callbacks(),
    clock,
    onNotice: (message, details) => log.warn(details, message),
  });

  let closing: Promise<void> | null = null;
  const ended = Promise.withResolvers<void>();
  const close = (drainMs = 0): Promise<void> => (closing ??= end(drainMs));
  const platform = createPlatform({
    version,
    policy,
    home,
    clock,
    startedAtMs,
    store,
    history,
    catalog,
    dispatcher,
    calls,
    asyncCalls,
    deployments,
    inventory,
    library,
    logs,
    events,
    url: () => url,
    shutdown: (drainMs) => void close(drainMs),
  });
  const gateway = await createGateway(platform, { token, host, log, now: () => clock.now() });
  undo.push(() => gateway.close());
  undo.push(() => asyncCalls.close());
  url = await listenSomewhere(gateway, host, options.port, (port) =>
    log.warn({ port }, 'the default port is taken: a free one is used instead'),
  );
  writeDaemonFile(home, { pid: process.pid, url, version, startedAt: new Date(clock.wall()).toISOString() });
  undo.push(() => rmSync(home.daemonFile, { force: true }));

  const keeper = new ResidencyKeeper({ dispatcher, catalog, store, clock });
  keeper.restore();
  const measuring = setInterval(() => {
    void dispatcher.measure();
    reserve.keep();
  }, MEASURE_EVERY_MS);
  log.info({ url, version, policy, devices: devices.map((device) => device.id) }, 'ready');

  async function end(drainMs: number): Promise<void> {
    log.info({ drainMs, underWay: calls.underWay }, 'draining');
    clearInterval(measuring);
    asyncCalls.stop();
    const drained = await calls.drain(drainMs);
    if (!drained) log.warn({ underWay: calls.underWay }, 'calls were cut off');
    keeper.close();
    for (const step of undo.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        log.error({ error: String(error) }, 'a part did not end cleanly');
      }
    }
    log.info({}, 'stopped');
    ended.resolve();
  }

  return { url, devices, closed: ended.promise, close };
}

async function devicesFor(options: DaemonOptions, log: Log): Promise<readonly Device[]> {
  if (options.devices !== undefined && typeof options.devices !== 'string') return options.devices;
  return resolveDevices(options.devices ?? 'auto', {
    reserveBytes: options.reserveBytes ?? 0,
    onNotice: (message, details) => log.warn(details, message),
  });
}

/** Starts every worker; a device that does not come up is retried by its runner and keeps nobody waiting. */
async function startDevices(
  devices: readonly Device[],
  dispatcher: Dispatcher,
  workers: RunnerOptions,
  log: Log,
): Promise<void> {
  const starts = devices.map((device) => {
    const runner = createRunner(device, workers, {
      onReady: () => dispatcher.deviceReady(device.id),
      onLost: (reason, final, culprit) => {
        log.warn({ device: device.id, reason, final, ...(culprit != null && { culprit }) }, 'worker lost');
        dispatcher.deviceLost(device.id, reason, culprit);
      },
      onNotice: (message, details) => log.warn({ device: device.id, ...details }, message),
    });
    dispatcher.addDevice(device, runner);
    return runner.start();
  });
  const outcomes = await Promise.allSettled(starts);
  const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
  for (const failure of failures) log.error({ error: String(failure.reason) }, 'a device did not start');
  if (failures.length === devices.length) throw toGpufaasError(failures[0]!.reason);
}

/** Loads models that are to take the place of resident ones; what can't be loaded now is loaded when it is called. */
async function warmUp(dispatcher: Dispatcher, models: readonly string[], replaced: readonly string[]): Promise<void> {
  const resident = new Set(dispatcher.view().devices.flatMap((device) => device.resident.map(({ model }) => model)));
  if (!replaced.some((model) => resident.has(model))) return;
  const missing = models.filter((model) => !resident.has(model));
  await Promise.all(missing.map((model) => dispatcher.load(model, null, WARM_UP_MS).catch(() => undefined)));
}

/** The version in package.json. */
export function productVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
