// From what was asked for on the command line to what is simulated: every value checked before anything runs. What
// can't be is refused with USAGE (or DOES_NOT_FIT) and with what to write instead.

import { readFileSync } from 'node:fs';
import { GpufaasError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { MECHANISMS } from '../scheduling/policies/locality/mechanisms.ts';
import { paperProfile, parseProfile } from '../simulation/profile.ts';
import type { Profile } from '../simulation/profile.ts';
import { parseRequestList } from '../simulation/request-list.ts';
import { parseTrace, parseWindow } from '../simulation/trace.ts';
import type { Trace, TraceWindow } from '../simulation/trace.ts';
import type { SimulatedDevice } from '../simulation/types.ts';
import type { ListWorkload } from '../simulation/workloads.ts';
import { parseDevices } from './device-list.ts';
import { knownPolicies } from './policies.ts';
import { parseNumber, parseRange, parseSteps, parseWhole } from './numbers.ts';

/** The flags of `gpufaas bench` that describe simulations, as they were typed. */
export interface BenchFlags {
  readonly policy?: string | undefined;
  readonly 'working-set'?: string | undefined;
  readonly devices?: string | undefined;
  readonly memory?: string | undefined;
  readonly rpm?: string | undefined;
  readonly minutes?: string | undefined;
  readonly skew?: string | undefined;
  readonly seed?: string | undefined;
  readonly seeds?: string | undefined;
  readonly trace?: string | undefined;
  readonly window?: string | undefined;
  readonly requests?: string | undefined;
  readonly profile?: string | undefined;
  readonly sweep?: string | undefined;
  readonly overlap?: string | undefined;
  readonly preload?: boolean | undefined;
  readonly 'load-lanes'?: string | undefined;
  readonly 'skip-limit'?: string | undefined;
  readonly disable?: string | undefined;
}

/** Where the requests come from. */
export type Source =
  | { readonly kind: 'zipf' }
  | { readonly kind: 'trace'; readonly file: string; readonly window: TraceWindow; readonly trace: Trace }
  | { readonly kind: 'list'; readonly file: string; readonly list: ListWorkload }
  | { readonly kind: 'replay'; readonly since: string | null; readonly list: ListWorkload };

/** What a daemon recorded: taken as the workload, its devices as the default. */
export interface RecordedSource {
  readonly since: string | null;
  readonly list: ListWorkload;
  readonly devices: readonly SimulatedDevice[];
}

/** One bench, checked and ready to run. */
export interface BenchSettings {
  readonly source: Source;
  readonly profile: Profile;
  /** Names, or paths of modules. */
  readonly policies: readonly string[];
  readonly workingSets: readonly number[];
  readonly devices: readonly SimulatedDevice[];
  /** null: as in the trace. */
  readonly rpm: number | null;
  readonly minutes: number;
  readonly skew: number;
  readonly seeds: readonly number[];
  readonly overlap: boolean;
  readonly preload: boolean;
  readonly loadLanes: number | null;
  readonly skipLimit: number;
  readonly disable: readonly string[];
  /** Rates of the load sweep, ascending; empty without one. */
  readonly sweepRpm: readonly number[];
}

/** What `gpufaas bench` does when nothing is said. */
export const BENCH_DEFAULTS = {
  'working-set': '15,25,35',
  devices: '12',
  memory: '7800MB',
  rpm: '325',
  minutes: '6',
  skew: '0.8',
  seed: '1',
  overlap: 'on',
  'skip-limit': '25',
} as const;

/** Reads the files, checks every value. Throws GpufaasError USAGE, FILE_NOT_FOUND or DOES_NOT_FIT. */
export function readSettings(flags: BenchFlags, recorded?: RecordedSource): BenchSettings {
  refuseContradictions(flags, recorded !== undefined);
  const of = (name: keyof typeof BENCH_DEFAULTS): string => flags[name] ?? BENCH_DEFAULTS[name];
  const profile = flags.profile === undefined ? paperProfile() : parseProfile(readText(flags.profile), flags.profile);
  const minutes = parseWhole('--minutes', of('minutes'), 1);
  const source: Source =
    recorded === undefined
      ? readSource(flags, profile, minutes)
      : { kind: 'replay', since: recorded.since, list: recorded.list };
  const isWhole = of('rpm') === 'full';
  if (isWhole && source.kind !== 'trace')
    throw new GpufaasError('USAGE', '--rpm full means the rate of a trace, and there is no --trace.', {
      suggestions: ['Give a number of requests a minute, or a --trace.'],
    });
  const settings: BenchSettings = {
    source,
    profile,
    policies: flags.policy === undefined ? knownPolicies() : parseList('--policy', flags.policy),
    workingSets: readWorkingSets(of('working-set'), source),
    devices: readDevices(withProfileMemory(flags, profile), recorded?.devices),
    rpm: isWhole ? null : parseNumber('--rpm', of('rpm'), { above: 0, atMost: 10_000_000 }),
    minutes: source.kind === 'trace' ? source.window.minutes : minutes,
    skew: parseNumber('--skew', of('skew'), { atLeast: 0, atMost: 10 }),
    seeds: 'list' in source ? [1] : parseRange('--seeds', flags.seeds ?? of('seed')),
    overlap: readOverlap(of('overlap')),
    preload: flags.preload === true,
    loadLanes: flags['load-lanes'] === undefined ? null : parseWhole('--load-lanes', flags['load-lanes'], 1),
    skipLimit: parseWhole('--skip-limit', of('skip-limit'), 0),
    disable: readDisabled(flags),
    sweepRpm: flags.sweep === undefined ? [] : parseSteps('--sweep', flags.sweep, 'rpm'),
  };
  if (isWholeNothing(settings))
    throw new GpufaasError(
      'USAGE',
      `${settings.rpm} requests a minute for ${settings.minutes} minutes are none at all.`,
      {
        suggestions: ['Raise --rpm or --minutes.'],
      },
    );
  return settings;
}

function isWholeNothing(settings: BenchSettings): boolean {
  return settings.source.kind === 'zipf' && settings.rpm !== null && Math.floor(settings.rpm * settings.minutes) === 0;
}

/** A profile may say what devices it was made for; `--memory` beats it. */
function withProfileMemory(flags: BenchFlags, profile: Profile): BenchFlags {
  if (flags.memory !== undefined || profile.deviceMemoryBytes === undefined) return flags;
  return { ...flags, memory: String(profile.deviceMemoryBytes) };
}

/** The recorded devices, unless others were asked for; of `--devices N` alone each has what the first recorded one has. */
function readDevices(flags: BenchFlags, recorded: readonly SimulatedDevice[] | undefined): SimulatedDevice[] {
  const overlap = readOverlap(flags.overlap ?? BENCH_DEFAULTS.overlap);
  if (recorded === undefined || recorded.length === 0)
    return parseDevices(flags.devices ?? BENCH_DEFAULTS.devices, flags.memory ?? BENCH_DEFAULTS.memory, overlap);
  if (flags.devices !== undefined)
    return parseDevices(flags.devices, flags.memory ?? `${recorded[0]!.memoryBytes}`, overlap);
  const memoryBytes = flags.memory === undefined ? undefined : parseDevices('1', flags.memory, overlap)[0]!.memoryBytes;
  return recorded.map((device) => ({ id: device.id, memoryBytes: memoryBytes ?? device.memoryBytes, overlap }));
}

function refuseContradictions(flags: BenchFlags, isReplay: boolean): void {
  const clash = (one: string, other: string): GpufaasError =>
    new GpufaasError('USAGE', `${one} and ${other} contradict each other.`, { suggestions: ['Give one of them.'] });
  if (flags.trace !== undefined && flags.requests !== undefined) throw clash('--trace', '--requests');
  if (flags.seed !== undefined && flags.seeds !== undefined) throw clash('--seed', '--seeds');
  if (flags.requests !== undefined && flags.sweep !== undefined) throw clash('--requests', '--sweep');
  for (const name of ['trace', 'requests', 'profile', 'sweep'] as const)
    if (isReplay && flags[name] !== undefined) throw clash('--replay', `--${name}`);
  if (flags.window !== undefined && flags.trace === undefined)
    throw new GpufaasError('USAGE', '--window belongs to a --trace, and there is none.', {
      suggestions: ['Add --trace FILE.'],
    });
}

function readSource(flags: BenchFlags, profile: Profile, minutes: number): Source {
  if (flags.requests !== undefined) {
    const list = parseRequestList(readText(flags.requests), flags.requests, profile);
    return { kind: 'list', file: flags.requests, list };
  }
  if (flags.trace === undefined) return { kind: 'zipf' };
  const window = flags.window === undefined ? { start: 0, minutes } : parseWindow(flags.window);
  return { kind: 'trace', file: flags.trace, window, trace: parseTrace(readText(flags.trace), flags.trace, window) };
}

/** Sizes of working sets; a trace has no more functions than it has (`all` are all of them). */
function readWorkingSets(text: string, source: Source): number[] {
  if ('list' in source) return [source.list.workingSet];
  const most = source.kind === 'trace' ? source.trace.functions.length : 100_000;
  const sizes = parseList('--working-set', text).map((size) => {
    if (size === 'all' && source.kind === 'trace') return most;
    return Math.min(parseWhole('--working-set', size, 1, 100_000), most);
  });
  return [...new Set(sizes)];
}

/** Names of mechanisms; a policy in a module may have mechanisms of its own, so then any name goes. */
function readDisabled(flags: BenchFlags): string[] {
  const names = flags.disable === undefined ? [] : parseList('--disable', flags.disable);
  const known = Object.keys(MECHANISMS);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined || (flags.policy !== undefined && /[/\\]|\.[mc]?[jt]s\b/.test(flags.policy))) return names;
  const near = nearest(unknown, known);
  throw new GpufaasError('USAGE', `--disable: \`locality\` has no mechanism ${JSON.stringify(unknown)}.`, {
    suggestions: [...(near === undefined ? [] : [`Did you mean ${near}?`]), `They are: ${known.join(', ')}.`],
  });
}

function readOverlap(text: string): boolean {
  if (text === 'on' || text === 'off') return text === 'on';
  throw new GpufaasError('USAGE', `--overlap ${JSON.stringify(text)} is neither on nor off.`, {
    suggestions: ['on: a load goes on beside a run. off: it blocks the device.'],
  });
}

function parseList(flag: string, text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.some((item) => item === ''))
    throw new GpufaasError('USAGE', `${flag} ${JSON.stringify(text)} has an empty item.`, {
      suggestions: ['Separate the items by single commas.'],
    });
  return [...new Set(items)];
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : String(code);
    throw new GpufaasError('FILE_NOT_FOUND', `Can't read ${path}: ${why}.`, {
      cause: error,
      suggestions: ['Check the path; it is taken from the current folder.'],
    });
  }
}
