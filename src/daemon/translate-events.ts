// The dispatcher speaks of models, the outside of functions: turns the one's events into the other's and logs them.

import type { PlatformEvent } from '../api/events.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../telemetry/log.ts';
import type { Catalog } from './catalog.ts';
import type { DispatcherEvent } from './dispatcher-events.ts';
import type { EventBus } from './event-bus.ts';

/** Publishes what a dispatcher event means to the outside. */
export function publishDispatcherEvents(
  event: DispatcherEvent,
  catalog: Catalog,
  bus: EventBus,
  clock: Clock,
  log: Log,
): void {
  const at = new Date(clock.wall()).toISOString();
  const about = (key: string) => {
    const uses = catalog.usesOf(key);
    const model = uses[0]?.model.model;
    return {
      functions: catalog.functionsOf(key),
      sha256: model?.sha256 ?? key,
      bytes: model?.profile.memoryBytes ?? 0,
    };
  };
  switch (event.type) {
    case 'load': {
      const { device, model, loadMs, reason, falseMiss, error } = event;
      if (error !== null) log.warn({ device, model, code: error.code, error: error.message }, 'load failed');
      bus.publish({
        type: 'load',
        at,
        device,
        ...about(model),
        loadMs,
        reason,
        falseMiss,
        errorCode: error?.code ?? null,
      });
      return;
    }
    case 'evict': {
      const { device, model, reason, ageMs } = event;
      bus.publish({ type: 'evict', at, device, ...about(model), reason, ageMs });
      return;
    }
    case 'instances': {
      const { device, model, instances, error } = event;
      if (error === null) log.info({ device, model, instances }, 'runs go side by side');
      else log.warn({ device, model, instances, code: error.code, error: error.message }, 'no runs side by side');
      return;
    }
    case 'batches-differ': {
      const { device, model, fault } = event;
      log.warn(
        { device, model, functions: catalog.functionsOf(model), reason: fault },
        'requests are not batched any more',
      );
      return;
    }
    case 'device': {
      log.info({ device: event.device, state: event.state, reason: event.reason }, 'device');
      bus.publish({ type: 'device', at, device: event.device, state: event.state, message: event.reason });
      return;
    }
    case 'quarantine': {
      catalog.changed();
      log.warn({ model: event.model, barred: event.barred }, event.barred ? 'quarantined' : 'released from quarantine');
      for (const name of catalog.functionsOf(event.model)) {
        const version = catalog.get(name)!.version.version;
        const change = event.barred ? 'quarantined' : 'released';
        bus.publish({ type: 'function', at, function: name, version, change } satisfies PlatformEvent);
      }
    }
  }
}
