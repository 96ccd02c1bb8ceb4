// Whatever is sent to the real daemon: the documented status, words that help, nothing of the inside; and what was deployed
// before serves as before.

import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GpufaasError } from '../../src/errors.ts';
import { TestDaemon, type Answer } from '../helpers/daemon.ts';
import { futureModel, tinyExternalModel, tinyModel, unfoldingModel, unknownOperatorModel } from '../helpers/models.ts';
import { RawConnection } from '../helpers/raw-http.ts';

const TINY = tinyModel();
const tensor = (changes: Readonly<Record<string, unknown>> = {}) => ({
  name: 'input',
  datatype: 'FP32',
  shape: [1, 4],
  data: [1, 2, 3, 4],
  ...changes,
});
const body = (...inputs: unknown[]) => JSON.stringify({ inputs });
const GOOD = body(tensor());

const daemon = new TestDaemon('cpu:1@300MB');
/** A body of 1 KB a second, begun at the start because it takes its time. */
let slow: RawConnection;

const UNRULY = `
export default async (request) => {
  const what = request.text();
  if (what === 'throw') throw new TypeError('the cat is out');
  if (what === 'reject') return Promise.reject({ no: 'error' });
  if (what === 'hang') return new Promise(() => {});
  if (what === 'block') for (;;);
  if (what === 'exit') process.exit(3);
  if (what === 'block, then abort') { const end = Date.now() + 900; while (Date.now() < end); process.abort(); }
  if (what === 'print') { process.stdout.write(Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7) % 256))); return 'printed'; }
  if (what === 'fork') return String((await import('node:child_process')).spawn('sleep', ['60']).pid);
  if (what === 'write') return (await import('node:fs')).writeFileSync('/tmp/by-a-handler', 'x');
  if (what === 'read') return (await import('node:fs')).readFileSync('/etc/passwd', 'utf8');
  if (what === 'circle') { const circle = {}; circle.circle = circle; return circle; }
  return 'well';
};
`;

beforeAll(async () => {
  await daemon.start();
  await daemon.deploy(file('tiny.onnx', TINY.bytes), 'tiny');
  const unruly = functionFolder('name: unruly\nhandler: handler.js\ntimeout: 2s\nmaxBody: 1KB\n', {
    'handler.js': UNRULY,
  });
  await daemon.deploy(unruly);
  slow = new RawConnection(Number(new URL(daemon.url).port));
  slow.send('POST', '/function/tiny', { 'content-type': 'application/json', 'content-length': 200_000 }, '{');
  const timer = setInterval(() => slow.socket.write(' '.repeat(1024)), 1000);
  slow.socket.once('close', () => clearInterval(timer));
});
afterAll(() => daemon.close());

