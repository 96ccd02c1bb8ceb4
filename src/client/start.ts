// Starts the daemon in the background and waits until it serves. Safe when two terminals do so at once: the daemon's own
// lock lets one win, and both wait for the winner. A daemon that dies on the way is reported with its own reason.

import { fork, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { GpufaasError, isErrorCode, type ErrorCode } from '../errors.ts';
import { makeFolder, type Home } from '../home.ts';
import { DAEMON_NODE_FLAGS } from '../node-flags.ts';
import { GpufaasClient } from './client.ts';
import { locateDaemon, type Location } from './locate.ts';

/** How to start it; `flags` go to `gpufaas serve` as they are. */
export interface StartOptions {
  readonly home: Home;
  readonly flags?: readonly string[];
  readonly signal?: AbortSignal | undefined;
  /** Told now and then, for a progress line. */
  readonly onProgress?: (message: string) => void;
  readonly timeoutMs?: number;
}

/** A daemon that answers; `started` is false if it ran (or was being started by somebody else) already. */
export interface Started {
  readonly location: Location;
  readonly started: boolean;
}

/** What `gpufaas serve` tells the command that started it, over the channel Node gives a forked child, if it can't serve. */
export interface StartFailure {
  readonly code: string;
  readonly message: string;
  readonly suggestions: readonly string[];
}

/** Where a daemon in the background writes its log. */
export function daemonLog(home: Home): string {
  return join(home.logs, 'daemon.log');
}

/** Where its plain output goes: what Node or the system say when it dies. */
function daemonOutput(home: Home): string {
  return join(home.logs, 'daemon.out');
}

const DEFAULT_TIMEOUT_MS = 60_000;
const IDENTIFY_TIMEOUT_MS = 5_000;
const POLL_MS = 50;
const RETRY_MS = 1_000;
const MAX_OUTPUT_BYTES = 10_000_000;

const WAITING_FOR: Readonly<Record<string, string>> = {
  starting: 'Starting the devices',
  draining: 'Waiting for the old daemon to finish',
};

/** States that waiting does not change by itself; without a device in service (`unavailable`) the daemon tells its callers so. */
const SETTLED: ReadonlySet<string> = new Set(['ready', 'degraded', 'unavailable']);

/** A daemon that answers, with the state it is in (`ready`, `draining`, ...). */
export interface Running extends Location {
  readonly status: string;
}

/** The home's daemon if one answers; null if none does. Throws TIMEOUT for one that is there but says nothing. */
export async function findRunning(home: Home, signal?: AbortSignal): Promise<Running | null> {
  const location = locateDaemon(home, { ...process.env, GPUFAAS_URL: '' });
  if (location === null) return null;
  try {
    const identity = await new GpufaasClient({ ...location, signal }).identify(IDENTIFY_TIMEOUT_MS);
    // Another program, or another home's daemon, may have got the port of one that was killed.
    return identity?.pid === location.pid ? { ...location, status: identity.status } : null;
  } catch (error) {
    if (!(error instanceof GpufaasError)) throw error;
    if (error.code === 'NO_DAEMON') return null;
    if (error.code !== 'TIMEOUT') throw error;
    throw new GpufaasError('TIMEOUT', `The daemon (pid ${location.pid}) at ${location.url} does not answer.`, {
      cause: error,
      suggestions: [
        'It may be busy: try again in a moment.',
        `If it stays so, \`kill -9 ${location.pid}\` ends it, and nothing that was deployed is lost; then \`gpufaas up\`.`,
      ],
    });
  }
}

/** Starts a daemon unless one runs, and waits until it serves. One that drains is waited for, then replaced. */
export async function startInBackground(options: StartOptions): Promise<Started> {
  const { home, signal } = options;
  const deadline = Date.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  let attempt: Attempt | null = null;
  try {
    while (Date.now() < deadline) {
      signal?.throwIfAborted();
      const running = await findRunning(home, signal);
      if (running !== null && SETTLED.has(running.status)) {
        attempt?.detach();
        return { location: running, started: running.pid === attempt?.pid };
      }
      options.onProgress?.(WAITING_FOR[running?.status ?? ''] ?? 'Starting the daemon');
      if (attempt?.failure && attempt.failure.code !== 'DAEMON_RUNNING') throw attempt.failure;
      // The one that had the lock may have been ending, so the next attempt can win.
      if (running === null && (attempt === null || attempt.lostSinceMs() > RETRY_MS)) {
        attempt = new Attempt(home, options.flags ?? []);
      }
      await sleep(POLL_MS);
    }
  } catch (error) {
    attempt?.abandon();
    if (signal?.aborted) throw new GpufaasError('CANCELLED', 'Interrupted before the daemon was up.', { cause: error });
    throw error;
  }
  attempt?.abandon();
  if (attempt?.failure?.code === 'DAEMON_RUNNING' && locateDaemon(home, { ...process.env, GPUFAAS_URL: '' }) === null) {
    throw new GpufaasError('DAEMON_RUNNING', 'A daemon holds this GPUFAAS_HOME, but daemon.json does not say where.', {
      suggestions: ['End that process (`gpufaas serve`), then start it again with `gpufaas up`.'],
    });
  }
  throw new GpufaasError(
    'TIMEOUT',
    `The daemon did not become ready in time. Its log ends with: ${lastLine(daemonLog(home))}`,
    {
      suggestions: [`Read ${daemonLog(home)}, then try \`gpufaas serve\` in the foreground.`],
    },
  );
}

/** One child that may become the daemon. */
class Attempt {
  readonly #home: Home;
  readonly #child: ChildProcess;
  failure: GpufaasError | null = null;
  #failedAtMs = 0;

  constructor(home: Home, flags: readonly string[]) {
    this.#home = home;
    makeFolder(home.logs);
    const output = openOutput(daemonOutput(home));
    try {
      this.#child = fork(entry(), ['serve', ...flags], {
        detached: true,
        // Not the caller's folder: the daemon outlives it, and a mount must not be kept busy.
        cwd: home.root,
        stdio: ['ignore', output, output, 'ipc'],
        execArgv: [...DAEMON_NODE_FLAGS],
        env: { ...process.env, GPUFAAS_HOME: home.root },
      });
    } finally {
      closeSync(output);
    }
    this.#child.on('message', (failure: StartFailure) => {
      this.#fail(failure.code, failure.message, failure.suggestions);
    });
    this.#child.on('error', (error) => this.#fail('INTERNAL', `The daemon could not be started: ${error.message}.`));
    this.#child.on('exit', (code, signal) => {
      this.#fail(
        'INTERNAL',
        `The daemon ended while starting (${signal ?? `exit code ${code}`}): ${lastLine(daemonOutput(home))}`,
      );
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** For how long it has been known that it will not become the daemon; 0 while it may. */
  lostSinceMs(): number {
    return this.failure === null ? 0 : Date.now() - this.#failedAtMs;
  }

  /** Lets the child live on without us. */
  detach(): void {
    this.#child.removeAllListeners();
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  /** Ends the child: it is ours until it serves. */
  abandon(): void {
    this.detach();
    if (this.#child.exitCode === null) this.#child.kill('SIGTERM');
  }

  #fail(code: string, message: string, suggestions: readonly string[] = []): void {
    if (this.failure !== null) return;
    this.#failedAtMs = Date.now();
    const known: ErrorCode = isErrorCode(code) ? code : 'INTERNAL';
    const readLog = `Read ${daemonLog(this.#home)}, then try \`gpufaas serve\` in the foreground.`;
    this.failure = new GpufaasError(known, message, { suggestions: suggestions.length > 0 ? suggestions : [readLog] });
  }
}

/** The program this code belongs to: installed, or from source. */
function entry(): string {
  const name = import.meta.url.endsWith('.ts') ? 'dev.js' : 'run.js';
  return fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));
}

/** Opens the file for appending; a long one is put aside first, the one before it is dropped. */
function openOutput(path: string): number {
  try {
    if (statSync(path).size > MAX_OUTPUT_BYTES) renameSync(path, `${path}.1`);
  } catch {
    // There is none yet.
  }
  return openSync(path, 'a', 0o600);
}

function lastLine(path: string): string {
  try {
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    return lines.at(-1)?.slice(0, 500) || '(nothing)';
  } catch {
    return '(nothing)';
  }
}
