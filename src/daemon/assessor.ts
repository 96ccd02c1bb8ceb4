// What a deployed model costs on each kind of device that this daemon has. On the CPU it is prepared and measured in
// throwaway processes; on a device with memory of its own it is measured on the device itself, in a throwaway worker whose
// memory the scheduler has lent. Where no room can be had in time, estimates serve until calls have shown better.

import { type Device, type DeviceKind, ownsMemory } from '../devices/types.ts';
import { CONTEXT_BYTES } from '../devices/discover.ts';
import { GpufaasError, toGpufaasError } from '../errors.ts';
import { assessModel, profileOriginal } from '../models/assess.ts';
import { assessOnCard, dropPortable, type Portable, preparePortable } from '../models/portable.ts';
import type { KindProfile, Model, ModelProfile, StoredModel } from '../models/types.ts';
import type { RunnerOptions } from '../workers/runner.ts';
import type { Lend } from './loans.ts';
import type { Assess, ModelUse } from './model-library.ts';

/** How long measuring on a device may wait for room, and hold it; in milliseconds. */
export interface AssessLimits {
  readonly waitMs?: number;
  readonly holdMs?: number;
}

export interface AssessorOptions extends AssessLimits {
  readonly devices: readonly Device[];
  /** Where prepared models are kept. */
  readonly folder: string;
  readonly lend: Lend;
  readonly workers: RunnerOptions;
  readonly onNotice: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

const WAIT_MS = 15_000;
/** The start of a worker on a cold card takes most of it: its libraries are gigabytes. */
const HOLD_MS = 60_000;
const CARD_LIMIT_MS = 20_000;
/** Room for what cannot be told from a file: activations, workspaces, a small file that unfolds. */
const LEAST_BYTES = 256e6;
/** What is reserved is this many times the file. */
const FILE_FACTOR = 2;
/** An estimate of memory is at least this many times the file. */
const ESTIMATE_FACTOR = 1.2;
/** How fast files are taken to be read and copied for an estimate, in bytes per millisecond. */
const ESTIMATED_SPEED = 1e6;

/** The kinds of devices with memory of their own, each with the device of it that has most. */
function cardsOf(devices: readonly Device[]): Map<DeviceKind, Device> {
  const cards = new Map<DeviceKind, Device>();
  for (const device of devices) {
    if (!ownsMemory(device)) continue;
    const best = cards.get(device.kind);
    if (best === undefined || device.memoryBytes > best.memoryBytes) cards.set(device.kind, device);
  }
  return cards;
}

/** True if nothing is left to be measured of a model on these devices. */
export function isMeasured({ kinds = [] }: ModelProfile, devices: readonly Device[]): boolean {
  const measured = new Set(kinds.filter(({ estimated }) => !estimated).map(({ kind }) => kind));
  return Array.from(cardsOf(devices).keys()).every((kind) => measured.has(kind));
}

/** Prepares and measures models for these devices. */
export function createAssessor(options: AssessorOptions): Assess {
  return (stored, use, report, signal) => new Assessment(options, stored, use, report, signal).carryOut();
}

class Assessment {
  readonly #options: AssessorOptions;
  readonly #stored: StoredModel;
  readonly #use: ModelUse;
  readonly #report: (message: string) => void;
  readonly #signal: AbortSignal;

  constructor(
    options: AssessorOptions,
    stored: StoredModel,
    use: ModelUse,
    report: (message: string) => void,
    signal: AbortSignal,
  ) {
    this.#options = options;
    this.#stored = stored;
    this.#use = use;
    this.#report = report;
    this.#signal = signal;
  }

  #portablePath: string | null = null;

