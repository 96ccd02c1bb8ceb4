// Starts the process that a handler runs in: Node's permission model, a scrubbed environment, limits on memory and open
// files, an end when the daemon ends. A guard rail against mistakes, not a wall against attackers.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GpufaasError } from '../errors.ts';
import { CHANNEL_FD } from '../workers/transport.ts';

/** What a handler's process may use. */
export interface ProcessLimits {
  /** JavaScript heap and everything else together. */
  readonly memoryBytes: number;
  /** Sockets and files at once. */
  readonly openFiles: number;
}

const ENTRY = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './entry.ts' : './entry.js', import.meta.url));

/** What a process needs of its surroundings to work at all: certificates, time zone, proxies, the place for libraries. */
const INHERITED = [
  'TZ',
  'LANG',
  'LC_ALL',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'SystemRoot',
];

/** Starts the process; it waits for a `load` message on its fourth stdio slot. Throws HANDLER_DIED if it can't be started. */
export function spawnHandler(folder: string, limits: ProcessLimits): ChildProcess {
  const { command, args } = confined([process.execPath, ...nodeOptions(folder, limits), ENTRY], limits);
  const child = spawn(command, args, {
    cwd: folder,
    env: environment(),
    stdio: slots(),
    // A group of its own: signals of the daemon's terminal do not reach it, and all of it can be ended at once.
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
  // Without file descriptors to spare there are no pipes; the error itself comes later and says the same.
  if (child.stdio?.[CHANNEL_FD]) return child;
  child.once('error', () => undefined);
  throw new GpufaasError(
    'HANDLER_DIED',
    'The process of the handler can not be started: the daemon has too many open files.',
    {
      suggestions: ['Raise the limit of open files of the daemon (ulimit -n), or stop what else runs.'],
    },
  );
}

/** Ends the process and whatever it may have started, at once. */
export function killHandler(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

function slots(): ('ignore' | 'pipe')[] {
  const stdio: ('ignore' | 'pipe')[] = ['ignore', 'pipe', 'pipe'];
  stdio[CHANNEL_FD] = 'pipe';
  return stdio;
}

function nodeOptions(folder: string, { memoryBytes }: ProcessLimits): string[] {
  // The heap ends before the whole limit, so that V8 can say so itself.
  const heapMegabytes = Math.max(32, Math.floor((memoryBytes * 0.75) / 2 ** 20));
  return [
    `--max-old-space-size=${heapMegabytes}`,
    '--permission',
    // For sharp; what a handler can read it could load anyway.
    '--allow-addons',
    ...readable(folder).map((path) => `--allow-fs-read=${path}`),
    // It opens any file, whatever the permission model says.
    '--no-experimental-sqlite',
    '--disable-warning=PERM0001',
    '--disable-warning=ExperimentalWarning',
  ];
}

/** The function's folder, our own code, and the packages it imports. */
function readable(folder: string): string[] {
  const source = dirname(dirname(ENTRY));
  const root = dirname(source);
  const paths = new Set([realpathSync(folder), source, join(root, 'package.json'), ...packageFolders()]);
  return Array.from(paths);
}

/** The node_modules folders that hold what we lend to handlers, wherever the installer put them, or linked them to. */
function packageFolders(): string[] {
  const folders: string[] = [];
  for (let folder = dirname(ENTRY); folder !== dirname(folder); folder = dirname(folder)) {
    const packages = join(folder, 'node_modules');
    if (existsSync(packages)) folders.push(packages);
  }
  try {
    // Real paths may lie elsewhere (links, a store of packages): all of the outermost folder they are in.
    const path = realpathSync(createRequire(import.meta.url).resolve('sharp'));
    const at = path.indexOf(`${sep}node_modules${sep}`);
    if (at >= 0) folders.push(path.slice(0, at + `${sep}node_modules`.length));
  } catch {
    // Not installed on this platform: handlers that want it bring their own.
  }
  return folders;
}

function environment(): NodeJS.ProcessEnv {
  const kept: NodeJS.ProcessEnv = { NODE_ENV: 'production', ORT_DISABLE_TELEMETRY: '1', HOME: '/nonexistent' };
  for (const name of INHERITED) if (process.env[name] !== undefined) kept[name] = process.env[name];
  return kept;
}

/**
 * Sets limits that only a shell can set before the process begins. `setpriv`, where the system has it, ends the process
 * with the daemon even while its event loop is blocked; elsewhere it ends when it next looks at its channel.
 */
function confined(command: readonly string[], { openFiles }: ProcessLimits): { command: string; args: string[] } {
  if (process.platform === 'win32') return { command: command[0]!, args: command.slice(1) };
  const script = [
    'ulimit -c 0',
    `ulimit -n ${openFiles} 2>/dev/null`,
    'if setpriv --pdeathsig KILL true 2>/dev/null; then exec setpriv --pdeathsig KILL "$@"; fi',
    'exec "$@"',
  ].join('\n');
  return { command: '/bin/sh', args: ['-c', script, 'sh', ...command] };
}
