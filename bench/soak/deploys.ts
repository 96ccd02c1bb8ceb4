// Switching over under load: callers call a function with a handler and a bare model without a pause, while new versions of
// both are deployed one after the other. Every answer has to be right for a version that served during the call.

import { mkdirSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Home } from '../../src/home.ts';
import { buildNetwork, NETWORK_INPUT_ROW } from '../../src/onnx/networks.ts';
import { deployModel } from '../deploy.ts';
import { shoot } from '../serving/load.ts';

/** What to do. */
export interface DeployLoad {
  readonly url: string;
  readonly home: Home;
  /** Empty; models and functions are written here. */
  readonly folder: string;
  readonly callers: number;
  /** The deployments of each function are spread over so long, and take longer if they have to. */
  readonly seconds: number;
  readonly deploys: number;
}

/** What came of it. */
export interface DeployReport {
  readonly deployMs: readonly number[];
  readonly answers: number;
  /** Of the calls that lasted longest, in milliseconds. */
  readonly slowestMs: readonly number[];
  /** What was wrong with an answer, or how a call failed. */
  readonly problems: readonly string[];
}

const MODELS = 3;
const MEGABYTES = 2;
const SLOWEST = 5;
const PROBLEMS_KEPT = 20;

/** Runs the load; resolves when all is done, whatever went wrong. */
export async function deployUnderLoad(load: DeployLoad): Promise<DeployReport> {
  const functions = [await handlerFunction(load), await bareFunction(load)];
  const deployMs: number[] = [];
  const durations: number[] = [];
  const problems: string[] = [];
  for (const one of functions) await one.deploy(1);
  const agent = new Agent({ keepAlive: true, maxSockets: load.callers });
  let over = false;
  const caller = async (one: Switched): Promise<void> => {
    while (!over) {
      const oldest = one.serving;
      const startMs = performance.now();
      try {
        const body = await shoot(agent, {
          url: one.url,
          headers: { 'content-type': 'application/json' },
          body: one.body,
        });
        const version = one.versionOf(body.toString());
        if (version === null) problems.push(`${one.name}: wrong: ${body.toString().slice(0, 120)}`);
        else if (version.every((each) => each < oldest || each > one.started))
          problems.push(`${one.name}: version ${version.join('/')} answered while ${oldest} to ${one.started} could`);
      } catch (error) {
        problems.push(`${one.name}: failed: ${String(error).slice(0, 200)}`);
        await sleep(50);
      }
      durations.push(performance.now() - startMs);
    }
  };
  const callers = Array.from({ length: load.callers }, (_, index) => caller(functions[index % 2]!));
  const startMs = performance.now();
  for (let round = 1; round <= load.deploys; round++) {
    await sleep(Math.max(0, startMs + (load.seconds * 1000 * round) / (load.deploys + 1) - performance.now()));
    for (const one of functions) {
      const beganMs = performance.now();
      await one.deploy(round + 1).catch((error: unknown) => problems.push(`deploy ${one.name}: ${String(error)}`));
      deployMs.push(performance.now() - beganMs);
    }
  }
  await sleep(Math.max(200, startMs + load.seconds * 1000 - performance.now()));
  over = true;
  await Promise.all(callers);
  agent.destroy();
  return {
    deployMs,
    answers: durations.length,
    slowestMs: durations.toSorted((a, b) => b - a).slice(0, SLOWEST),
    problems: problems.slice(0, PROBLEMS_KEPT),
  };
}

/** A function of which version after version is deployed. */
interface Switched {
  readonly name: string;
  readonly url: URL;
  readonly body: Uint8Array;
  /** The version whose deployment ended last, and the one whose deployment began last. */
  serving: number;
  started: number;
  deploy(version: number): Promise<void>;
  /** The versions that answer like this; null if none does. */
  versionOf(answer: string): number[] | null;
}

const ROW = Float32Array.from({ length: NETWORK_INPUT_ROW.mlp[0]! }, (_, index) => Math.fround(Math.sin(index)));
const INPUT = { name: 'input', datatype: 'FP32', shape: [1, ROW.length], data: [...ROW] };

/** A handler that says its version and what the model says; its model stays the same. */
async function handlerFunction({ url, home, folder }: DeployLoad): Promise<Switched> {
  const source = join(folder, 'handled');
  mkdirSync(source);
  writeFileSync(join(source, 'model.onnx'), network(0));
  writeFileSync(
    join(source, 'function.yaml'),
    'name: handled\nhandler: handler.ts\nmodels:\n  m: { path: model.onnx }\nsample: sample.json\n',
  );
  writeFileSync(join(source, 'sample.json'), JSON.stringify({ row: [...ROW] }));
  const expected = await answerOf(join(source, 'model.onnx'));
  const one: Switched = {
    name: 'handled',
    url: new URL(`${url}/function/handled`),
    body: Buffer.from(JSON.stringify({ row: [...ROW] })),
    serving: 0,
    started: 0,
    async deploy(version) {
      writeFileSync(
        join(source, 'handler.ts'),
        `import { defineHandler, tensor } from 'gpufaas';
export default defineHandler<'m'>(async (request, { models }) => {
  const { row } = request.json<{ row: number[] }>();
  const { output } = await models.m.run<'output'>({ input: tensor('FP32', [1, row.length], row) });
  return { version: ${version}, output: output.data };
});
`,
      );
      one.started = version;
      await deployModel(url, home, source);
      one.serving = version;
    },
    versionOf(answer) {
      const { version, output } = JSON.parse(answer) as { version: number; output: number[] };
      return isLike(output, expected) ? [version] : null;
    },
  };
  return one;
}

/** A bare model whose bytes change with every version. */
async function bareFunction({ url, home, folder }: DeployLoad): Promise<Switched> {
  const paths = Array.from({ length: MODELS }, (_, index) => join(folder, `bare-${index}.onnx`));
  for (const [index, path] of paths.entries()) writeFileSync(path, network(index + 1));
  const expected = await Promise.all(paths.map(answerOf));
  const one: Switched = {
    name: 'bare',
    url: new URL(`${url}/function/bare`),
    body: Buffer.from(JSON.stringify({ inputs: [INPUT] })),
    serving: 0,
    started: 0,
    async deploy(version) {
      one.started = version;
      await deployModel(url, home, paths[version % MODELS]!, 'bare');
      one.serving = version;
    },
    versionOf(answer) {
      const { outputs } = JSON.parse(answer) as { outputs: { data: number[] }[] };
      const index = expected.findIndex((each) => isLike(outputs[0]!.data, each));
      if (index < 0) return null;
      return Array.from({ length: one.started }, (_, i) => i + 1).filter((version) => version % MODELS === index);
    },
  };
  return one;
}

function network(seed: number): Uint8Array {
  return buildNetwork({ kind: 'mlp', megabytes: MEGABYTES, seed: 100 + seed }).encode();
}

async function answerOf(path: string): Promise<Float32Array> {
  const session = await InferenceSession.create(path);
  const { output } = await session.run({ input: new Tensor('float32', ROW, [1, ROW.length]) });
  const answer = Float32Array.from(output!.data as Float32Array);
  await session.release();
  return answer;
}

function isLike(found: readonly number[], expected: Float32Array): boolean {
  return (
    found.length === expected.length &&
    found.every((value, i) => Math.abs(value - expected[i]!) <= 1e-5 * Math.max(1, Math.abs(expected[i]!)))
  );
}
