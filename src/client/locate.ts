// Where the daemon is and what opens it: GPUFAAS_URL and GPUFAAS_TOKEN, else what the daemon left in its home.

import { readFileSync } from 'node:fs';
import { GpufaasError } from '../errors.ts';
import type { Home } from '../home.ts';

/** An address that may or may not answer. */
export interface Location {
  readonly url: string;
  readonly token: string | null;
  /** Of the daemon that wrote the home's file; null if the address comes from the environment. */
  readonly pid: number | null;
  readonly version: string | null;
  readonly source: 'environment' | 'home';
}

/** The daemon that the environment or the home names; null if neither does. Throws USAGE for a GPUFAAS_URL that is none. */
export function locateDaemon(home: Home, environment: NodeJS.ProcessEnv = process.env): Location | null {
  const wanted = environment['GPUFAAS_URL'];
  const written = readDaemonFile(home);
  if (wanted) {
    const url = parseUrl(wanted);
    // The home's token opens the home's daemon and is nobody else's business.
    const own = isLoopback(url.hostname) || url.origin === written?.url;
    const token = environment['GPUFAAS_TOKEN'] || (own ? readToken(home) : null);
    return { url: url.origin, token, pid: null, version: null, source: 'environment' };
  }
  if (written === null) return null;
  return { ...written, token: environment['GPUFAAS_TOKEN'] || readToken(home), source: 'home' };
}

/** What the home's daemon wrote of itself; null if there is none or it can't be read. */
function readDaemonFile(home: Home): { url: string; pid: number; version: string } | null {
  try {
    const file = JSON.parse(readFileSync(home.daemonFile, 'utf8')) as Record<string, unknown>;
    const { url, pid, version } = file;
    if (typeof url !== 'string' || typeof pid !== 'number' || typeof version !== 'string') return null;
    return { url: new URL(url).origin, pid, version };
  } catch {
    return null;
  }
}

function readToken(home: Home): string | null {
  try {
    return readFileSync(home.token, 'utf8').trim() || null;
  } catch {
    return null;
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new GpufaasError('USAGE', `GPUFAAS_URL is not an address: ${JSON.stringify(text.slice(0, 200))}.`, {
      suggestions: ['Write it as http://HOST:PORT, or unset it to use the daemon of this machine.'],
    });
  }
  return url;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
