// Sizes and durations as people write them, and back: `16MB`, `7GiB`, `30s`, `1m30s`. MB is 10^6 bytes, MiB is 2^20.
// What can't be read throws USAGE with what was expected.

import { GpufaasError } from './errors.ts';

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3_600e3, d: 86_400e3 };

/** Bytes of a size such as `16MB`, `7.5GiB` or `4096` (bytes); whole, from 0 to 2^53. Throws USAGE. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,9})?)\s?([a-z]{0,3})$/i.exec(text.trim());
  const unit = match ? SIZE_UNITS[match[2]!.toLowerCase()] : undefined;
  if (!match || unit === undefined) {
    throw new GpufaasError('USAGE', `${quoted(text)} is not a size.`, {
      suggestions: ['Write a number with a unit: 500MB, 8GB, 7.5GiB (MB is 1,000,000 bytes, MiB 1,048,576).'],
    });
  }
  const bytes = Math.round(Number(match[1]) * unit);
  if (!Number.isSafeInteger(bytes)) throw new GpufaasError('USAGE', `${quoted(text)} is too large a size.`);
  return bytes;
}

/** Milliseconds of a duration such as `2ms`, `30s`, `1.5h` or `1m30s`. Throws USAGE. */
export function parseDuration(text: string): number {
  const trimmed = text.trim();
  if (trimmed === '0') return 0;
  const parts = [...trimmed.matchAll(/(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)/gy)];
  const read = parts.reduce((length, part) => length + part[0].length, 0);
  if (parts.length === 0 || read !== trimmed.length) {
    throw new GpufaasError('USAGE', `${quoted(text)} is not a duration.`, {
      suggestions: ['Write a number with a unit: 2ms, 30s, 10m, 1h, 1m30s.'],
    });
  }
  return parts.reduce((total, part) => total + Number(part[1]) * DURATION_UNITS[part[2]!]!, 0);
}

/** A size for people, in decimal units: `0 B`, `16 MB`, `7.8 GB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${significant(value)} ${units[unit]}`;
}

/** A duration for people: `0.4 ms`, `412 ms`, `2.5 s`, `3m 20s`, `2h 5m`, `4d 3h`. */
export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${significant(ms)} ms`;
  if (ms < 59_950) return `${significant(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** Two digits below ten, three above; no trailing zeros. */
function significant(value: number): string {
  return String(Number(Math.abs(value) < 10 ? value.toPrecision(2) : value.toPrecision(3)));
}

/** User text inside a message: cut, and on one line. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}
