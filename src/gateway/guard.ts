// Who may talk to the daemon at all: Host and Origin checks against web pages that reach for local daemons (DNS
// rebinding, cross-site requests), and the token. Decides on headers alone; nothing here reads a body.

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { GpufaasError } from '../errors.ts';
import type { Access } from './context.ts';

/** Checks of one gateway. */
export interface Guard {
  /** True if the daemon listens on loopback only. */
  readonly loopback: boolean;
  /** Throws FORBIDDEN_ORIGIN or UNAUTHORIZED. */
  check(headers: IncomingHttpHeaders, access: Access): void;
  /** True if the header carries our token: it must not travel on to a handler. */
  carriesToken(authorization: string | undefined): boolean;
}

/** True for addresses and names that only this machine can reach. */
export function isLoopbackHost(host: string): boolean {
  const name = stripBrackets(host).toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || isLoopback4(name);
}

function isLoopback4(name: string): boolean {
  const address = name.startsWith('::ffff:') ? name.slice(7) : name;
  return isIP(address) === 4 && address.startsWith('127.');
}

const stripBrackets = (host: string): string => (host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host);

/** The host of `name:port`, without brackets, lower case; null if it is not one. */
function hostOf(header: string): string | null {
  const match = /^(\[[0-9a-f:.]+\]|[^\s:/?#@[\]]+)(?::\d{1,5})?$/i.exec(header);
  return match === null ? null : stripBrackets(match[1]!).toLowerCase().replace(/\.$/, '');
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Makes the checks for a daemon bound to `host`. */
export function createGuard(settings: { token: string; host: string; allowedHosts: readonly string[] }): Guard {
  const loopback = isLoopbackHost(settings.host);
  const own = hostname().toLowerCase();
  const allowed = new Set([settings.host.toLowerCase(), ...settings.allowedHosts.map((name) => name.toLowerCase())]);
  if (!loopback) for (const name of [own, `${own}.local`]) allowed.add(name);
  const expected = digest(settings.token);

  const hostAllowed = (host: string): boolean =>
    // A page can rebind a name to 127.0.0.1, but not an address; and a bare word is no public name.
    isIP(host) !== 0 || isLoopbackHost(host) || allowed.has(host) || (!loopback && !host.includes('.'));

  const tokenOf = (authorization: string | undefined): string | null => {
    if (authorization === undefined) return null;
    const [scheme, credentials = ''] = authorization.split(' ', 2);
    if (/^bearer$/i.test(scheme!)) return credentials;
    if (!/^basic$/i.test(scheme!)) return null;
    // As the OpenFaaS CLI logs in: any user, the token as password.
    const plain = Buffer.from(credentials, 'base64').toString('utf8');
    return plain.slice(plain.indexOf(':') + 1);
  };

  const carriesToken = (authorization: string | undefined): boolean => {
    const token = tokenOf(authorization);
    return token !== null && settings.token !== '' && timingSafeEqual(digest(token), expected);
  };

  const checkOrigin = (headers: IncomingHttpHeaders): void => {
    const { origin, host } = headers;
    if (headers['sec-fetch-site'] === 'cross-site') throw forbidden('Requests from other sites are refused.');
    if (origin === undefined) return;
    const originHost = URL.canParse(origin) ? new URL(origin).host : null;
    if (originHost === null || originHost === '') throw forbidden('Requests of this origin are refused.');
    const name = hostOf(originHost);
    if (originHost === host?.toLowerCase() || (loopback && name !== null && isLoopbackHost(name))) return;
    throw forbidden('Requests from other origins are refused.');
  };

  /** The last Host header that was allowed: the next is probably the same. */
  let lastHost: string | undefined;

  return {
    loopback,
    carriesToken,
    check(headers, access) {
      if (headers.host === undefined || headers.host !== lastHost) {
        const host = hostOf(headers.host ?? '');
        if (host === null || !hostAllowed(host)) throw forbidden('The Host header names no host of this daemon.');
        lastHost = headers.host;
      }
      checkOrigin(headers);
      if (access === 'open' || (loopback && access !== 'change') || carriesToken(headers.authorization)) return;
      throw new GpufaasError('UNAUTHORIZED', 'This needs the token of the daemon.', {
        suggestions: ['Send it as "Authorization: Bearer TOKEN"; it is in the file "token" of GPUFAAS_HOME.'],
      });
    },
  };
}

function forbidden(message: string): GpufaasError {
  return new GpufaasError('FORBIDDEN_ORIGIN', message, {
    suggestions: ['Use localhost, an IP address, or the name the daemon was bound to.'],
  });
}
