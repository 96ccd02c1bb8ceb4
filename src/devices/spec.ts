// The grammar of --devices: comma-separated parts, each a kind with a count or an index and an amount of memory. Says
// nothing about what the machine has; that is resolve.ts.

import { GpufaasError } from '../errors.ts';
import { parseSize } from '../units.ts';
import type { DeviceKind } from './types.ts';

/** One part of a specification. Absent memory means: whatever the device has, or a share of the machine's. */
export type DeviceRequest =
  | { readonly kind: 'auto' }
  | { readonly kind: 'cpu'; readonly count: number; readonly memoryBytes?: number }
  | { readonly kind: 'cuda'; readonly index: number | 'all'; readonly memoryBytes?: number }
  | { readonly kind: 'webgpu' | 'dml' | 'coreml'; readonly memoryBytes?: number }
  | { readonly kind: 'emulated'; readonly count: number; readonly memoryBytes: number };

const FORMS: Readonly<Record<DeviceKind | 'auto', string>> = {
  auto: 'auto',
  cpu: 'cpu[:COUNT][@MEMORY]',
  cuda: 'cuda[:INDEX|all][@MEMORY]',
  webgpu: 'webgpu[@MEMORY]',
  dml: 'dml',
  coreml: 'coreml',
  emulated: 'emulated:COUNT@MEMORY',
};
/** Each device is a process. */
const MOST_DEVICES = 256;
const LEAST_BYTES = 1_000_000;

function usage(part: string, why: string, form?: string): GpufaasError {
  const shown = JSON.stringify(part.length > 60 ? `${part.slice(0, 60)}…` : part);
  return new GpufaasError('USAGE', `--devices: ${shown} ${why}.`, {
    suggestions: [
      form === undefined
        ? `Write parts such as ${Object.values(FORMS).join(', ')}, separated by commas.`
        : `Write ${form}, with MEMORY as 8GB, 7800MB or 7GiB.`,
    ],
  });
}

function count(part: string, text: string, form: string): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > MOST_DEVICES) throw usage(part, `needs a count from 1 to ${MOST_DEVICES}`, form);
  return value;
}

function memory(part: string, text: string | undefined, form: string): number | undefined {
  if (text === undefined) return undefined;
  let bytes: number;
  try {
    bytes = parseSize(text);
  } catch {
    throw usage(part, `has ${JSON.stringify(text.slice(0, 30))} where an amount of memory belongs`, form);
  }
  if (bytes < LEAST_BYTES) throw usage(part, 'has less than 1 MB of memory (is the unit missing?)', form);
  return bytes;
}

function parsePart(part: string): DeviceRequest {
  const match = /^([a-z]+)(?::([^@]*))?(?:@(.*))?$/i.exec(part);
  const kind = match?.[1]?.toLowerCase() ?? '';
  if (match === null || !Object.hasOwn(FORMS, kind)) throw usage(part, 'is not a device');
  const form = FORMS[kind as keyof typeof FORMS];
  const selector = match[2];
  const bytes = memory(part, match[3], form);
  const withMemory = bytes === undefined ? {} : { memoryBytes: bytes };
  switch (kind as keyof typeof FORMS) {
    case 'auto':
      if (selector !== undefined || bytes !== undefined) throw usage(part, 'takes neither a count nor memory', form);
      return { kind: 'auto' };
    case 'cpu':
      return { kind: 'cpu', count: selector === undefined ? 1 : count(part, selector, form), ...withMemory };
    case 'cuda': {
      const all = selector === undefined || selector === 'all';
      if (!all && !/^\d{1,3}$/.test(selector)) throw usage(part, 'needs the index of a card, or `all`', form);
      return { kind: 'cuda', index: all ? 'all' : Number(selector), ...withMemory };
    }
    case 'emulated':
      if (selector === undefined) throw usage(part, 'needs a count', form);
      if (bytes === undefined) throw usage(part, 'needs an amount of memory', form);
      return { kind: 'emulated', count: count(part, selector, form), memoryBytes: bytes };
    default:
      if (selector !== undefined) throw usage(part, 'takes no count', form);
      return { kind: kind as 'webgpu' | 'dml' | 'coreml', ...withMemory };
  }
}

/** The parts of a `--devices` specification, in order. Throws USAGE that says what was expected. */
export function parseDeviceSpec(text: string): DeviceRequest[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.some((part) => part === '')) throw usage(text, 'has an empty part');
  const requests = parts.map(parsePart);
  const total = requests.reduce((sum, request) => sum + ('count' in request ? request.count : 1), 0);
  if (total > MOST_DEVICES) throw usage(text, `names more than ${MOST_DEVICES} devices`);
  if (requests.length > 1 && requests.some(({ kind }) => kind === 'auto'))
    throw usage(text, 'has `auto` beside other devices');
  for (const kind of ['webgpu', 'dml', 'coreml'] as const) {
    if (requests.filter((request) => request.kind === kind).length > 1) throw usage(text, `names ${kind} twice`);
  }
  const cards = requests.filter((request) => request.kind === 'cuda').map(({ index }) => index);
  if (new Set(cards).size !== cards.length || (cards.length > 1 && cards.includes('all')))
    throw usage(text, 'names a card twice');
  return requests;
}
