// Kills the daemon at random points of deploying, removing and loading, starts it again, and looks whether every function is
// wholly old or wholly new, whether anything half-done lies about, and whether a process was left behind.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { GpufaasClient } from '../../src/client/client.ts';
import { resolveHome, type Home } from '../../src/home.ts';
import { createModelStore } from '../../src/models/store.ts';
import { OnnxModel } from '../../src/onnx/write.ts';
import { seededRandom, type Random } from '../../src/random.ts';
import { startDaemonChild, type Child } from '../children.ts';
import { deployModel } from '../deploy.ts';
import { descendants } from './processes.ts';

export interface CrashOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Told of each round when it is over. */
  readonly onRound?: (line: string) => void;
}

/** What a function may be after a round: the number its model adds, or null if it is not there. */
type State = number | null;

interface Operation {
  readonly name: string;
  readonly target: string;
  /** What the function is if it succeeds. */
  readonly after: State;
  readonly run: (client: GpufaasClient, url: string) => Promise<unknown>;
}

const DEVICES = 'cpu:1@300MB';
/** Bare model, function with handler, and one that nobody touches. */
const FUNCTIONS = ['bare', 'handled', 'other'] as const;
const INPUT = [1, 2, 3];

/** Runs the rounds in a home of its own; gives what was found wrong, nothing if all was well. */
export async function crashRounds({ rounds, seed, onRound }: CrashOptions): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-crash-'));
  const run = new CrashRun(folder, seededRandom(seed));
  const problems: string[] = [];
  try {
    await run.begin();
    for (let round = 1; round <= rounds; round++) {
      const { line, found } = await run.round(round);
      problems.push(...found.map((problem) => `round ${round}, ${line}: ${problem}`));
      onRound?.(`${round}: ${line}${found.length > 0 ? ` WRONG: ${found.join('; ')}` : ''}`);
    }
  } finally {
    await run.end();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
  return problems;
}

class CrashRun {
  readonly #folder: string;
  readonly #home: Home;
  readonly #random: Random;
  readonly #states = new Map<string, State>();
  #daemon: Child | null = null;
  #content = 0;
  /** How long an operation takes when nobody kills it, by name, in milliseconds: the kill comes within that. */
  readonly #usualMs = new Map<string, number>();

  constructor(folder: string, random: Random) {
    this.#folder = folder;
    this.#home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
    this.#random = random;
  }

