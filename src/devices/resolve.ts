// From a `--devices` specification to the devices of this machine.

import { cpus } from 'node:os';
import { GpufaasError } from '../errors.ts';
import { formatSize } from '../units.ts';
import { cardDevice, type CudaFindings, discoverCuda, type DiscoveryOptions } from './discover.ts';
import { coreCount, freeMemory } from './host-memory.ts';
import type { NvidiaCard } from './nvidia.ts';
import { type DeviceRequest, parseDeviceSpec } from './spec.ts';
import type { Device } from './types.ts';

/** What resolving depends on; all but the reserve has a default taken from the machine. */
export interface ResolveOptions extends DiscoveryOptions {
  readonly cores?: number;
  readonly freeBytes?: number;
  readonly platform?: string;
  /** A card that is there and not used, with the reason: for the log. */
  readonly onNotice?: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

/** CPU devices by default: one, and one more for every this many cores. */
const CORES_PER_DEVICE = 8;

/** The devices that a specification names, numbered by kind. Throws USAGE: the grammar, or that the machine lacks it. */
export async function resolveDevices(spec: string, options: ResolveOptions = {}): Promise<Device[]> {
  const cores = options.cores ?? coreCount();
  const requests = parseDeviceSpec(spec);
  const wantsCuda = requests.some(({ kind }) => kind === 'cuda' || kind === 'auto');
  const indices = requests.map((request) => (request.kind === 'cuda' ? request.index : null));
  const wanted = (card: NvidiaCard): boolean =>
    requests.some(({ kind }) => kind === 'auto') || indices.includes('all') || indices.includes(card.index);
  const cuda = wantsCuda ? await discoverCuda({ wanted, ...options }) : null;
  const devices: Device[] = [];
  for (const request of requests) {
    if (request.kind === 'auto') devices.push(...automatic(cuda!, cores, options));
    else devices.push(...resolveRequest(request, cuda, devices, options));
  }
  return shareMachine(devices, cores, options.freeBytes ?? freeMemory());
}

/** A device whose budget and threads are its share of the machine's, filled in when all devices are known. */
const SHARE = 0;

function hostDevice(
  kind: 'cpu' | 'webgpu' | 'dml' | 'coreml' | 'emulated',
  index: number,
  name: string,
  memoryBytes: number,
): Device {
  // Where all models share a thread, a load holds up the runs beside it.
  const overlap = kind !== 'webgpu' && kind !== 'dml';
  return { id: `${kind}:${index}`, kind, index, name, memoryBytes, threads: 1, overlap };
}

function numbered(
  kind: 'cpu' | 'emulated',
  count: number,
  name: string,
  memoryBytes: number,
  before: readonly Device[],
): Device[] {
  const first = before.filter((device) => device.kind === kind).length;
  return Array.from({ length: count }, (_, index) => hostDevice(kind, first + index, name, memoryBytes));
}

const processorName = (): string => cpus()[0]?.model.trim() || 'CPU';

function automatic(cuda: CudaFindings, cores: number, options: ResolveOptions): Device[] {
  const usable = cuda.cards.flatMap(({ device }) => (device === null ? [] : [device]));
  if (cuda.driverProblem !== null) options.onNotice?.('NVIDIA cards are not all used', { problem: cuda.driverProblem });
  for (const { card, problem } of cuda.cards) {
    if (problem !== null)
      options.onNotice?.(`${card.name} is not used: ${problem}`, { card: card.index, uuid: card.uuid });
  }
  if (usable.length > 0) return usable;
  return numbered('cpu', 1 + Math.floor(cores / CORES_PER_DEVICE), processorName(), SHARE, []);
}

function resolveRequest(
  request: Exclude<DeviceRequest, { kind: 'auto' }>,
  cuda: CudaFindings | null,
  before: readonly Device[],
  options: ResolveOptions,
): Device[] {
  switch (request.kind) {
    case 'cpu':
      return numbered('cpu', request.count, processorName(), request.memoryBytes ?? SHARE, before);
    case 'emulated':
      return numbered('emulated', request.count, 'emulated GPU', request.memoryBytes, before);
    case 'cuda':
      return cards(request, cuda!, options);
    default:
      return [providerDevice(request, options.platform ?? process.platform)];
  }
}

function cards(
  request: Extract<DeviceRequest, { kind: 'cuda' }>,
  cuda: CudaFindings,
  options: ResolveOptions,
): Device[] {
  const wanted = cuda.cards.filter(({ card }) => request.index === 'all' || card.index === request.index);
  if (wanted.length === 0) {
    const none = request.index === 'all' ? 'no NVIDIA card was found' : `there is no CUDA card ${request.index}`;
    throw lacking(
      request,
      cuda.driverProblem ?? none,
      'Run `gpufaas doctor` to see what was found, or start with --devices cpu.',
    );
  }
  const usable: Device[] = [];
  for (const { card, problem } of wanted) {
    if (problem !== null && (request.index !== 'all' || wanted.length === 1)) {
      throw lacking(request, `CUDA card ${card.index} (${card.name}) can't be used: ${problem}`, SEE_DOCTOR);
    }
    if (request.memoryBytes !== undefined && request.memoryBytes > (card.totalBytes ?? 0)) {
      throw new GpufaasError(
        'USAGE',
        `CUDA card ${card.index} has ${formatSize(card.totalBytes ?? 0)}, less than the ${formatSize(request.memoryBytes)} asked for.`,
        { suggestions: [`Ask for less, or leave the amount out: --devices cuda:${card.index}.`] },
      );
    }
    if (problem === null) usable.push(cardDevice(card, options.reserveBytes ?? 0, request.memoryBytes));
    else options.onNotice?.(`${card.name} is not used: ${problem}`, { card: card.index, uuid: card.uuid });
  }
  if (usable.length > 0) return usable;
  throw lacking(request, `none of the ${wanted.length} CUDA cards can be used: ${wanted[0]!.problem}`, SEE_DOCTOR);
}

const SEE_DOCTOR = 'Run `gpufaas doctor`, or start with --devices cpu.';

/** The machine does not have what was asked for: trying again does not help, as it would with NO_DEVICE. */
function lacking(request: Exclude<DeviceRequest, { kind: 'auto' }>, why: string, advice: string): GpufaasError {
  const part = request.kind === 'cuda' && request.index !== 'all' ? `cuda:${request.index}` : request.kind;
  return new GpufaasError('USAGE', `--devices ${part}: ${why}.`, { suggestions: [advice] });
}

const PLATFORMS = { dml: 'win32', coreml: 'darwin' } as const;

function providerDevice(
  request: Extract<DeviceRequest, { kind: 'webgpu' | 'dml' | 'coreml' }>,
  platform: string,
): Device {
  const { kind } = request;
  if (kind !== 'webgpu' && PLATFORMS[kind] !== platform) {
    const where = kind === 'dml' ? 'DirectML is there on Windows only' : 'CoreML is there on macOS only';
    throw lacking(request, where, 'Use --devices auto, or --devices cpu.');
  }
  const names = { webgpu: 'WebGPU default adapter', dml: 'DirectML default adapter', coreml: 'CoreML' };
  return hostDevice(kind, 0, names[kind], request.memoryBytes ?? SHARE);
}

/**
 * CPU devices share the cores. Those (and adapters that do not tell their memory) whose amount was not given share half of
 * what is free, so that the rest of the machine keeps the other half.
 */
function shareMachine(devices: readonly Device[], cores: number, freeBytes: number): Device[] {
  const processors = devices.filter(({ kind }) => kind === 'cpu').length;
  const sharing = devices.filter(({ memoryBytes }) => memoryBytes === SHARE).length;
  return devices.map((device) => ({
    ...device,
    threads: device.kind === 'cpu' ? Math.max(1, Math.floor(cores / processors)) : device.threads,
    memoryBytes: device.memoryBytes === SHARE ? Math.floor(freeBytes / 2 / sharing) : device.memoryBytes,
  }));
}
