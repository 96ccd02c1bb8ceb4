// What the device cache holds, as `ps`, `devices` and `status` show it: the scheduler's view joined with the workers'
// state and the names that functions give their models.

import type { DeviceStatus, FunctionDetail, PsResponse, ResidentModel } from '../api/schemas.ts';
import type { Clock } from '../clock.ts';
import type { DeviceView, ResidentView } from '../scheduling/types.ts';
import type { Catalog } from './catalog.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { HostTier } from './host-tier.ts';

export class Inventory {
  readonly #dispatcher: Dispatcher;
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #hostTier: HostTier | null;

  constructor(dispatcher: Dispatcher, catalog: Catalog, clock: Clock, hostTier: HostTier | null = null) {
    this.#dispatcher = dispatcher;
    this.#catalog = catalog;
    this.#clock = clock;
    this.#hostTier = hostTier;
  }

  ps(): PsResponse {
    const quarantined = this.#catalog
      .all()
      .filter(({ models }) => Array.from(models.values()).some(({ key }) => this.#dispatcher.isQuarantined(key)))
      .map(({ version }) => version.name);
    const { queuedRequests: queued } = this.#dispatcher.view();
    const hostCache = this.#hostTier?.view() ?? undefined;
    return { devices: this.devices(), queued, quarantined, ...(hostCache !== undefined && { hostCache }) };
  }

  /** Where a model stands with the host cache, by the scheduler's key; undefined if there is none. */
  hostCache(key: string): FunctionDetail['modelDetails'][number]['hostCache'] {
    if (this.#hostTier === null || this.#hostTier.view() === null) return undefined;
    return {
      cached: this.#hostTier.has(key),
      hostLoadMs: this.#dispatcher.loadMs(key, 'host'),
      diskLoadMs: this.#dispatcher.loadMs(key, 'disk'),
    };
  }

  devices(): DeviceStatus[] {
    const views = new Map(this.#dispatcher.view().devices.map((view) => [view.id, view]));
    return this.#dispatcher.devices().map(({ device, runner, measured }) => {
      const view: DeviceView | undefined = views.get(device.id);
      const own = measured?.deviceFreeBytes != null && measured.deviceTotalBytes != null;
      return {
        id: device.id,
        kind: device.kind,
        name: device.name,
        state: runner.state,
        pid: runner.pid ?? null,
        memoryBytes: device.memoryBytes,
        usedBytes: view?.usedBytes ?? 0,
        reservedBytes: view?.reservedBytes ?? 0,
        measuredBytes:
          measured === null
            ? null
            : own
              ? measured.deviceTotalBytes! - measured.deviceFreeBytes!
              : Math.max(0, measured.processRssBytes - measured.emptyRssBytes),
        resident: view?.resident.map((resident) => this.#resident(resident)) ?? [],
        queued: view?.queued ?? 0,
      };
    });
  }

  #resident(view: ResidentView): ResidentModel {
    const uses = this.#catalog.usesOf(view.model);
    const first = uses[0];
    const keepAliveMs = Math.max(...uses.map(({ serving }) => serving.version.manifest.keepAliveMs ?? Infinity));
    const toWall = (ms: number): string => new Date(this.#clock.wall() + (ms - this.#clock.now())).toISOString();
    const stays = view.pinned || view.inUse || !Number.isFinite(keepAliveMs);
    return {
      model:
        first === undefined
          ? view.model.slice(0, 12)
          : modelName(first.serving.version.name, first.model.name, first.serving.models.size),
      sha256: first?.model.model.sha256 ?? view.model,
      functions: this.#catalog.functionsOf(view.model),
      bytes: view.bytes,
      ...(view.instances > 0 && { instances: view.instances }),
      state: this.#dispatcher.isQuarantined(view.model) ? 'quarantined' : view.state,
      hits: view.hits,
      lastUsedAt: view.state === 'loading' ? null : toWall(view.lastUsedAtMs),
      until: stays ? null : toWall(view.lastUsedAtMs + keepAliveMs),
      inUse: view.inUse,
      pinned: view.pinned,
    };
  }
}

/** A model's public name: the function's where it has one model, else `{function}.{model}`. */
export function modelName(functionName: string, model: string, modelsOfFunction: number): string {
  return modelsOfFunction === 1 ? functionName : `${functionName}.${model}`;
}
