// What CUDA devices this machine has, proven one by one, and why each of the others can't be used.

import { cudaInstalled, cudaSupported } from './cuda-libraries.ts';
import { closedDeviceNodes, hasCardNodes } from './device-nodes.ts';
import { askNvidia, type NvidiaAnswer, type NvidiaCard, visibleCards } from './nvidia.ts';
import { probeDevice, type ProbeResult } from './probe.ts';
import type { Device } from './types.ts';

/** One card and what became of it. */
export interface CardFinding {
  readonly card: NvidiaCard;
  /** The device it can be used as; null if it can't. */
  readonly device: Device | null;
  /** Why not; null if it can. */
  readonly problem: string | null;
}

/** Everything found out about CUDA on this machine, for devices and for `doctor`. */
export interface CudaFindings {
  readonly supported: boolean;
  readonly librariesInstalled: boolean;
  /** What keeps cards from being found; null if all was told, or there is nothing of NVIDIA's here. */
  readonly driverProblem: string | null;
  readonly closedNodes: readonly string[];
  readonly cards: readonly CardFinding[];
}

/** How discovery reaches the machine; replaced in tests. */
export interface DiscoveryOptions {
  /** Left to others on each card, in bytes. */
  readonly reserveBytes?: number;
  /** Only these cards are probed (default all). */
  readonly wanted?: (card: NvidiaCard) => boolean;
  readonly probe?: (device: Device) => Promise<ProbeResult>;
  readonly librariesInstalled?: boolean;
  readonly supported?: boolean;
  readonly deviceFolder?: string;
  /** Read for CUDA_VISIBLE_DEVICES. */
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * What a CUDA context with its libraries takes before the first model, which no budget of models can have: measured
 * values lie between 300 and 600 MB, by card and driver.
 */
export const CONTEXT_BYTES = 600e6;

/** A card as a device: its budget is what is free now, less the context of our own worker and what is reserved. */
export function cardDevice(card: NvidiaCard, reserveBytes: number, memoryBytes?: number): Device {
  const free = Math.max(0, (card.freeBytes ?? card.totalBytes ?? 0) - CONTEXT_BYTES - reserveBytes);
  return {
    id: `cuda:${card.index}`,
    kind: 'cuda',
    index: card.index,
    name: card.name,
    memoryBytes: Math.min(memoryBytes ?? free, free),
    threads: 1,
    overlap: true,
    uuid: card.uuid,
  };
}

/** Asks the driver and probes every card in a throwaway process, one after the other. Never throws. */
export async function discoverCuda(options: DiscoveryOptions = {}): Promise<CudaFindings> {
  const supported = options.supported ?? cudaSupported();
  const librariesInstalled = options.librariesInstalled ?? (supported && cudaInstalled());
  const answer = await askNvidia();
  const restriction = (options.environment ?? process.env)['CUDA_VISIBLE_DEVICES'];
  const visible = visibleCards(answer.cards, restriction);
  const cards = visible.filter(options.wanted ?? (() => true));
  const closedNodes = answer.cards.length === 0 ? [] : closedDeviceNodes(options.deviceFolder);
  const probe = options.probe ?? probeDevice;
  const findings: CardFinding[] = [];
  for (const card of cards) {
    const device = cardDevice(card, options.reserveBytes ?? 0);
    const obstacle = obstacleOf(card, device, supported, librariesInstalled);
    if (obstacle !== null) {
      findings.push({ card, device: null, problem: obstacle });
      continue;
    }
    const result = await probe(device);
    findings.push(result.usable ? { card, device, problem: null } : { card, device: null, problem: result.reason });
  }
  return {
    supported,
    librariesInstalled,
    driverProblem: driverProblem(answer, visible, restriction, options.deviceFolder),
    closedNodes,
    cards: findings,
  };
}

function driverProblem(
  { cards, problem }: NvidiaAnswer,
  visible: readonly NvidiaCard[],
  restriction: string | undefined,
  deviceFolder: string | undefined,
): string | null {
  if (problem?.kind === 'failed') return problem.message;
  if (problem?.kind === 'absent') {
    if (!hasCardNodes(deviceFolder)) return null;
    return 'there are NVIDIA cards, but no nvidia-smi; a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility';
  }
  if (cards.length === 0 || visible.length > 0) return null;
  const value = JSON.stringify((restriction ?? '').slice(0, 80));
  return `CUDA_VISIBLE_DEVICES=${value} leaves none of the ${cards.length} cards to this process`;
}

function obstacleOf(card: NvidiaCard, device: Device, supported: boolean, librariesInstalled: boolean): string | null {
  if (!supported) return 'ONNX Runtime has CUDA libraries for Linux on x86-64 only';
  if (!librariesInstalled) return 'the CUDA libraries are not installed; run `gpufaas setup cuda`';
  if (card.migEnabled) return 'it is partitioned (MIG), which is not supported; switch MIG off for this card';
  if (card.computeMode === 'prohibited') return 'its compute mode forbids computing; `nvidia-smi -c 0` allows it';
  if (card.totalBytes === null) return 'its driver does not tell how much memory it has';
  if (device.memoryBytes === 0) return 'other processes leave no memory on it';
  return null;
}
