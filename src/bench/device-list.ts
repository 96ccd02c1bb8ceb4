// The devices of a simulation: a count, or a SPEC as for `up` in which every part says how many and how much memory.

import { GpufaasError } from '../errors.ts';
import type { SimulatedDevice } from '../simulation/types.ts';
import { parseSize } from '../units.ts';
import { parseWhole } from './numbers.ts';

const MOST_DEVICES = 100_000;
const HINT = 'Give a count (with --memory), or for example emulated:4@16GB,emulated:8@8GB.';

/** Devices in the order of the list; those without `@MEMORY` have `memory` each. Throws GpufaasError USAGE. */
export function parseDevices(text: string, memory: string, overlap: boolean): SimulatedDevice[] {
  const each = readMemory(memory);
  const trimmed = text.trim();
  if (/^\d+$/.test(trimmed))
    return numbered('emulated', parseWhole('--devices', trimmed, 1, MOST_DEVICES), each, overlap);
  const devices: SimulatedDevice[] = [];
  const seen = new Map<string, number>();
  for (const part of trimmed.split(',')) {
    const match = /^(emulated|cpu|cuda|webgpu|dml|coreml)(?::(\d{1,6}))?(?:@(.+))?$/.exec(part.trim());
    if (match === null)
      throw new GpufaasError('USAGE', `--devices: ${JSON.stringify(part)} is not a device for a simulation.`, {
        suggestions: [HINT],
      });
    const kind = match[1]!;
    // `cuda:2` is the card with index 2: one device. Elsewhere the number is a count.
    const count = kind === 'cuda' ? 1 : parseWhole('--devices', match[2] ?? '1', 1, MOST_DEVICES);
    const first = kind === 'cuda' ? Number(match[2] ?? 0) : (seen.get(kind) ?? 0);
    seen.set(kind, first + count);
    devices.push(...numbered(kind, count, match[3] === undefined ? each : readMemory(match[3]), overlap, first));
  }
  if (devices.length > MOST_DEVICES || new Set(devices.map((device) => device.id)).size !== devices.length)
    throw new GpufaasError('USAGE', `--devices ${JSON.stringify(text)} names too many devices, or one twice.`, {
      suggestions: [HINT],
    });
  return devices;
}

function readMemory(text: string): number {
  const bytes = parseSize(text);
  if (bytes > 0) return bytes;
  throw new GpufaasError('USAGE', 'A device with no memory holds no model.', {
    suggestions: ['For example --memory 7800MB.'],
  });
}

function numbered(kind: string, count: number, memoryBytes: number, overlap: boolean, first = 0): SimulatedDevice[] {
  return Array.from({ length: count }, (_, index) => ({ id: `${kind}:${first + index}`, memoryBytes, overlap }));
}
