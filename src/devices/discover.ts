// What CUDA devices this machine has, proven one by one, and why each of the others can't be used.

import { cudaInstalled, cudaSupported } from './cuda-libraries.ts';
import { askNvidia, closedDeviceNodes, type NvidiaCard } from './nvidia.ts';
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
  /** What nvidia-smi could not say; null if it answered or is not installed. */
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
}

/**
 * What a CUDA context with its libraries takes before the first model, which no budget of models can have: measured
 * values lie between 300 and 600 MB, by card and driver.
 */
export const CONTEXT_BYTES = 600e6;

/** A card as a device: its budget is what is free now, less the context of our own worker and what is reserved. */
export function cardDevice(card: NvidiaCard, reserveBytes: number, memoryBytes?: number): Device {
  const free = Math.max(0, card.freeBytes - CONTEXT_BYTES - reserveBytes);
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
  const { cards: all, problem } = await askNvidia();
  const cards = all.filter(options.wanted ?? (() => true));
  const closedNodes = cards.length === 0 ? [] : closedDeviceNodes(cards, options.deviceFolder);
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
    driverProblem: problem?.kind === 'failed' ? problem.message : null,
    closedNodes,
    cards: findings,
  };
}

function obstacleOf(card: NvidiaCard, device: Device, supported: boolean, librariesInstalled: boolean): string | null {
  if (!supported) return 'ONNX Runtime has CUDA libraries for Linux on x86-64 only';
  if (!librariesInstalled) return 'the CUDA libraries are not installed; run `gpufaas setup cuda`';
  if (card.migEnabled) return 'it is partitioned (MIG), which is not supported; switch MIG off for this card';
  if (device.memoryBytes === 0) return 'other processes leave no memory on it';
  return null;
}
