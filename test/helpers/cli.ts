// Runs the command line as a user would: processes of its own, a home of its own.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtProgram } from './built.ts';

const BUILT = builtProgram();
/** The same command line from source. */
export const FROM_SOURCE = fileURLToPath(new URL('../../bin/dev.js', import.meta.url));

/** How a command ended. */
export interface Ended {
  /** The exit code, or the signal's name. */
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** A home with a working folder beside it; `close` ends the daemon it may have and removes both. */
export class Sandbox {
  readonly folder = mkdtempSync(join(tmpdir(), 'gpufaas-e2e-'));
  readonly home = join(this.folder, 'home');
  readonly environment: NodeJS.ProcessEnv;
  readonly #program: string;

  constructor(environment: Readonly<Record<string, string>> = {}, program = BUILT) {
    this.#program = program;
    const { GPUFAAS_URL: _url, GPUFAAS_TOKEN: _token, npm_command: _npm, ...rest } = process.env;
    this.environment = { ...rest, GPUFAAS_HOME: this.home, GPUFAAS_DEVICES: 'cpu@1GB', ...environment };
  }

  /** Starts a command and leaves it running. */
  start(args: readonly string[], cwd = this.folder): ChildProcess {
    return spawn(process.execPath, [this.#program, ...args], {
      cwd,
      env: this.environment,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  /** Starts a command in a shell with a terminal of its own; killing the process closes the terminal. */
  startInTerminal(args: readonly string[]): ChildProcess {
    const terminal = spawn('script', ['-qc', 'bash --norc -i', '/dev/null'], {
      cwd: this.folder,
      env: this.environment,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const words = [process.execPath, this.#program, ...args].map((word) => `'${word}'`);
    terminal.stdin.on('error', () => {});
    terminal.stdin.write(`${words.join(' ')}\n`);
    return terminal;
  }

  /** Runs a command to its end. */
  run(
    args: readonly string[],
    { input = '', cwd = this.folder }: { input?: string; cwd?: string } = {},
  ): Promise<Ended> {
    const child = this.start(args, cwd);
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    return ended(child);
  }

  /** Runs a command with --json and parses what it prints. */
  async json<T = unknown>(...args: readonly string[]): Promise<T> {
    const { stdout } = await this.run([...args, '--json']);
    return JSON.parse(stdout) as T;
  }

  /** The process of the daemon as it wrote it down; null if there is none. */
  pid(): number | null {
    try {
      return (JSON.parse(readFileSync(join(this.home, 'daemon.json'), 'utf8')) as { pid: number }).pid;
    } catch {
      return null;
    }
  }

  async close(): Promise<void> {
    await this.run(['down', '--drain', '0']);
    const pid = this.pid();
    if (pid !== null) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It is gone.
      }
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** True where there is what `startInTerminal` needs: util-linux, and bash. */
export function hasTerminals(): boolean {
  const tried = spawnSync('script', ['-qc', 'bash --version', '/dev/null'], { stdio: ['ignore', 'pipe', 'ignore'] });
  return process.platform === 'linux' && tried.status === 0 && tried.stdout.includes('bash');
}

/** Waits for the end of a command; kills it after 60 s. */
export async function ended(child: ChildProcess): Promise<Ended> {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { code: code ?? signal ?? 'unknown', ...output };
}