  async carryOut(): Promise<Pick<Model, 'profile' | 'preparedPath' | 'portablePath'>> {
    const { devices, folder } = this.#options;
    const host = devices.find((device) => !ownsMemory(device));
    const onHost =
      host === undefined
        ? null
        : await assessModel(this.#stored, { ...this.#common(), device: host, folder, batchRows: this.#use.batchRows });
    const cards = cardsOf(devices);
    if (cards.size === 0) return onHost!;
    const kinds: KindProfile[] = [];
    this.#report('Preparing the model for devices that copy it');
    const portable = await preparePortable(this.#stored, folder, this.#common());
    try {
      for (const device of cards.values()) kinds.push(await this.#onCard(device, portable, onHost?.profile ?? null));
    } finally {
      // Once published it lies elsewhere.
      if (portable !== null) await dropPortable(portable);
    }
    if (onHost !== null) kinds.unshift({ ...onHost.profile, kind: host!.kind, estimated: false });
    const first = kinds.find(({ kind }) => kind === devices[0]!.kind)!;
    const { kind: _kind, estimated: _estimated, ...profile } = first;
    // One number stands for all kinds in the scheduler's books: no device may hold more than it has.
    const memoryBytes = Math.max(...kinds.map((each) => each.memoryBytes));
    const preparedPath = onHost?.preparedPath ?? null;
    return { profile: { ...profile, memoryBytes, kinds }, preparedPath, portablePath: this.#portablePath };
  }

  #common() {
    const { sessionOptions } = this.#use;
    const budgetBytes = Math.max(...this.#options.devices.map((device) => device.memoryBytes));
    return {
      budgetBytes,
      report: this.#report,
      signal: this.#signal,
      ...(sessionOptions !== undefined && { sessionOptions }),
    };
  }

  /** Measured with a little room, if that is not enough with all there is, if that can't be had estimated. */
  async #onCard(device: Device, portable: Portable | null, onHost: ModelProfile | null): Promise<KindProfile> {
    const context = device.kind === 'cuda' ? CONTEXT_BYTES : 0;
    const wanted = context + Math.max(LEAST_BYTES, FILE_FACTOR * this.#stored.bytes);
    const little = Math.min(device.memoryBytes, wanted);
    for (const bytes of new Set([little, device.memoryBytes])) {
      const measured = await this.#measure(device, portable, bytes);
      if (measured === 'no room') break;
      if (measured !== 'too little') return measured;
    }
    return this.#estimate(device, onHost);
  }

  async #measure(
    device: Device,
    portable: Portable | null,
    bytes: number,
  ): Promise<KindProfile | 'no room' | 'too little'> {
    const { lend, workers, folder, onNotice, waitMs = WAIT_MS, holdMs = HOLD_MS } = this.#options;
    this.#report(`Waiting for room on ${device.id} to measure the model there`);
    const limits = { waitMs, holdMs, signal: this.#signal };
    try {
      const outcome = await lend(device.id, bytes, limits, async (signal) => {
        this.#report(`Measuring the model on ${device.id}`);
        const options = { ...this.#common(), budgetBytes: device.memoryBytes, limitMs: CARD_LIMIT_MS, signal };
        return assessOnCard(this.#stored, device, this.#published(portable), folder, { ...options, runner: workers });
      });
      if (outcome.granted) {
        const { profile, portablePath } = outcome.result;
        this.#portablePath = portablePath ?? this.#portablePath;
        return { ...profile, kind: device.kind, estimated: false };
      }
      onNotice('no room to measure a model', { device: device.id, model: this.#stored.sha256, bytes, waitMs });
      return 'no room';
    } catch (thrown) {
      const error = toGpufaasError(thrown);
      if (this.#signal.aborted || error.code === 'BAD_MODEL') throw error;
      if (error.code === 'DOES_NOT_FIT') {
        if (bytes < device.memoryBytes) return 'too little';
        throw error;
      }
      // What is wrong with the device or the time it took says nothing against the model.
      onNotice('a model could not be measured', {
        device: device.id,
        model: this.#stored.sha256,
        error: error.message,
      });
      return 'no room';
    }
  }

  /** Measured on one kind of device, it is published, and measured from there on the next. */
  #published(portable: Portable | null): Portable | null {
    return this.#portablePath === null ? portable : { path: this.#portablePath, staging: null };
  }

  /** What the CPU shows of the model, until the device's own runs have shown better. */
  async #estimate(device: Device, onHost: ModelProfile | null): Promise<KindProfile> {
    this.#report(`No measurement on ${device.id}: its figures are estimated until it has been called`);
    const { bytes } = this.#stored;
    const processor: Device = { ...device, id: 'cpu:0', kind: 'cpu', threads: 1 };
    const seen = onHost ?? (await profileOriginal(this.#stored, withoutCard(processor), this.#common()));
    const memoryBytes = Math.ceil(Math.max(seen.memoryBytes, ESTIMATE_FACTOR * bytes));
    if (memoryBytes > device.memoryBytes) {
      throw new GpufaasError('DOES_NOT_FIT', `The model takes more memory than ${device.id} has.`, {
        suggestions: [
          'Give the daemon larger devices (`gpufaas down`, then `gpufaas up --devices SPEC`), or deploy a smaller model.',
        ],
      });
    }
    const loadMs = Math.max(seen.loadMs, Math.round(bytes / ESTIMATED_SPEED));
    return { loadMs, runMs: seen.runMs, memoryBytes, device: device.id, kind: device.kind, estimated: true };
  }
}

/** The CPU has no card to be pinned to. */
function withoutCard({ uuid: _uuid, ...device }: Device): Device {
  return device;
}
