// The settings of the daemon that a user can keep: flag beats environment beats `gpufaas config` beats default.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as Flags from '@oclif/core/flags';
import { GpufaasError } from '../errors.ts';
import { makeFolder, type Home } from '../home.ts';
import { nearest } from '../nearest.ts';
import { parseSize } from '../units.ts';

/** One setting: which variable sets it, what it is for, and a check that throws USAGE. */
interface Setting {
  readonly variable: string | null;
  readonly description: string;
  readonly value: string;
  readonly check: (text: string) => void;
}

/** What `config` knows, in the order of its list. */
export const SETTINGS = {
  devices: {
    variable: 'GPUFAAS_DEVICES',
    value: 'SPEC',
    description: 'devices to use: cpu[:COUNT][@MEMORY], cuda[:INDEX|all][@MEMORY], emulated:COUNT@MEMORY, …, or auto',
    check: notEmpty,
  },
  policy: {
    variable: 'GPUFAAS_POLICY',
    value: 'P',
    description: 'scheduling policy: a name, or the path of a module of your own',
    check: notEmpty,
  },
  host: { variable: null, value: 'H', description: 'address to listen on (default: loopback only)', check: notEmpty },
  port: { variable: null, value: 'N', description: 'port to listen on; 0 takes a free one', check: isPort },
  reserve: {
    variable: null,
    value: 'MEMORY',
    description: 'memory of each GPU to leave to other programs, such as 500MB',
    check: (text) => void parseSize(text),
  },
  'model-quota': {
    variable: null,
    value: 'SIZE',
    description: 'the most the model store may hold, such as 50GB; models that no function uses go first',
    check: (text) => void parseSize(text),
  },
} as const satisfies Record<string, Setting>;

/** A name of a setting. */
export type SettingName = keyof typeof SETTINGS;

/** Where a value came from. */
type SettingSource = 'flag' | 'environment' | 'config' | 'default';

/** The value in force (null: the daemon's default) and who said so. */
export interface SettingValue {
  readonly value: string | null;
  readonly source: SettingSource;
}

/** Flags of `up` and `serve`; their values are read by `resolveSettings`. */
export const settingFlags = {
  devices: flag('devices'),
  policy: flag('policy'),
  host: flag('host'),
  port: flag('port'),
  reserve: flag('reserve'),
  'model-quota': flag('model-quota'),
};

function flag(name: SettingName) {
  const { variable, value, description } = SETTINGS[name];
  return Flags.string({
    description: variable === null ? description : `${description} [${variable}]`,
    helpValue: value,
    parse: async (text) => {
      SETTINGS[name].check(text);
      return text;
    },
  });
}

/** The settings in force, each with its source. Throws USAGE for a value that can't be one. */
export function resolveSettings(
  flags: Readonly<Partial<Record<SettingName, string | undefined>>>,
  home: Home,
  environment: NodeJS.ProcessEnv = process.env,
): Record<SettingName, SettingValue> {
  const config = readConfig(home);
  const one = (name: SettingName): SettingValue => {
    const given = flags[name];
    if (given !== undefined) return { value: given, source: 'flag' };
    const { variable, check } = SETTINGS[name];
    const fromEnvironment = variable === null ? undefined : environment[variable];
    if (fromEnvironment) {
      check(fromEnvironment);
      return { value: fromEnvironment, source: 'environment' };
    }
    const kept = config[name];
    return kept === undefined ? { value: null, source: 'default' } : { value: kept, source: 'config' };
  };
  return {
    devices: one('devices'),
    policy: one('policy'),
    host: one('host'),
    port: one('port'),
    reserve: one('reserve'),
    'model-quota': one('model-quota'),
  };
}

/** A setting's name, checked. Throws USAGE with the nearest one. */
export function settingName(text: string): SettingName {
  if (Object.hasOwn(SETTINGS, text)) return text as SettingName;
  const near = nearest(text, Object.keys(SETTINGS));
  throw new GpufaasError('USAGE', `There is no setting ${JSON.stringify(text.slice(0, 80))}.`, {
    suggestions: [
      ...(near === undefined ? [] : [`Did you mean ${near}?`]),
      `The settings are ${Object.keys(SETTINGS).join(', ')}.`,
    ],
  });
}

/** What was kept with `config set`. Throws CONFLICT for a file that is not ours to read. */
export function readConfig(home: Home): Partial<Record<SettingName, string>> {
  let text: string;
  try {
    text = readFileSync(home.config, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
  const kept: Partial<Record<SettingName, string>> = {};
  try {
    for (const [name, value] of Object.entries(JSON.parse(text) as Record<string, unknown>)) {
      if (!Object.hasOwn(SETTINGS, name)) throw new Error(`it names ${name}, which is no setting`);
      if (typeof value !== 'string' && typeof value !== 'number') throw new Error(`${name} is not text`);
      SETTINGS[name as SettingName].check(String(value));
      kept[name as SettingName] = String(value);
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GpufaasError('CONFLICT', `The settings in ${home.config} can't be used: ${reason}`, {
      cause: error,
      suggestions: ['Mend the file, or remove it and set what you need with `gpufaas config set`.'],
    });
  }
  return kept;
}

/** Keeps a setting, or forgets it (null). Throws USAGE for a value that can't be one. */
export function writeConfig(home: Home, name: SettingName, value: string | null): void {
  if (value !== null) SETTINGS[name].check(value);
  const { [name]: _, ...others } = readConfig(home);
  const kept = value === null ? others : { ...others, [name]: value };
  makeFolder(home.root);
  // By rename, so that a daemon that starts meanwhile reads the old file or the new one.
  const draft = `${home.config}.${process.pid}`;
  try {
    writeFileSync(draft, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600 });
    renameSync(draft, home.config);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The path of a policy module made independent of the working folder; a name stays as it is. */
export function absolutePolicy(policy: string): string {
  return /[/\\]|\.[cm]?[jt]s$/.test(policy) ? resolve(policy) : policy;
}

function notEmpty(text: string): void {
  if (text.trim() === '')
    throw new GpufaasError('USAGE', "A setting can't be empty.", {
      suggestions: ['`gpufaas config unset NAME` goes back to the default.'],
    });
}

function isPort(text: string): void {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return;
  throw new GpufaasError('USAGE', `${JSON.stringify(text.slice(0, 40))} is not a port.`, {
    suggestions: ['Ports are whole numbers up to 65535; 0 takes a free one.'],
  });
}
