// The daemon as the gateway sees it: each verb of the Platform joined to the part that does it.

import type { PlatformEvent } from '../api/events.ts';
import type { DeviceStatus, FunctionDetail, FunctionSummary, StatusResponse } from '../api/schemas.ts';
import type { Clock } from '../clock.ts';
import { GpufaasError } from '../errors.ts';
import type { AsyncPlatform } from '../gateway/async-platform.ts';
import type { Platform, ResidencyTarget, ServedFunction } from '../gateway/platform.ts';
import type { Home } from '../home.ts';
import type { FunctionStore } from '../store/functions.ts';
import type { History } from '../store/history.ts';
import type { Calls } from './calls.ts';
import type { Catalog, Serving } from './catalog.ts';
import { summarize, type Deployments } from './deployments.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { EventBus } from './event-bus.ts';
import type { Inventory } from './inventory.ts';
import type { LogHub } from './log-hub.ts';
import type { ModelLibrary } from './model-library.ts';
import { Pins } from './pins.ts';

export interface PlatformParts {
  readonly version: string;
  readonly policy: string;
  readonly home: Home;
  readonly clock: Clock;
  readonly startedAtMs: number;
  readonly store: FunctionStore;
  readonly history: History;
  readonly catalog: Catalog;
  readonly dispatcher: Dispatcher;
  readonly calls: Calls;
  readonly asyncCalls: AsyncPlatform;
  readonly deployments: Deployments;
  readonly inventory: Inventory;
  readonly library: ModelLibrary;
  readonly logs: LogHub;
  readonly events: EventBus;
  readonly url: () => string;
  readonly shutdown: (drainMs: number) => void;
}

/** The longest an explicit load or unload may take. */
const RESIDENCY_TIMEOUT_MS = 120_000;
/** Longer than any load and run may take: requests wait and nothing comes back, so something is stuck. */
const STALLED_MS = 300_000;
/** Errors of a function that `describe` shows. */
const ERRORS_SHOWN = 5;

