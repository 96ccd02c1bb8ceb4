// The mixed load of the soak: what is sent, and what may come back. Every answer is compared with what ONNX Runtime says in
// this process; every failure has to be one that the documentation names for it.

import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request, type Agent } from 'node:http';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { ERROR_TABLE, isErrorCode } from '../../src/errors.ts';
import { buildNetwork, NETWORK_INPUT_ROW } from '../../src/onnx/networks.ts';
import { seededRandom } from '../../src/random.ts';

/** One kind of request, and what its answer has to be. */
export interface Ask {
  readonly kind: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** null if the answer is right; else what is wrong with it. */
  readonly check: (status: number, body: Buffer) => string | null;
}

/** A right answer, a documented failure (its code), or something that must not be. */
export interface Outcome {
  readonly verdict: 'right' | 'failed' | 'wrong';
  readonly detail: string;
}

/** Failures that killing workers may cause: each with its documented status. */
const EXPECTED_FAILURES = new Set(['WORKER_DIED', 'NO_DEVICE', 'QUEUE_FULL', 'TIMEOUT', 'OUT_OF_MEMORY']);

/** Writes a model to be deployed and gives what to ask of it, by JSON and in binary; of other numbers, since they may share a run. */
export async function modelAsks(folder: string, name: string, megabytes: number, seed: number): Promise<Ask[]> {
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, buildNetwork({ kind: 'mlp', megabytes, seed }).encode());
  const shape = [1, ...NETWORK_INPUT_ROW.mlp];
  const random = seededRandom(1000 + seed);
  const numbers = (): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => Math.fround(random() * 2 - 1));
  const [inJson, inBinary] = [numbers(), numbers()];
  const session = await InferenceSession.create(path);
  const [output] = session.outputNames;
  const answerTo = async (data: Float32Array): Promise<Float32Array> =>
    Float32Array.from(
      (await session.run({ input: new Tensor('float32', data, shape) }))[output!]!.data as Float32Array,
    );
  const [ofJson, ofBinary] = [await answerTo(inJson), await answerTo(inBinary)];
  await session.release();
  const input = { name: 'input', shape, datatype: 'FP32' };
  const json = Buffer.from(JSON.stringify({ inputs: [{ ...input, data: [...inJson] }] }));
  const head = Buffer.from(
    JSON.stringify({
      inputs: [{ ...input, parameters: { binary_data_size: inBinary.byteLength } }],
      parameters: { binary_data_output: true },
    }),
  );
  return [
    {
      kind: 'json',
      path: `/function/${name}`,
      headers: { 'content-type': 'application/json' },
      body: json,
      check: (_status, body) => {
        const { outputs } = JSON.parse(body.toString()) as { outputs: { data: number[] }[] };
        return compare(outputs[0]!.data, ofJson);
      },
    },
    {
      kind: 'binary',
      path: `/v2/models/${name}/infer`,
      headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(head.length) },
      body: Buffer.concat([head, Buffer.from(inBinary.buffer)]),
      check: (_status, body) => {
        const bytes = new Uint8Array(body.subarray(-ofBinary.byteLength));
        return compare(new Float32Array(bytes.buffer), ofBinary);
      },
    },
  ];
}

/** Writes a function with a handler that runs a model twice, and gives what to ask of it. */
export function handlerAsk(folder: string, name: string, model: Ask): Ask {
  const place = join(folder, name);
  mkdirSync(place);
  writeFileSync(join(place, 'function.yaml'), `name: ${name}\nhandler: handler.js\nmodels:\n  m: { path: m.onnx }\n`);
  const [row] = (JSON.parse(model.body.toString()) as { inputs: { data: number[]; shape: number[] }[] }).inputs;
  writeFileSync(
    join(place, 'handler.js'),
    `import { tensor } from 'gpufaas';
export default async (request, { models }) => {
  const { data, shape, mark } = request.json();
  const input = tensor(shape, Float32Array.from(data));
  const [one, two] = await Promise.all([models.m.run({ input }), models.m.run({ input })]);
  const [first] = Object.values(one), [second] = Object.values(two);
  return { mark, first: [...first.data], second: [...second.data] };
};
`,
  );
  const mark = randomUUID();
  return {
    kind: 'handler',
    path: `/function/${name}`,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ ...row, mark })),
    check: (_status, body) => {
      const answer = JSON.parse(body.toString()) as { mark: string; first: number[]; second: number[] };
      const rebuilt = (values: number[]): Buffer => Buffer.from(JSON.stringify({ outputs: [{ data: values }] }));
      if (answer.mark !== mark) return 'the answer of another call';
      return model.check(200, rebuilt(answer.first)) ?? model.check(200, rebuilt(answer.second));
    },
  };
}

/** Requests that must be refused, each with its own status. */
export function badAsks(name: string): Ask[] {
  const bad = (kind: string, path: string, body: string, status: number): Ask => ({
    kind,
    path,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(body),
    check: (actual) => (actual === status ? null : `${actual} instead of ${status}`),
  });
  return [
    bad('unknown', '/function/nobody', 'x', 404),
    bad('cut', `/function/${name}`, '{"inputs":[{"na', 400),
    bad(
      'shape',
      `/v2/models/${name}/infer`,
      '{"inputs":[{"name":"input","datatype":"FP32","shape":[1],"data":[1]}]}',
      400,
    ),
    bad('large', `/function/${name}`, 'x'.repeat(17_000_000), 413),
  ];
}

function compare(actual: ArrayLike<number>, expected: Float32Array): string | null {
  if (actual.length !== expected.length) return `${actual.length} numbers instead of ${expected.length}`;
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs(actual[i]! - expected[i]!);
    if (!(off <= 1e-5 * Math.max(1, Math.abs(expected[i]!)))) return `number ${i} is off by ${off}`;
  }
  return null;
}

/** Sends one and judges what comes back. */
export async function ask(agent: Agent, url: string, what: Ask): Promise<Outcome> {
  let answer: { status: number; body: Buffer };
  try {
    answer = await exchange(agent, url, what);
  } catch (error) {
    return { verdict: 'wrong', detail: `${what.kind}: no answer (${String(error)})` };
  }
  const { status, body } = answer;
  const refusalWanted = !['json', 'binary', 'handler'].includes(what.kind);
  if (status === 200 || refusalWanted) {
    const problem = what.check(status, body);
    return problem === null
      ? { verdict: 'right', detail: what.kind }
      : { verdict: 'wrong', detail: `${what.kind}: ${problem}` };
  }
  const code = codeIn(body, status);
  const documented = code !== null && EXPECTED_FAILURES.has(code);
  return {
    verdict: documented ? 'failed' : 'wrong',
    detail: `${what.kind}: ${status} ${code ?? body.toString().slice(0, 200)}`,
  };
}

/** The code of a failure if its status is the documented one; the tensor protocol gives no code, so there the status tells. */
function codeIn(body: Buffer, status: number): string | null {
  try {
    const { code } = JSON.parse(body.toString()) as { code?: unknown };
    if (isErrorCode(code)) return ERROR_TABLE[code].status === status ? code : null;
    return [...EXPECTED_FAILURES].find((each) => isErrorCode(each) && ERROR_TABLE[each].status === status) ?? null;
  } catch {
    return null;
  }
}

function exchange(agent: Agent, url: string, { path, headers, body }: Ask): Promise<{ status: number; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(path, url),
      { agent, method: 'POST', headers: { ...headers, 'content-length': body.byteLength }, timeout: 60_000 },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => resolve({ status: answer.statusCode!, body: Buffer.concat(parts) }));
        answer.on('error', reject);
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 60 s')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
