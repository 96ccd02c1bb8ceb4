// The context of a bench: what it ran on and how it was set, saved with every result so that figures can be read later.

import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { formatSize } from '../units.ts';
import type { BenchSettings } from './settings.ts';

/** Where and how a bench ran. */
export interface BenchContext {
  readonly version: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** `simulation`, `emulate`, `live` or `http`. */
  readonly mode: string;
  readonly date: string;
  readonly devices: readonly { readonly id: string; readonly memoryBytes: number }[];
  readonly settings: Readonly<Record<string, unknown>>;
}

/** The workload of a bench, for people and programs. */
export interface WorkloadSummary {
  readonly name: string;
  /** Where the models' costs come from. */
  readonly profile: string;
  readonly rpm: number | null;
  readonly minutes: number | null;
  readonly skew: number | null;
  readonly seeds: readonly number[];
  readonly trace: { readonly file: string; readonly startMinute: number; readonly minutes: number } | null;
  readonly requestsFile: string | null;
  /** Of a replay: what was asked for, or `ever`. */
  readonly recordedSince: string | null;
}

/** The version in package.json; found from the source tree and from the built one alike. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The context of this process and these settings. */
export function describeContext(
  mode: string,
  devices: readonly { readonly id: string; readonly memoryBytes: number }[],
  settings: Readonly<Record<string, unknown>>,
): BenchContext {
  return {
    version: packageVersion(),
    node: process.versions.node,
    platform: `${platform()} ${arch()} ${release()}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    mode,
    date: new Date().toISOString(),
    devices: devices.map(({ id, memoryBytes }) => ({ id, memoryBytes })),
    settings,
  };
}

/** The settings that decide the figures of a simulation, in plain data. */
export function settingsOf(settings: BenchSettings): Record<string, unknown> {
  const {
    policies,
    workingSets,
    rpm,
    minutes,
    skew,
    seeds,
    overlap,
    preload,
    loadLanes,
    skipLimit,
    disable,
    sweepRpm,
  } = settings;
  return {
    policies,
    workingSets,
    rpm,
    minutes,
    skew,
    seeds,
    overlap,
    preload,
    loadLanes,
    skipLimit,
    disable,
    sweepRpm,
  };
}

/** Says what the requests were. */
export function describeWorkload(settings: BenchSettings): WorkloadSummary {
  const { source, profile, rpm, minutes, skew, seeds } = settings;
  const isList = 'list' in source;
  return {
    name: source.kind === 'zipf' ? 'paper' : source.kind,
    profile: source.kind === 'replay' ? 'as the daemon measured them' : profile.provenance,
    rpm: isList ? null : rpm,
    minutes: isList ? null : minutes,
    skew: source.kind === 'zipf' ? skew : null,
    seeds,
    trace:
      source.kind === 'trace'
        ? { file: source.file, startMinute: source.window.start, minutes: source.window.minutes }
        : null,
    requestsFile: source.kind === 'list' ? source.file : null,
    recordedSince: source.kind === 'replay' ? (source.since ?? 'ever') : null,
  };
}

/** `12 × 7.8 GB`, or each size with its count. */
export function describeDevices(devices: readonly { readonly memoryBytes: number }[]): string {
  const counts = new Map<number, number>();
  for (const { memoryBytes } of devices) counts.set(memoryBytes, (counts.get(memoryBytes) ?? 0) + 1);
  return [...counts].map(([bytes, count]) => `${count} × ${formatSize(bytes)}`).join(' + ');
}
