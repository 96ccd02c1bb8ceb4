// From a command to a daemon that answers: found by the environment or the home, started if the command may.

import { GpufaasClient } from '../client/client.ts';
import { locateDaemon, type Location } from '../client/locate.ts';
import { findRunning, startInBackground } from '../client/start.ts';
import { GpufaasError } from '../errors.ts';
import type { Home } from '../home.ts';
import type { Progress } from './render/progress.ts';

/** What connecting needs of a command. */
export interface ConnectOptions {
  readonly home: Home;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Start a daemon if none runs. */
  readonly start: boolean;
  /** Of this command line. */
  readonly version: string;
  readonly note: (text: string) => void;
}

/** A client of the daemon that answers. Throws NO_DAEMON. */
export async function connect(options: ConnectOptions): Promise<GpufaasClient> {
  const location = await find(options);
  if (location.version !== null && location.version !== options.version) {
    options.note(versionNotice(location.version, options.version));
  }
  return new GpufaasClient({ ...location, signal: options.signal });
}

/** What to say where command line and daemon are of different versions. */
export function versionNotice(daemon: string, own: string): string {
  return `The daemon is version ${daemon}, this is ${own}: \`gpufaas down\`, then \`gpufaas up\`.`;
}

async function find({ home, signal, progress, start, note }: ConnectOptions): Promise<Location> {
  const named = locateDaemon(home);
  // A daemon named by its address is somebody's to start, not ours.
  if (named?.source === 'environment') return named;
  const running = await findRunning(home, signal);
  if (running !== null && (running.status !== 'starting' || !start)) return running;
  if (!start) {
    throw new GpufaasError('NO_DAEMON', 'No gpufaas daemon is running.', {
      suggestions: ['Start one with `gpufaas up`.'],
    });
  }
  const { location, started } = await startInBackground({
    home,
    signal,
    onProgress: (message) => progress.show(message),
  });
  progress.clear();
  if (started) note(`Started the daemon at ${location.url}; \`gpufaas down\` stops it.`);
  return location;
}
