import * as Flags from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.ts';
import { emulationNotice } from '../cli/emulated.ts';
import { renderStatus } from '../cli/render/status.ts';
import { otherPortNotice, resolveSettings, settingFlags } from '../cli/settings.ts';
import { versionNotice } from '../cli/connect.ts';
import { GpufaasClient } from '../client/client.ts';
import { startInBackground } from '../client/start.ts';
import { parseDuration } from '../units.ts';

export default class Up extends BaseCommand {
  static override summary = 'Start the daemon in the background';
  static override description =
    'Starts the daemon and waits until a device serves. Running it again is harmless, and changes no setting of one that runs. Its log is in GPUFAAS_HOME/logs.';
  static override examples = [
    { description: 'All usable GPUs, else the CPU', command: '<%= config.bin %> up' },
    { description: 'Two CPU devices with 4 GB each', command: '<%= config.bin %> up --devices cpu:2@4GB' },
    { description: 'Twelve emulated GPUs, to try a policy', command: '<%= config.bin %> up --devices emulated:12@8GB' },
  ];
  static override flags = {
    ...settingFlags,
    timeout: Flags.string({ description: 'how long to wait for it', default: '60s', helpValue: 'DURATION' }),
  };

  async run(): Promise<unknown> {
    const { flags } = await this.parse(Up);
    const timeoutMs = parseDuration(flags.timeout);
    // Read here as well, so that a wrong setting is told before anything starts.
    const { port } = resolveSettings(flags, this.home);
    const { location, started } = await startInBackground({
      home: this.home,
      flags: serveFlags(flags),
      signal: this.signal,
      timeoutMs,
      onProgress: (message) => this.progress.show(message),
    });
    this.progress.clear();
    const status = await new GpufaasClient({ ...location, signal: this.signal }).status();
    this.note(started ? `Started the daemon at ${status.url}.` : `The daemon runs already, at ${status.url}.`);
    if (status.version !== this.config.version) this.note(versionNotice(status.version, this.config.version));
    const moved = started ? otherPortNotice(status.url, port) : null;
    if (moved !== null) this.note(moved);
    const ignored = started ? [] : flagLines(flags);
    if (ignored.length > 0) {
      this.note('It keeps the settings it was started with; to change them: `gpufaas down`, then `gpufaas up` again.');
    }
    this.print(renderStatus(status));
    if (status.status === 'unavailable') this.note('No device is in service: `gpufaas devices` shows their states.');
    const notice = emulationNotice(status.devices);
    if (notice !== null) this.note(notice);
    if (status.functions > 0) this.next('gpufaas ls');
    else this.next('gpufaas init', 'gpufaas deploy');
    return { ...status, started, ignored };
  }
}

/** The flags that were given, as `serve` takes them. */
function serveFlags(flags: Readonly<Record<string, unknown>>): string[] {
  return givenFlags(flags).flat();
}

/** The same for people and programs to read: `--port 9555`. */
function flagLines(flags: Readonly<Record<string, unknown>>): string[] {
  return givenFlags(flags).map((flag) => flag.join(' '));
}

function givenFlags(flags: Readonly<Record<string, unknown>>): [flag: string, value: string][] {
  return Object.keys(settingFlags).flatMap((name) => {
    const value = flags[name];
    return typeof value === 'string' ? [[`--${name}`, value]] : [];
  });
}
