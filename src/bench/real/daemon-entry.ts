// A real daemon in a process of its own for a bench: told by its parent what to be, gone when its parent is. Everything is
// as in `gpufaas serve` but for the models' profiles, which the bench brings, and the clock, which may run faster.

import { rmSync } from 'node:fs';
import { systemClock } from '../../clock.ts';
import type { Clock } from '../../clock.ts';
import { startDaemon } from '../../daemon/daemon.ts';
import type { Device } from '../../devices/types.ts';
import { GpufaasError, toGpufaasError } from '../../errors.ts';
import { resolveHome } from '../../home.ts';
import { profileModel } from '../../models/profile.ts';
import type { ModelProfile } from '../../models/types.ts';

/** What the daemon is to be. */
export interface DaemonOrder {
  readonly home: string;
  readonly devices: readonly Device[];
  readonly policy: string;
  /** How many times faster than the wall clock the daemon's time passes. */
  readonly speed: number;
  /** By sha256. A model that is not in it is measured, loaded the ordinary way. */
  readonly profiles: Readonly<Record<string, ModelProfile>>;
}

/** What the daemon's process says. */
export type DaemonNews =
  | { readonly type: 'ready'; readonly url: string }
  | { readonly type: 'profile'; readonly sha256: string; readonly profile: ModelProfile }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

const QUEUE_REQUESTS = 1_000_000;

function scaledClock(speed: number): Clock {
  const startMs = systemClock.wall();
  const now = (): number => systemClock.now() * speed;
  const zeroMs = now();
  return {
    now,
    // Records want whole milliseconds, as the system gives them.
    wall: () => Math.floor(startMs + now() - zeroMs),
    after: (delayMs, fire) => systemClock.after(delayMs / speed, fire),
  };
}

function tell(news: DaemonNews): void {
  // The bench may have gone a moment ago: its own end is the answer to that.
  if (process.connected) process.send?.(news, () => undefined);
}

async function run(order: DaemonOrder): Promise<void> {
  const daemon = await startDaemon({
    home: resolveHome({ GPUFAAS_HOME: order.home }),
    devices: order.devices,
    policy: order.policy,
    port: 0,
    maxQueuedRequests: QUEUE_REQUESTS,
    ...(order.speed === 1 ? {} : { clock: scaledClock(order.speed) }),
    assess: async (stored, { sessionOptions = {} }, report, signal) => {
      const known = order.profiles[stored.sha256];
      if (known !== undefined) return { profile: known, preparedPath: null };
      report('Measuring the model, loaded the ordinary way');
      const device = order.devices[0];
      if (device === undefined) throw new GpufaasError('NO_DEVICE', 'There is no device to measure a model on.');
      const { inputs, outputs, path } = stored;
      const model = { id: stored.sha256, path, prepared: false, sessionOptions, inputs, outputs };
      const measured = await profileModel(model, device, { budgetBytes: device.memoryBytes, signal });
      const { loadMs, runMs, memoryBytes } = measured;
      const profile = { loadMs, runMs, memoryBytes, device: measured.device };
      tell({ type: 'profile', sha256: stored.sha256, profile });
      return { profile, preparedPath: null };
    },
  });
  const end = (): void => {
    void daemon.close(0).finally(() => {
      // The parent does this too, unless it was killed.
      rmSync(order.home, { recursive: true, force: true });
      process.exit(0);
    });
  };
  process.once('disconnect', end);
  // The parent may have gone meanwhile.
  if (!process.connected) return end();
  tell({ type: 'ready', url: daemon.url });
}

// It is the bench that ends the daemon, by closing the channel.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.once('message', (order: DaemonOrder) => {
  run(order).catch((thrown: unknown) => {
    const { code, message } = toGpufaasError(thrown);
    tell({ type: 'failed', code, message: thrown instanceof GpufaasError ? message : String(thrown) });
    process.exitCode = 1;
    process.disconnect?.();
  });
});
