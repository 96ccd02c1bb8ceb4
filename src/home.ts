// Where the state of one daemon lives: GPUFAAS_HOME, by default the platform's place for application data.

import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import envPaths from 'env-paths';

/** Absolute paths inside one home. */
export interface Home {
  readonly root: string;
  readonly token: string;
  readonly daemonFile: string;
  readonly lockFile: string;
  readonly database: string;
  /** Room that is given up when the disk is full. */
  readonly reserve: string;
  readonly models: string;
  /** Models optimised ahead of time for this machine; can be made again. */
  readonly prepared: string;
  readonly functions: string;
  readonly uploads: string;
  /** Bodies of asynchronous calls and of their answers. */
  readonly calls: string;
  readonly logs: string;
  readonly config: string;
  readonly secrets: string;
}

/** The home that the environment asks for; creates nothing. */
export function resolveHome(environment: NodeJS.ProcessEnv = process.env): Home {
  const root = resolve(environment['GPUFAAS_HOME'] || envPaths('gpufaas', { suffix: '' }).data);
  return {
    root,
    token: join(root, 'token'),
    daemonFile: join(root, 'daemon.json'),
    lockFile: join(root, 'daemon.lock'),
    database: join(root, 'state.db'),
    reserve: join(root, 'reserve'),
    models: join(root, 'models'),
    prepared: join(root, 'prepared'),
    functions: join(root, 'functions'),
    uploads: join(root, 'uploads'),
    calls: join(root, 'calls'),
    logs: join(root, 'logs'),
    config: join(root, 'config.json'),
    secrets: join(root, 'secrets.json'),
  };
}

/** Creates the folders of a home, readable by its owner alone. */
export function createHome(home: Home): void {
  const { root, models, prepared, functions, uploads, calls, logs } = home;
  for (const folder of [root, models, prepared, functions, uploads, calls, logs]) makeFolder(folder);
}

/** Makes a folder and those above it, for its owner alone. Throws what the system says, also where Node's own way would try for ever (/proc). */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  if (dirname(path) !== path) makeFolder(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
