// The settings of the daemon that a user can keep: flag beats environment beats `gpufaas config` beats default.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import * as Flags from '@oclif/core/flags';
import { GpufaasError } from '../errors.ts';
import { makeFolder, type Home } from '../home.ts';
import { nearest } from '../nearest.ts';
import { isDevices, isHost, isHostCache, isPolicy, isPort, isSize, POLICY_NAMES } from './setting-checks.ts';

/** One setting: which variable sets it, what it is for, and a check that throws USAGE. */
interface Setting {
  readonly variable: string | null;
  readonly description: string;
  readonly value: string;
  /** What the daemon does without it; null: no limit. */
  readonly fallback: string | null;
  readonly check: (text: string) => void;
}

/** What `config` knows, in the order of its list. */
export const SETTINGS = {
  devices: {
    variable: 'GPUFAAS_DEVICES',
    value: 'SPEC',
    description:
      'devices to use: cpu[:COUNT][@MEMORY], cuda[:INDEX|all][@MEMORY], webgpu, dml, coreml, emulated:COUNT@MEMORY, or auto; ' +
      'emulated ones compute nothing: models answer zeros there',
    fallback: 'auto',
    check: isDevices,
  },
  policy: {
    variable: 'GPUFAAS_POLICY',
    value: 'P',
    description: `scheduling policy: ${POLICY_NAMES.join(', ')}`,
    fallback: 'locality',
    check: isPolicy,
  },
  host: {
    variable: null,
    value: 'H',
    description: 'address to listen on (default: loopback only)',
    fallback: '127.0.0.1',
    check: isHost,
  },
  port: {
    variable: null,
    value: 'N',
    description: 'port to listen on; 0 takes a free one',
    fallback: '9420',
    check: isPort,
  },
  reserve: {
    variable: null,
    value: 'MEMORY',
    description: 'memory of each GPU to leave to other programs, such as 500MB',
    fallback: '0MB',
    check: isSize,
  },
  'model-quota': {
    variable: null,
    value: 'SIZE',
    description: 'the most the model store may hold, such as 50GB; models that no function uses go first',
    fallback: null,
    check: isSize,
  },
  'host-cache': {
    variable: 'GPUFAAS_HOST_CACHE',
    value: 'SIZE',
    description: 'host memory that keeps models ready for GPUs, such as 4GB; auto: a quarter of what is free; 0: none',
    fallback: 'auto',
    check: isHostCache,
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
  'host-cache': flag('host-cache'),
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
      naming(`from ${variable}`, () => check(fromEnvironment));
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
    'host-cache': one('host-cache'),
  };
}

/** The value in force, the daemon's own included; null where there is no limit. */
export function effectiveValue(name: SettingName, { value }: SettingValue): string | null {
  return value ?? SETTINGS[name].fallback;
}

/** What to say of a daemon that nobody chose a port for and that does not listen on the default one; null if it does. */
export function otherPortNotice(url: string, { source }: SettingValue): string | null {
  const { port } = new URL(url);
  const usual = SETTINGS.port.fallback;
  if (source !== 'default' || port === usual) return null;
  return `Port ${usual} was taken by another program, so it is ${port} this time; \`gpufaas config set port N\` chooses one.`;
}

/** Where a value was kept that a start failed for, and how to be rid of it; the error as it is if a flag said so. */
export function blameSetting(error: unknown, settings: Readonly<Record<SettingName, SettingValue>>): unknown {
  if (!(error instanceof GpufaasError) || !['USAGE', 'PORT_TAKEN', 'NO_DEVICE'].includes(error.code)) return error;
  const aboutDevices = error.code === 'NO_DEVICE' || /^(--devices|CUDA card)/.test(error.message);
  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const { value, source } = settings[name];
    if (value === null || source === 'flag') continue;
    const meant = name === 'devices' ? aboutDevices : !aboutDevices && error.message.includes(value);
    if (meant) return withSource(error, sourceOf(name, source));
  }
  return error;
}

function sourceOf(name: SettingName, source: SettingSource): string {
  return source === 'environment'
    ? `from ${SETTINGS[name].variable}`
    : `from \`gpufaas config\`; \`gpufaas config unset ${name}\``;
}

function naming(source: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw error instanceof GpufaasError ? withSource(error, source) : error;
  }
}

function withSource(error: GpufaasError, source: string): GpufaasError {
  const message = `${error.message.replace(/\.$/, '')} (${source}).`;
  return new GpufaasError(error.code, message, { cause: error, suggestions: error.suggestions });
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

/** What was kept with `config set`, all but one checked. Throws CONFLICT for a file that is not ours to read. */
export function readConfig(home: Home, unchecked?: SettingName): Partial<Record<SettingName, string>> {
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
      const known = name as SettingName;
      if (known !== unchecked) naming(sourceOf(known, 'config'), () => SETTINGS[known].check(String(value)));
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
  const { [name]: _, ...others } = readConfig(home, name);
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
