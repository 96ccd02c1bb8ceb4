// Child processes of a benchmark or a test: started with a line to wait for, ended by their id.

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { DAEMON_NODE_FLAGS } from '../src/node-flags.ts';

const DAEMON = new URL('./daemon-child.ts', import.meta.url);

/** A running child and the first line it printed. */
export interface Child {
  readonly process: ChildProcess;
  readonly line: string;
  end(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts a script and resolves with its first line; rejects if it ends before. `flags` are Node's. */
export async function startChild(
  script: URL,
  args: readonly string[],
  flags: readonly string[] = process.execArgv,
): Promise<Child> {
  const child = fork(script, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], execArgv: [...flags] });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout! });
  const line = await Promise.race([
    once(lines, 'line').then(([text]) => String(text)),
    exited.then(([code, signal]) => {
      throw new Error(`${script.pathname} ended early (${String(code ?? signal)}).`);
    }),
  ]);
  return {
    process: child,
    line,
    async end(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await exited;
    },
  };
}

/** Starts a daemon as `gpufaas up` does, but for its owner: `daemon-child.ts` with these arguments. Its line is its URL. */
export function startDaemonChild(...args: readonly string[]): Promise<Child> {
  return startChild(DAEMON, args, DAEMON_NODE_FLAGS);
}
