// A real daemon in a process of its own with a home of its own, and requests to it that keep whatever comes back.

import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDaemonChild, type Child } from '../../bench/children.ts';
import { deployModel } from '../../bench/deploy.ts';
import { GpufaasClient } from '../../src/client/client.ts';
import { resolveHome, type Home } from '../../src/home.ts';

/** An answer as it came; `json` is null if the body is none. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: AnswerBody | null;
}

/** What JSON bodies may hold, of all that tests look at. */
export interface AnswerBody {
  readonly status?: number;
  readonly code?: string;
  readonly detail?: string;
  readonly suggestions?: readonly string[];
  readonly error?: string;
  readonly outputs?: readonly { readonly data: readonly number[] }[];
}

/** A daemon that was started by a test; `close` ends it and removes its home. */
export class TestDaemon {
  readonly folder: string;
  readonly home: Home;
  readonly devices: string;
  #child: Child | null = null;

  constructor(devices = 'cpu:1@300MB', folder = mkdtempSync(join(tmpdir(), 'gpufaas-daemon-'))) {
    this.folder = folder;
    this.home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
    this.devices = devices;
    mkdirSync(this.home.root, { recursive: true });
  }

  async start(): Promise<this> {
    this.#child = await startDaemonChild(this.home.root, this.devices);
    return this;
  }

  get url(): string {
    return this.#child!.line;
  }

  get pid(): number {
    return this.#child!.process.pid!;
  }

  get token(): string {
    return readFileSync(this.home.token, 'utf8').trim();
  }

  get client(): GpufaasClient {
    return new GpufaasClient({ url: this.url, token: this.token });
  }

  deploy(path: string, name?: string): ReturnType<typeof deployModel> {
    return deployModel(this.url, this.home, path, name);
  }

  /** Sends a request as it is: the path is not normalised, the body not encoded. */
  send(
    method: string,
    path: string,
    body: string | Uint8Array = '',
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const { port } = new URL(this.url);
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { host: '127.0.0.1', port, method, path, headers: { 'content-type': 'application/json', ...headers } },
        (answer) => {
          const parts: Buffer[] = [];
          answer.on('data', (part: Buffer) => parts.push(part));
          answer.on('error', reject);
          answer.on('end', () => {
            const text = Buffer.concat(parts).toString();
            resolve({ status: answer.statusCode!, headers: answer.headers, text, json: parsed(text) });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  /** Ends the daemon, by SIGTERM unless told otherwise; its home stays. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = null;
    await child?.end(signal);
  }

  async close(): Promise<void> {
    await this.end();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function parsed(text: string): Answer['json'] {
  try {
    return JSON.parse(text) as Answer['json'];
  } catch {
    return null;
  }
}

/** The processes that live and have `parent` as their parent (Linux). */
export function childrenOf(parent: number): number[] {
  return livingProcesses()
    .filter(({ ppid }) => ppid === parent)
    .map(({ pid }) => pid);
}

/** Every process that is no zombie (Linux). */
export function livingProcesses(): { readonly pid: number; readonly ppid: number }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        // The name in brackets may hold anything; what follows it does not.
        const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return state === 'Z' || state === 'X' ? [] : [{ pid: Number(name), ppid: Number(ppid) }];
      } catch {
        return [];
      }
    });
}
