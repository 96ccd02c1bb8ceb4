import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { emulationNotice } from '../cli/emulated.ts';
import { describeFailure } from '../cli/failure.ts';
import { blameSetting, resolveSettings, settingFlags } from '../cli/settings.ts';
import type { StartFailure } from '../client/start.ts';
import type { Daemon } from '../daemon/daemon.ts';
import { parseDuration, parseSize } from '../units.ts';

export default class Serve extends BaseCommand {
  static override summary = 'Run the daemon in the foreground';
  static override description =
    'For systemd and containers: logs to the standard error, drains on SIGTERM, SIGINT or SIGHUP, ends at once on a further SIGTERM or SIGINT.';
  static override examples = [
    { description: 'With the devices of this machine', command: '<%= config.bin %> serve' },
    {
      description: 'In a container, reachable from outside (asks for the token)',
      command: '<%= config.bin %> serve --host 0.0.0.0',
    },
  ];
  static override flags = {
    ...settingFlags,
    drain: Flags.string({
      description: 'how long calls under way may take to finish when it is told to stop',
      default: '30s',
      helpValue: 'DURATION',
    }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Serve);
    process.off('SIGINT', this.interrupt);
    // A home that somebody else made may be open to all; what it holds of functions and calls is for its owner alone.
    process.umask(0o077);
    // Before anything that loads ONNX Runtime is started: it would send usage data otherwise.
    process.env['ORT_DISABLE_TELEMETRY'] = '1';
    const drainMs = parseDuration(flags.drain);
    const settings = resolveSettings(flags, this.home);
    const { devices, policy, host, port, reserve, 'model-quota': modelQuota, 'host-cache': hostCache } = settings;
    const stop = new StopSignals();
    try {
      const { startDaemon } = await import('../daemon/daemon.ts');
      const daemon = await startDaemon({
        home: this.home,
        ...(devices.value !== null && { devices: devices.value }),
        ...(policy.value !== null && { policy: policy.value }),
        ...(host.value !== null && { host: host.value }),
        ...(port.value !== null && { port: Number(port.value) }),
        ...(reserve.value !== null && { reserveBytes: parseSize(reserve.value) }),
        ...(modelQuota.value !== null && { modelQuotaBytes: parseSize(modelQuota.value) }),
        ...((hostCache.value ?? 'auto') !== 'auto' && { hostCacheBytes: parseSize(hostCache.value!) }),
        logToStderr: !inBackground(),
      });
      this.#announce(daemon);
      stop.onFirst(() => void daemon.close(drainMs));
      await daemon.closed;
    } catch (thrown) {
      const error = blameSetting(thrown, settings);
      reportToStarter(error);
      throw error;
    } finally {
      stop.release();
    }
    process.exitCode = stop.received === 'SIGINT' ? 130 : 0;
    return undefined;
  }

  #announce(daemon: Daemon): void {
    const devices = daemon.devices.map((device) => device.id);
    if (this.jsonEnabled()) this.logJson({ url: daemon.url, pid: process.pid, devices });
    else this.print(`gpufaas ${this.config.version} serves at ${daemon.url} on ${devices.join(', ')}.`);
    const notice = emulationNotice(daemon.devices);
    if (notice !== null) this.note(notice);
  }
}

/** True if a command started this process and waits for it (see client/start.ts). */
function inBackground(): boolean {
  return process.send !== undefined;
}

function reportToStarter(error: unknown): void {
  const failure = describeFailure(error);
  if (failure === null || !process.connected) return;
  const { code, message, suggestions } = failure;
  process.send?.({ code, message, suggestions } satisfies StartFailure, () => undefined);
}

/** The signals that end the daemon: the first asks, a second one ends the process at once. */
class StopSignals {
  received: NodeJS.Signals | null = null;
  #act: (() => void) | null = null;

  constructor() {
    for (const signal of STOP_SIGNALS) process.on(signal, this.#take);
  }

  /** What to do on the first one; at once if it came while the daemon was starting. */
  onFirst(act: () => void): void {
    this.#act = act;
    if (this.received !== null) act();
  }

  release(): void {
    for (const signal of STOP_SIGNALS) process.off(signal, this.#take);
  }

  readonly #take = (signal: NodeJS.Signals): void => {
    if (this.received !== null) {
      // A terminal that is closed says so twice: its shell does, and the system.
      if (signal === 'SIGHUP') return;
      process.exit(signal === 'SIGINT' ? 130 : 1);
    }
    this.received = signal;
    this.#act?.();
  };
}

const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
