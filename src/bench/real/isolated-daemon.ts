// Starts and ends the real daemons of a bench: each in a process and a home of its own, so that the user's daemon, its
// functions and its models are not touched.

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GpufaasClient } from '../../client/client.ts';
import { GpufaasError, isErrorCode } from '../../errors.ts';
import { resolveHome } from '../../home.ts';
import type { ModelProfile } from '../../models/types.ts';
import { DAEMON_NODE_FLAGS } from '../../node-flags.ts';
import type { DaemonNews, DaemonOrder } from './daemon-entry.ts';

const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 15_000;

/** A daemon that runs for a bench. `stop` ends it and removes its home. */
export interface IsolatedDaemon {
  readonly url: string;
  readonly token: string;
  readonly client: GpufaasClient;
  /** What it measured of models whose profile it was not given, by sha256. */
  readonly measured: ReadonlyMap<string, ModelProfile>;
  stop(): Promise<void>;
}

/** Starts one; resolves once it listens. Throws what the daemon failed with, TIMEOUT, or CANCELLED. */
export async function startIsolatedDaemon(
  order: Omit<DaemonOrder, 'home'>,
  signal?: AbortSignal,
): Promise<IsolatedDaemon> {
  const home = mkdtempSync(join(tmpdir(), 'gpufaas-bench-'));
  const isSource = import.meta.url.endsWith('.ts');
  const child = fork(new URL(isSource ? './daemon-entry.ts' : './daemon-entry.js', import.meta.url), {
    execArgv: [...DAEMON_NODE_FLAGS],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: { ...process.env, GPUFAAS_HOME: home, ORT_DISABLE_TELEMETRY: '1' },
    // Ctrl-C and the end of the terminal go to the bench's group, which this one would be in before it listens for them.
    detached: true,
    windowsHide: true,
  });
  const measured = new Map<string, ModelProfile>();
  const stop = async (): Promise<void> => {
    await end(child);
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const url = await becomesReady(child, { ...order, home }, measured, signal);
    const token = readFileSync(resolveHome({ GPUFAAS_HOME: home }).token, 'utf8').trim();
    return { url, token, client: new GpufaasClient({ url, token, signal }), measured, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function becomesReady(
  child: ChildProcess,
  order: DaemonOrder,
  measured: Map<string, ModelProfile>,
  signal: AbortSignal | undefined,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new GpufaasError('TIMEOUT', 'The daemon of the bench did not start in time.')),
      START_TIMEOUT_MS,
    );
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      act();
    };
    const onAbort = (): void => settle(() => reject(new GpufaasError('CANCELLED', 'Interrupted.')));
    signal?.addEventListener('abort', onAbort, { once: true });
    child.on('message', (news: DaemonNews) => {
      if (news.type === 'profile') measured.set(news.sha256, news.profile);
      else if (news.type === 'ready') settle(() => resolve(news.url));
      else {
        const code = isErrorCode(news.code) ? news.code : 'INTERNAL';
        settle(() => reject(new GpufaasError(code, `The daemon of the bench did not start: ${news.message}`)));
      }
    });
    child.on('error', (error) => settle(() => reject(error)));
    child.on('exit', (code) =>
      settle(() => reject(new GpufaasError('INTERNAL', `The daemon of the bench ended with code ${code}.`))),
    );
    child.send(order);
  });
}

/** Closing the channel tells the daemon to end; it is killed if it does not. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  if (child.connected) child.disconnect();
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
}
