// What the values of settings may be, as far as it can be told before a daemon starts. Each check throws USAGE.

import { parseDeviceSpec } from '../devices/spec.ts';
import { GpufaasError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { parseSize } from '../units.ts';

/** The policies that come with the product; named here so that no command has to load the scheduler for its --help. */
export const POLICY_NAMES: readonly string[] = ['lb', 'lalb', 'lalbo3', 'locality'];

/** A specification of devices by its grammar; whether the machine has them is seen when the daemon starts. */
export function isDevices(text: string): void {
  notEmpty(text);
  try {
    parseDeviceSpec(text);
  } catch (error) {
    if (!(error instanceof GpufaasError)) throw error;
    const message = error.message.replace(/^--devices/, 'devices');
    throw new GpufaasError(error.code, message, { cause: error, suggestions: error.suggestions });
  }
}

/** One of POLICY_NAMES. A policy of one's own runs in the bench only. */
export function isPolicy(text: string): void {
  notEmpty(text);
  if (POLICY_NAMES.includes(text)) return;
  const near = nearest(text, POLICY_NAMES);
  const ownPolicy = /[/\\]|\.[cm]?[jt]s$/.test(text)
    ? ['A module of your own runs with `gpufaas bench --policy PATH`.']
    : [];
  throw new GpufaasError('USAGE', `There is no policy ${JSON.stringify(text.slice(0, 200))}.`, {
    suggestions: [
      ...(near === undefined ? [] : [`Did you mean ${near}?`]),
      `The policies are ${POLICY_NAMES.join(', ')}.`,
      ...ownPolicy,
    ],
  });
}

/** An address or a name of this machine, without scheme, port or spaces. */
export function isHost(text: string): void {
  notEmpty(text);
  // An IPv6 address has two colons at least: one is a port that does not belong here.
  if (/^[a-z0-9._:%-]{1,253}$/i.test(text) && text.split(':').length !== 2) return;
  throw new GpufaasError('USAGE', `${JSON.stringify(text.slice(0, 80))} is not an address to listen on.`, {
    suggestions: ['Write an address or a name of this machine, such as 127.0.0.1, 0.0.0.0 or localhost.'],
  });
}

const LEAST_BYTES = 1_000_000;

/** An amount of memory or disk; one that makes sense only if a unit was forgotten is refused. */
export function isSize(text: string): void {
  const bytes = parseSize(text);
  if (bytes === 0 || bytes >= LEAST_BYTES) return;
  throw new GpufaasError('USAGE', `${JSON.stringify(text)} is less than 1 MB (is the unit missing?).`, {
    suggestions: ['Write a number with a unit, such as 500MB or 8GB.'],
  });
}

/** An amount of memory, or `auto`. */
export function isHostCache(text: string): void {
  if (text !== 'auto') isSize(text);
}

/** Any text but the empty one. */
function notEmpty(text: string): void {
  if (text.trim() === '')
    throw new GpufaasError('USAGE', "A setting can't be empty.", {
      suggestions: ['`gpufaas config unset NAME` goes back to the default.'],
    });
}

/** A TCP port, or 0. */
export function isPort(text: string): void {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return;
  throw new GpufaasError('USAGE', `${JSON.stringify(text.slice(0, 40))} is not a port.`, {
    suggestions: ['Ports are whole numbers up to 65535; 0 takes a free one.'],
  });
}