export function createPlatform(parts: PlatformParts): Platform {
  const { catalog, dispatcher, calls, deployments, inventory, library, history, store, clock, events } = parts;

  const pins = new Pins(catalog, store);

  const ready = (): boolean => !calls.draining && dispatcher.devices().some(({ runner }) => runner.state === 'ready');

  const targets = (name: string, target: ResidencyTarget): string[] => {
    const serving = catalog.need(name);
    if (target.device !== undefined) needDevice(target.device);
    const models = Array.from(serving.models.values()).filter(
      (model) => target.model === undefined || model.name === target.model,
    );
    if (target.model !== undefined && models.length === 0) {
      throw new GpufaasError('MODEL_NOT_FOUND', `Function ${name} has no model "${target.model}".`);
    }
    return models.map((model) => model.key);
  };

  const needDevice = (id: string) => {
    const found = dispatcher.devices().find(({ device }) => device.id === id);
    if (found !== undefined) return found;
    throw new GpufaasError('DEVICE_NOT_FOUND', `There is no device ${JSON.stringify(id.slice(0, 40))}.`, {
      suggestions: ['`gpufaas devices` shows the devices there are.'],
    });
  };

  const load = async (name: string, target: ResidencyTarget, signal: AbortSignal): Promise<void> => {
    const device = target.device ?? null;
    for (const key of targets(name, target)) await dispatcher.load(key, device, RESIDENCY_TIMEOUT_MS, signal);
  };

  /** What is pinned stays resident: to wait for its eviction would be to wait for ever. */
  const refuseIfPinned = (key: string): void => {
    for (const { serving } of catalog.usesOf(key)) {
      const { name, manifest } = serving.version;
      if (manifest.keepAliveMs === null) {
        throw new GpufaasError('CONFLICT', `${name} is pinned: its function.yaml says \`keepAlive: pinned\`.`, {
          suggestions: ['Take `keepAlive: pinned` out of function.yaml and deploy it again.'],
        });
      }
      if (catalog.isPinned(name)) {
        throw new GpufaasError('CONFLICT', `${name} is pinned.`, {
          suggestions: [`\`gpufaas pin ${name} --off\` lets it go.`],
        });
      }
    }
  };

  const plugging = async (id: string, verb: 'plug' | 'unplug') => {
    const { runner } = needDevice(id);
    const act = runner[verb];
    if (act === undefined) {
      throw new GpufaasError(
        'NOT_IMPLEMENTED',
        `Only an emulated device can be plugged and unplugged; ${id} is real.`,
        {
          suggestions: ['Start the daemon with emulated devices: `gpufaas up --devices emulated:2@8GB`.'],
        },
      );
    }
    await act.call(runner);
    return inventory.devices().find((device) => device.id === id)!;
  };

  const summary = (serving: Serving, counts: ReadonlyMap<string, number>): FunctionSummary => {
    const quarantined = Array.from(serving.models.values()).some((model) => dispatcher.isQuarantined(model.key));
    return {
      name: serving.version.name,
      version: serving.version.version,
      status: quarantined ? 'quarantined' : 'ready',
      models: Array.from(serving.models.keys()),
      invocations: counts.get(serving.version.name) ?? 0,
    };
  };

  const hostCacheOf = (key: string): Pick<FunctionDetail['modelDetails'][number], 'hostCache'> => {
    const hostCache = inventory.hostCache(key);
    return hostCache === undefined ? {} : { hostCache };
  };

  const batchingOf = (key: string): FunctionDetail['modelDetails'][number]['batching'] => {
    const spec = catalog.batching(key);
    return spec === null ? null : { maxRows: spec.maxSize, unasked: spec.unasked === true };
  };

  const describe = (name: string): FunctionDetail => {
    const serving = catalog.need(name);
    const { version } = serving;
    const devices = inventory.devices();
    return {
      ...summary(serving, history.counts()),
      description: version.manifest.description,
      url: `${parts.url()}/function/${name}`,
      handler: version.manifest.handler,
      createdAt: new Date(version.createdAtMs).toISOString(),
      manifest: { ...version.manifest },
      modelDetails: Array.from(serving.models.values(), ({ name: alias, key, model }) => ({
        ...summarize(alias, model),
        inputs: model.inputs.map((spec) => ({ ...spec, shape: [...spec.shape] })),
        outputs: model.outputs.map((spec) => ({ ...spec, shape: [...spec.shape] })),
        prepared: model.preparedPath !== null,
        quarantined: dispatcher.isQuarantined(key),
        ...hostCacheOf(key),
        residentOn: devices
          .filter((device) =>
            device.resident.some((resident) => resident.sha256 === model.sha256 && resident.state !== 'loading'),
          )
          .map((device) => device.id),
        runMsByRows: model.profile.runMsByRows === undefined ? null : [...model.profile.runMsByRows],
        batching: batchingOf(key),
      })),
      versions: store.versions(name).map((row) => ({
        version: row.version,
        createdAt: new Date(row.createdAtMs).toISOString(),
        serving: row.version === version.version,
        ...(row.note !== undefined && { note: row.note }),
      })),
      lastErrors: history.failures(name, ERRORS_SHOWN).map((record) => ({
        at: record.arrivedAt,
        code: record.errorCode!,
        message: record.errorMessage ?? '',
        callId: record.id,
      })),
    };
  };

  const state = (devices: readonly DeviceStatus[]): StatusResponse['status'] => {
    if (calls.draining) return 'draining';
    const serving = devices.filter((device) => device.state === 'ready').length;
    if (serving === devices.length) return 'ready';
    if (serving > 0) return 'degraded';
    return devices.some((device) => device.state === 'starting' || device.state === 'restarting')
      ? 'starting'
      : 'unavailable';
  };

  const status = (): StatusResponse => {
    const devices = inventory.devices();
    return {
      status: state(devices),
      pid: process.pid,
      url: parts.url(),
      version: parts.version,
      policy: parts.policy,
      devices: devices.map(({ id, kind, name, state, memoryBytes, usedBytes }) => ({
        id,
        kind,
        name,
        state,
        memoryBytes,
        usedBytes,
      })),
      uptimeMs: Math.round(clock.now() - parts.startedAtMs),
      home: parts.home.root,
      functions: catalog.all().length,
      underWay: calls.underWay,
      queued: dispatcher.view().queuedRequests,
    };
  };

  return {
    version: parts.version,
    function: (name) => {
      const serving = catalog.get(name);
      return serving === undefined ? undefined : catalog.served(serving);
    },
    served: (): readonly ServedFunction[] => catalog.all().map((serving) => catalog.served(serving)),
    live: () => dispatcher.stalledMs < STALLED_MS,
    ready,
    invoke: (call, signal, onStart) => calls.invoke(call, signal, onStart),
    infer: (call, signal) => calls.infer(call, signal),
    refused: (call) => calls.refused(call),
    asyncCalls: parts.asyncCalls,
    functions: async () => {
      const counts = history.counts();
      return catalog
        .all()
        .map((serving) => summary(serving, counts))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    describe: async (name) => describe(name),
    deploy: (upload, report, signal) => deployments.deploy(upload, report, signal),
    rollback: (name, version) => deployments.rollback(name, version),
    remove: (name) => deployments.remove(name),
    logs: (name, query, signal) => {
      // A function whose first deployment failed has no version, only the lines that say why.
      if (!parts.logs.has(name)) catalog.need(name);
      return parts.logs.read(name, query, signal);
    },
    load: async (name, target, signal) => {
      await load(name, target, signal);
      return inventory.ps();
    },
    unload: async (name, target, signal) => {
      const keys = targets(name, target);
      for (const key of keys) refuseIfPinned(key);
      for (const key of keys) await dispatcher.unload(key, target.device ?? null, RESIDENCY_TIMEOUT_MS, signal);
      return inventory.ps();
    },
    pin: async (name, pinned, signal) => {
      if (pinned) await pins.pin(name, () => load(name, {}, signal));
      else pins.unpin(name);
      return inventory.ps();
    },
    ps: () => inventory.ps(),
    devices: () => inventory.devices(),
    plug: (id) => plugging(id, 'plug'),
    unplug: (id) => plugging(id, 'unplug'),
    status,
    invocations: async (query) => history.invocations(query),
    invocation: async (id) => {
      const record = history.invocation(id);
      if (record !== null) return record;
      throw new GpufaasError('CALL_NOT_FOUND', 'There is no invocation with this id in the history.', {
        suggestions: ['The history is bounded; the id is in the X-Call-Id header of every answer.'],
      });
    },
    models: async () => library.list(),
    pullModel: (source, report, signal) => library.pull(source, report, signal),
    removeModel: (sha256) => library.remove(sha256),
    shutdown: (drainMs) => parts.shutdown(drainMs),
    subscribe: (listener: (event: PlatformEvent) => void) => events.subscribe(listener),
  };
}