function file(name: string, content: string | Uint8Array): string {
  const path = join(mkdtempSync(join(daemon.folder, 'in-')), name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function functionFolder(manifest: string, files: Readonly<Record<string, string | Uint8Array>> = {}): string {
  const folder = dirname(file('function.yaml', manifest));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** Paths, stacks, and names of what only we know. */
function expectBland(text: string): void {
  expect(text).not.toMatch(/\n\s+at |node:internal|\/src\/|\.ts:\d|onnxruntime::|unordered_map/);
  expect(text).not.toContain(daemon.folder);
}

function expectProblem(answer: Answer, status: number, code: string, words: RegExp): void {
  expect(answer.json, answer.text).toMatchObject({ status, code });
  expect(answer.status).toBe(status);
  expect(`${answer.json!.detail} ${answer.json!.suggestions!.join(' ')}`).toMatch(words);
  expectBland(answer.text);
}

/** What was there before is there, and answers right. */
async function expectIntact(): Promise<void> {
  expect((await daemon.client.functions()).map(({ name, version, status }) => `${name} ${version} ${status}`)).toEqual([
    'tiny 1 ready',
    'unruly 1 ready',
  ]);
  // No refused model stays on the disk.
  expect((await daemon.client.models()).map(({ functions }) => functions)).toEqual([['tiny']]);
  const answer = await daemon.send('POST', '/v2/models/tiny/infer', GOOD);
  expect(answer.status, answer.text).toBe(200);
  const expected = TINY.answer([1, 2, 3, 4]);
  answer.json!.outputs![0]!.data.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
}
afterEach(expectIntact);

const failureOf = (work: Promise<unknown>): Promise<GpufaasError> =>
  work.then(
    () => expect.unreachable('it was accepted'),
    (error: unknown) => error as GpufaasError,
  );

describe('an unknown function', () => {
  it.each([
    'nope',
    'Tiny',
    '../../etc/passwd',
    '..%2f..%2fetc',
    '%00',
    'd%C3%BCgits',
    '%F0%9F%98%80',
    '10,000 letters',
    'tiny%0d%0ax',
    '-',
  ])('is 404 for every caller: %s', async (name) => {
    const long = name === '10,000 letters' ? 'a'.repeat(10_000) : name;
    const encoded = long.includes('%') ? long : encodeURIComponent(long);
    for (const path of [`/function/${encoded}`, `/async-function/${encoded}`]) {
      expectProblem(await daemon.send('POST', path, 'x'), 404, 'FUNCTION_NOT_FOUND', /There is no function/);
    }
    const infer = await daemon.send('POST', `/v2/models/${encoded}/infer`, GOOD);
    expect(infer.status).toBe(404);
    expect(infer.json!.error).toMatch(/There is no model/);
    const authorization = { authorization: `Bearer ${daemon.token}` };
    for (const method of ['GET', 'DELETE']) {
      const answer = await daemon.send(method, `/api/v1/functions/${encoded}`, '', authorization);
      expectProblem(answer, 404, 'FUNCTION_NOT_FOUND', /There is no function/);
    }
  });

  it('that is nearly one is told which', async () => {
    expectProblem(await daemon.send('POST', '/function/tinny', 'x'), 404, 'FUNCTION_NOT_FOUND', /Did you mean tiny/);
  });

  it.each([
    ['%ff%fe', 400],
    ['%zz', 400],
  ])('may also be no text at all: %s is %i', async (name, status) => {
    expectProblem(await daemon.send('POST', `/function/${name}`, 'x'), status, 'BAD_REQUEST', /address/);
  });
});

describe('a request with', () => {
  it.each<[string, string, RegExp]>([
    ['a wrong name', body(tensor({ name: 'x' })), /no input "x"; it takes "input"/],
    ['a wrong rank', body(tensor({ shape: [4] })), /must have 2 dimensions/],
    ['a wrong dimension', body(tensor({ shape: [1, 5], data: [1, 2, 3, 4, 5] })), /dimension 1 must be 4, not 5/],
    ['a wrong datatype', body(tensor({ datatype: 'INT64' })), /must be FP32, not "INT64"/],
    ['a datatype nobody knows', body(tensor({ datatype: 'FP99' })), /must be FP32/],
    ['one input too many', body(tensor(), tensor({ name: 'extra' })), /no input "extra"/],
    ['one input twice', body(tensor(), tensor()), /twice|more than once/],
    ['no inputs', body(), /"input".*missing/],
    ['too few numbers', body(tensor({ data: [1] })), /needs 4 elements; "data" has 1/],
    ['words for numbers', body(tensor({ data: ['a', 'b', 'c', 'd'] })), /element 0 is "a"/],
    ['a negative dimension', body(tensor({ shape: [-1, 4] })), /whole numbers/],
    ['a dimension beyond all numbers', body(tensor({ shape: [1e99, 4] })), /whole numbers/],
    ['an empty body', '', /empty/],
    ['JSON that is cut', GOOD.slice(0, 30), /not valid JSON \(at character \d+\)/],
    ['JSON of another kind', '[1,2]', /object with "inputs"/],
    ['JSON nested too deep', `{"inputs":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, /nested deeper/],
    ['far too many numbers', body(tensor()).replace('[1,2,3,4]', `[${'1,'.repeat(1e6)}1]`), /needs 4 elements/],
    ['a number beyond the datatype', GOOD.replace('[1,2,3,4]', '[1,2,3,1e999]'), /element 3|valid JSON|FP32/],
  ])('%s is 400 and says so', async (_, content, words) => {
    const answer = await daemon.send('POST', '/v2/models/tiny/infer', content);
    expect(answer.status, answer.text).toBe(400);
    expect(answer.json!.error).toMatch(words);
    expectBland(answer.text);
    const called = await daemon.send('POST', '/function/tiny', content);
    expect(called.json!.code).toMatch(/^BAD_(TENSOR|REQUEST)$/);
    expect(called.status).toBe(400);
  });

  it.each<[string, Readonly<Record<string, string>>, number, RegExp]>([
    ['a coding nobody asked for', { 'content-encoding': 'br' }, 415, /gzip and deflate/],
    ['gzip that is none', { 'content-encoding': 'gzip' }, 400, /not valid gzip/],
    ['a header longer than the body', { 'inference-header-content-length': '99999' }, 400, /the body has \d+ bytes/],
    ['a header of no length', { 'inference-header-content-length': '-3' }, 400, /whole number/],
    ['a foreign Host', { host: 'evil.example' }, 403, /Host/],
    ['a foreign Origin', { origin: 'http://evil.example' }, 403, /origin/],
  ])('%s is refused', async (_, headers, status, words) => {
    const answer = await daemon.send('POST', '/v2/models/tiny/infer', GOOD, headers);
    expect(answer.status, answer.text).toBe(status);
    expect(answer.json!.error).toMatch(words);
  });

  it('a body over the limit of the function is 413 and names it', async () => {
    const answer = await daemon.send('POST', '/function/unruly', 'x'.repeat(2000));
    expectProblem(answer, 413, 'BODY_TOO_LARGE', /1 kB.*maxBody/);
  });

  it('a body that is cut off costs nobody else anything', async () => {
    const cut = new RawConnection(Number(new URL(daemon.url).port));
    cut.send('POST', '/function/tiny', { 'content-length': 1000 }, GOOD.slice(0, 20));
    await sleep(50);
    cut.socket.destroy();
    await expect.poll(async () => (await daemon.client.status()).underWay).toBe(0);
  });

  it('no token where one is needed is 401', async () => {
    expectProblem(await daemon.send('DELETE', '/api/v1/functions/tiny'), 401, 'UNAUTHORIZED', /token/);
    const wrong = { authorization: 'Bearer nonsense' };
    expectProblem(await daemon.send('POST', '/api/v1/functions', 'x', wrong), 401, 'UNAUTHORIZED', /token/);
  });
});

describe('a model that', () => {
  const CUT = TINY.bytes.subarray(0, TINY.bytes.length >> 1);
  it.each<[string, string | Uint8Array, string, RegExp]>([
    ['is no ONNX file', 'this is not a model\n', 'BAD_MODEL', /no ONNX/],
    ['is empty', '', 'BAD_MODEL', /empty/],
    ['is cut', CUT, 'BAD_MODEL', /cut off or damaged/],
    ['has an operator nobody has', unknownOperatorModel(), 'BAD_MODEL', /Levitate/],
    ['needs an opset nobody has', futureModel(), 'BAD_MODEL', /operator set 99.*up to \d+/],
    ['unfolds from 9 KB to 800 MB', unfoldingModel(800), 'DOES_NOT_FIT', /more memory than the 300 MB/],
  ])('%s is refused', async (_, bytes, code, words) => {
    // Past the check of the command line: as a package that anyone could send.
    const folder = functionFolder('name: tiny\nmodels:\n  m: { path: m.onnx }\n', { 'm.onnx': bytes });
    const error = await failureOf(daemon.deploy(folder));
    expect(error).toMatchObject({ code, message: expect.stringMatching(words) });
    expect(error.suggestions.length).toBeGreaterThan(0);
    expectBland(error.message);
  });

  it.each<[string, string, Uint8Array | null, RegExp]>([
    ['are missing', 'gone.bin', null, /gone\.bin/],
    ['are cut', 'weights.bin', Uint8Array.of(1, 2, 3), /cut: 3 bytes/],
    ['lie above its folder', '../outside.bin', null, /not inside its folder/],
    ['lie at an absolute path', '/etc/passwd', null, /not inside its folder/],
  ])('has weights that %s is refused', async (_, location, data, words) => {
    const { model } = tinyExternalModel(3, location);
    const files = { 'm.onnx': model, ...(data === null ? {} : { [location]: data }) };
    const folder = functionFolder('name: tiny\nmodels:\n  m: { path: m.onnx }\n', files);
    const error = await failureOf(daemon.deploy(folder));
    expect(error.message).toMatch(words);
    expect(error.status).toBeLessThan(500);
    expectBland(error.message);
  });
});

describe('a handler that', () => {
  it.each<[string, number, string, RegExp]>([
    ['throw', 500, 'HANDLER_ERROR', /TypeError: the cat is out.*logs/],
    ['reject', 500, 'HANDLER_ERROR', /an object that is no Error/],
    ['hang', 504, 'TIMEOUT', /2000 ms|2 s/],
    ['exit', 502, 'HANDLER_DIED', /exit code 3/],
    ['block, then abort', 502, 'HANDLER_DIED', /SIGABRT/],
    ['fork', 500, 'HANDLER_ERROR', /start another process/],
    ['write', 500, 'HANDLER_ERROR', /tried to write/],
    ['read', 500, 'HANDLER_ERROR', /tried to read/],
    ['circle', 500, 'HANDLER_ERROR', /JSON|circular/],
    ['block', 504, 'TIMEOUT', /2000 ms|2 s/],
  ])('should %s: %i, and the next call is served', async (what, status, code, words) => {
    expectProblem(await daemon.send('POST', '/function/unruly', what), status, code, words);
    await expect.poll(async () => (await daemon.send('POST', '/function/unruly', 'be good')).text).toBe('well');
  });

  it('prints garbage answers all the same, and its log is text', async () => {
    expect((await daemon.send('POST', '/function/unruly', 'print')).text).toBe('printed');
    for await (const line of daemon.client.logs('unruly')) {
      // eslint-disable-next-line no-control-regex
      expect(line.text).not.toMatch(/[\u0000-\u0008\u001b]/);
    }
  });
});

describe('a package with', () => {
  const MODEL = { 'm.onnx': TINY.bytes };
  it.each<[string, string, Readonly<Record<string, string | Uint8Array>>, string, RegExp]>([
    ['an unknown key', 'name: tiny\nmodells:\n  m: { path: m.onnx }\n', MODEL, 'BAD_MANIFEST', /did you mean models/],
    ['a wrong type', 'name: tiny\nmodels: [m.onnx]\n', MODEL, 'BAD_MANIFEST', /models: expected a mapping/],
    ['a time without unit', 'name: tiny\ntimeout: 30\nmodels:\n  m: { path: m.onnx }\n', MODEL, 'BAD_MANIFEST', /30s/],
    ['a name above the folder', 'name: ../tiny\nmodels:\n  m: { path: m.onnx }\n', MODEL, 'BAD_NAME', /lower-case/],
    [
      'a name of 10,000 letters',
      `name: ${'a'.repeat(10_000)}\nmodels:\n  m: { path: m.onnx }\n`,
      MODEL,
      'BAD_NAME',
      /63/,
    ],
    ['a model above the folder', 'name: tiny\nmodels:\n  m: { path: ../m.onnx }\n', MODEL, 'BAD_MANIFEST', /inside/],
    ['no model where it says', 'name: tiny\nmodels:\n  m: { path: n.onnx }\n', MODEL, 'FILE_NOT_FOUND', /n\.onnx/],
    ['YAML that is none', 'name: [tiny\n', MODEL, 'BAD_MANIFEST', /function\.yaml/],
    [
      'a handler that can not be read',
      'name: tiny\nhandler: handler.js\n',
      { 'handler.js': 'export default ((' },
      'HANDLER_ERROR',
      /Unexpected/,
    ],
    [
      'a handler that throws',
      'name: tiny\nhandler: handler.js\n',
      { 'handler.js': 'throw new Error("no");' },
      'HANDLER_ERROR',
      /can not be loaded: no/,
    ],
  ])('%s is refused and the old version serves', async (_, manifest, files, code, words) => {
    const error = await failureOf(uploadRaw(functionFolder(manifest, files)));
    expect(error).toMatchObject({ code, message: expect.stringMatching(words) });
    expectBland(error.message);
  });
});

/** Uploads a folder as it is, past what the command line checks before. */
async function uploadRaw(folder: string): Promise<void> {
  const { Readable } = await import('node:stream');
  const { create } = await import('tar');
  const archive = Readable.from(create({ cwd: folder, portable: true }, ['.']) as unknown as AsyncIterable<Uint8Array>);
  for await (const step of daemon.client.deploy(archive)) if (step.type === 'done') return;
}

describe('a body of 1 KB a second', () => {
  it('is 408 in the end', { timeout: 40_000 }, async () => {
    await expect.poll(() => slow.statuses, { timeout: 30_000 }).toEqual([408]);
    expect(slow.received).toMatch(/SLOW_REQUEST/);
    slow.socket.destroy();
  });
});
