// Checks of what gpufaas itself has on this machine: its home, the daemon, the port, and that no process of it sends
// usage data.

import { existsSync, mkdtempSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { GpufaasClient } from '../../client/client.ts';
import { daemonLog, findRunning, type Running } from '../../client/start.ts';
import { toGpufaasError } from '../../errors.ts';
import type { Home } from '../../home.ts';
import { formatSize } from '../../units.ts';
import { describeFailure } from '../failure.ts';
import { resolveSettings, type SettingName, type SettingValue } from '../settings.ts';
import { ok, trouble, type Check } from './check.ts';

type Settings = Readonly<Record<SettingName, SettingValue>>;

const LITTLE_SPACE = 2e9;
const NO_SPACE = 200e6;

/** The home: writable, nobody else's to read, with room for models. */
export async function checkHome(home: Home): Promise<Check[]> {
  const place = nearestExisting(home.root);
  if (!statSync(place).isDirectory()) {
    const advice = `Remove or rename ${place}, or set GPUFAAS_HOME to a folder.`;
    return [trouble('home', 'problem', `${place} is not a folder`, advice)];
  }
  try {
    // By trying: permissions alone do not tell of a file system where nothing can be made (/proc, one that is read-only).
    rmdirSync(mkdtempSync(join(place, '.gpufaas-doctor-')));
  } catch {
    const advice = `Make ${place} writable, or set GPUFAAS_HOME to a folder of your own.`;
    return [trouble('home', 'problem', `${home.root} can't be written`, advice)];
  }
  return [checkPermissions(home), await checkSpace(place)];
}

function checkPermissions(home: Home): Check {
  if (!existsSync(home.root)) return ok('home', `${home.root}, made with the first start`);
  // Windows has other means than these bits.
  if (process.platform === 'win32') return ok('home', home.root);
  for (const path of [home.token, home.secrets]) {
    if (existsSync(path) && (statSync(path).mode & 0o077) !== 0) {
      return trouble('home', 'problem', `${path} can be read by others`, `Run: chmod 600 '${path}'`);
    }
  }
  if ((statSync(home.root).mode & 0o077) === 0) return ok('home', `${home.root}, for its owner alone`);
  return trouble('home', 'warning', `${home.root} can be read by others`, `Run: chmod 700 '${home.root}'`);
}

async function checkSpace(place: string): Promise<Check> {
  const { bavail, bsize } = await statfs(place);
  const bytes = bavail * bsize;
  const message = `${formatSize(bytes)} free`;
  if (bytes >= LITTLE_SPACE) return ok('disk', message);
  const advice = 'Make room, remove models (`gpufaas models ls`), or set GPUFAAS_HOME to another disk.';
  return trouble('disk', bytes < NO_SPACE ? 'problem' : 'warning', message, advice);
}

/** The settings in force (of `up` without flags, but for these), or null and why they can't be used. */
export function readSettings(
  flags: Readonly<Partial<Record<SettingName, string | undefined>>>,
  home: Home,
): { settings: Settings | null; checks: Check[] } {
  try {
    return { settings: resolveSettings(flags, home), checks: [] };
  } catch (error) {
    // Told as every other command would.
    const { message, suggestions } = describeFailure(error)!;
    return { settings: null, checks: [trouble('settings', 'problem', message, suggestions.join(' '))] };
  }
}

/** The daemon, or (without one) whether its port is free; and the telemetry of the workers. */
export async function checkDaemon(home: Home, version: string, settings: Settings | null): Promise<Check[]> {
  let running: Running | null;
  try {
    running = await findRunning(home);
  } catch (error) {
    const advice = `Look at ${daemonLog(home)}; end the process and start it again with \`gpufaas up\`.`;
    return [trouble('daemon', 'problem', toGpufaasError(error).message, advice)];
  }
  if (running === null) {
    const telemetry = ok(
      'telemetry',
      'off in all that gpufaas starts; with a running daemon its workers are looked at',
    );
    const port = settings === null ? [] : [await checkPort(settings)];
    return [ok('daemon', 'not running; `gpufaas up` starts it'), ...port, telemetry];
  }
  const message = `${running.status}, pid ${running.pid}, version ${running.version}, at ${running.url}`;
  const sameVersion = running.version === version;
  const advice = `This command line is version ${version}: \`gpufaas down\`, then \`gpufaas up\`.`;
  const daemon = sameVersion ? ok('daemon', message) : trouble('daemon', 'warning', message, advice);
  return [daemon, ...devicesInService(running), await checkTelemetry(running)];
}

function devicesInService({ status }: Running): Check[] {
  const advice = '`gpufaas devices` shows their states, the daemon log why.';
  if (status === 'unavailable') return [trouble('in service', 'problem', 'no device of the daemon', advice)];
  if (status === 'degraded') return [trouble('in service', 'warning', 'not all devices of the daemon', advice)];
  return [];
}

async function checkPort(settings: Settings): Promise<Check> {
  const { DEFAULT_HOST, DEFAULT_PORT } = await import('../../daemon/listen.ts');
  const host = settings.host.value ?? DEFAULT_HOST;
  const port = Number(settings.port.value ?? DEFAULT_PORT);
  const problem = await new Promise<string | null>((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
  if (problem === null) return ok('port', `${port} on ${host} is free`);
  if (problem === 'EADDRINUSE' && settings.port.source === 'default') {
    const advice = 'A free one is used instead; to choose one: `gpufaas config set port N`.';
    return trouble('port', 'warning', `${port} on ${host} is taken by another program`, advice);
  }
  const message = problem === 'EADDRINUSE' ? 'is taken by another program' : `can't be listened on (${problem})`;
  const advice = 'Choose another one: `gpufaas config set port N`, or 0 for any.';
  return trouble('port', 'problem', `${port} on ${host} ${message}`, advice);
}

/** ONNX Runtime sends usage data unless its environment forbids it; so look at the environment each worker really has. */
async function checkTelemetry(running: Running): Promise<Check> {
  if (process.platform !== 'linux')
    return ok('telemetry', 'off in all that gpufaas starts (not looked at on this platform)');
  const devices = await new GpufaasClient(running).devices();
  const pids = devices.flatMap((device) => (device.pid === null ? [] : [device.pid]));
  const sending = pids.filter((pid) => !forbidsTelemetry(pid));
  if (sending.length === 0) return ok('telemetry', `off, as the environment of ${pids.length} worker(s) shows`);
  const advice = 'Restart the daemon: `gpufaas down`, then `gpufaas up`. If it stays so, please report it.';
  return trouble('telemetry', 'problem', `not switched off in process ${sending.join(', ')}`, advice);
}

function forbidsTelemetry(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes('ORT_DISABLE_TELEMETRY=1');
  } catch (error) {
    // A worker that has just ended sends nothing either.
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}