  async begin(): Promise<void> {
    this.#daemon = await startDaemonChild(this.#home.root, DEVICES);
    for (const name of FUNCTIONS) {
      const operation = this.#deploy(name);
      const startMs = performance.now();
      await operation.run(this.#client(), this.#daemon.line);
      this.#usualMs.set(operation.name, performance.now() - startMs);
      this.#states.set(name, operation.after);
    }
  }

  async end(): Promise<void> {
    await this.#daemon?.end();
  }

  async round(number: number): Promise<{ line: string; found: string[] }> {
    const daemon = this.#daemon!;
    const operation = this.#choose();
    const before = this.#states.get(operation.target) ?? null;
    const children = descendants(daemon.process.pid!);
    const afterMs = this.#random() * (this.#usualMs.get(operation.name) ?? 100) * 1.2;
    const startMs = performance.now();
    let ended = false;
    const work = operation.run(this.#client(), daemon.line).then(
      () => {
        ended = true;
        this.#usualMs.set(operation.name, performance.now() - startMs);
      },
      () => undefined,
    );
    await pause(afterMs);
    const acknowledged = ended;
    children.push(...descendants(daemon.process.pid!));
    this.#daemon = null;
    await daemon.end('SIGKILL');
    await work;
    this.#daemon = await startDaemonChild(this.#home.root, DEVICES);
    const found = [...(await this.#orphans(children)), ...(await this.#strays())];
    for (const name of FUNCTIONS) {
      const allowed =
        name !== operation.target
          ? [this.#states.get(name) ?? null]
          : acknowledged
            ? [operation.after]
            : [before, operation.after];
      found.push(...(await this.#look(name, allowed)));
    }
    const line = `${operation.name} ${operation.target}, killed after ${Math.round(afterMs)} ms${acknowledged ? ' (done)' : ''} → ${String(this.#states.get(operation.target))} (was ${String(before)})`;
    if (number % 10 === 0) await this.#tidy();
    return { line, found };
  }

  #client(): GpufaasClient {
    return new GpufaasClient({ url: this.#daemon!.line, token: readFileSync(this.#home.token, 'utf8').trim() });
  }

  #choose(): Operation {
    const target = this.#random() < 0.5 ? 'bare' : 'handled';
    const present = this.#states.get(target) !== null;
    const chance = this.#random();
    if (!present || chance < 0.6) return this.#deploy(target);
    const state = this.#states.get(target)!;
    if (chance < 0.8) return { name: 'rm', target, after: null, run: (client) => client.remove(target) };
    return { name: 'load', target, after: state, run: (client) => client.load(target) };
  }

  /** Content of its own each time: y = x + content, so that an answer tells which version it is of. */
  #deploy(target: string): Operation {
    const content = ++this.#content;
    const model = new OnnxModel({ name: `plus-${content}` })
      .input('x', 'FP32', ['batch', 3])
      .output('y', 'FP32', ['batch', 3])
      .weights('content', [1], Float32Array.of(content))
      .node('Add', ['x', 'content'], ['y'])
      .encode();
    const folder = join(this.#folder, 'upload', `${target}-${content}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'm.onnx'), model);
    const handler = target === 'handled' ? 'handler: handler.js\n' : '';
    writeFileSync(join(folder, 'function.yaml'), `name: ${target}\n${handler}models:\n  m: { path: m.onnx }\n`);
    if (handler !== '') writeFileSync(join(folder, 'handler.js'), handlerOf(content));
    const run = (_client: GpufaasClient, url: string): Promise<unknown> => deployModel(url, this.#home, folder);
    return { name: `deploy-${target}`, target, after: content, run };
  }

  /** Asks a function which content it has, all its parts, and compares. */
  async #look(name: string, allowed: readonly State[]): Promise<string[]> {
    const client = this.#client();
    const listed = (await client.functions()).find((each) => each.name === name);
    let state: State = null;
    if (listed !== undefined) {
      const answer = await call(this.#daemon!.line, name);
      if (typeof answer === 'string') return [`${name} answers ${answer}`];
      state = answer;
    }
    this.#states.set(name, state);
    return allowed.includes(state) ? [] : [`${name} is ${String(state)}, expected ${allowed.map(String).join(' or ')}`];
  }

  async #orphans(pids: readonly number[]): Promise<string[]> {
    for (let look = 0; look < 50 && pids.some(alive); look++) await pause(100);
    return pids.filter(alive).map((pid) => `process ${pid} was left behind`);
  }

  async #strays(): Promise<string[]> {
    const { uploads, functions, models, prepared } = this.#home;
    const found = readdirSync(uploads).map((name) => `uploads/${name} was left`);
    for (const folder of [models, prepared]) {
      for (const name of readdirSync(folder)) if (name.startsWith('.')) found.push(`${name} was left half-done`);
    }
    const store = await createModelStore(models);
    for (const { sha256 } of await store.list()) {
      await store.verify(sha256).catch((error: unknown) => found.push(`model ${sha256}: ${String(error)}`));
    }
    const client = this.#client();
    const names = new Set((await client.functions()).map(({ name }) => name));
    for (const name of readdirSync(functions)) {
      if (!names.has(name)) {
        found.push(`functions/${name} was left`);
        continue;
      }
      const versions = new Set((await client.function(name)).versions.map(({ version }) => String(version)));
      for (const version of readdirSync(join(functions, name))) {
        if (!versions.delete(version)) found.push(`functions/${name}/${version} was left`);
        else if (!existsSync(join(functions, name, version, 'function.yaml')))
          found.push(`${name}/${version} is not whole`);
      }
      for (const version of versions) found.push(`functions/${name}/${version} is missing`);
    }
    return found;
  }

  /** So that a long run does not gather packages. */
  async #tidy(): Promise<void> {
    rmSync(join(this.#folder, 'upload'), { recursive: true, force: true });
  }
}

const handlerOf = (content: number): string => `
import { tensor } from 'gpufaas';
export default async (request, { models }) => {
  const { y } = await models.m.run({ x: tensor([1, 3], Float32Array.from(${JSON.stringify(INPUT)})) });
  return { handler: ${content}, model: y.data[0] - 1 };
};
`;

/** The content that a function answers with, or what it said instead. */
async function call(url: string, name: string): Promise<number | string> {
  const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: INPUT }];
  const answer = await fetch(new URL(`/function/${name}`, url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs }),
  });
  const text = await answer.text();
  if (answer.status !== 200) return `${answer.status} ${text.slice(0, 200)}`;
  const body = JSON.parse(text) as { outputs?: { data: number[] }[]; handler?: number; model?: number };
  if (body.outputs !== undefined) return body.outputs[0]!.data[0]! - 1;
  return body.handler === body.model ? body.handler! : `with the handler ${body.handler} and the model ${body.model}`;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // What the parent has not collected yet is no process any more.
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
