import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tensor, testFunction, type TestedFunction, type TestOptions } from '../../../src/testing.ts';
import { identityModel, tinyModel } from '../../helpers/models.ts';

const HANDLER = `import { defineHandler, tensor } from 'gpufaas';
export default defineHandler<'tiny'>(async (request, { models, environment, log }) => {
  const row = request.json<number[]>();
  const { output } = await models.tiny.run<'output'>({ input: tensor('FP32', [1, 4], row) });
  log.info('answered', { mode: environment['MODE'], key: environment['api-key'] });
  return { scores: output.data };
});
`;

function folder(files: Readonly<Record<string, string | Uint8Array>>): string {
  const path = mkdtempSync(join(tmpdir(), 'gpufaas-testing-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

async function start(path: string | URL, options?: TestOptions): Promise<TestedFunction> {
  const fn = await testFunction(path, options);
  onTestFinished(() => fn.close());
  return fn;
}

const tiny = tinyModel();
const FILES = {
  'function.yaml':
    'name: scorer\nhandler: handler.ts\nmodels: { tiny: { path: model/tiny.onnx } }\nenvironment: { MODE: plain }\n',
  'handler.ts': HANDLER,
  'model/tiny.onnx': tiny.bytes,
};

describe('a function under test', () => {
  it('is called with its real model, as deployed', async () => {
    const fn = await start(folder(FILES));
    const answer = await fn.call({ json: [1, 2, 3, 4] });
    expect(answer.status).toBe(200);
    const expected = tiny.answer([1, 2, 3, 4]);
    answer.json<{ scores: number[] }>().scores.forEach((score, i) => expect(score).toBeCloseTo(expected[i]!, 5));
    expect(fn.logs).toContainEqual({ level: 'info', text: 'answered {"mode":"plain"}' });
    expect((await fn.call('no JSON')).status).toBe(400);
  });

  it('is called with a fake, secrets and an environment of the test', async () => {
    const path = folder({
      ...FILES,
      'function.yaml': `${FILES['function.yaml']}secrets: [api-key]\n`,
      'model/tiny.onnx': '',
    });
    const fn = await start(pathToFileURL(join(path, 'some.test.ts')), {
      models: {
        tiny: ({ input }) => ({
          output: tensor(
            [1, 4],
            input!.data.map((value) => value * 2),
          ),
        }),
      },
      secrets: { 'api-key': 'k' },
      environment: { MODE: 'test' },
    });
    expect((await fn.call({ json: [1, 2, 3, 4] })).text()).toBe('{"scores":[2,4,6,8]}');
    expect(fn.logs.at(-1)?.text).toBe('answered {"mode":"test","key":"k"}');
  });

  it('runs a model without a handler, in every datatype', async () => {
    const fn = await start(
      folder({
        'function.yaml': 'name: same\nmodels: { m: { path: m.onnx } }\n',
        'm.onnx': identityModel(['FP32', 'FP16', 'INT64', 'BOOL', 'BYTES', 'UINT8']),
      }),
    );
    const outputs = await fn.run('m', {
      in_fp32: tensor('FP32', [1, 2], [1.5, -2]),
      in_fp16: tensor('FP16', [1, 2], [0.1, 65504]),
      in_int64: tensor('INT64', [1, 2], [1, -(2n ** 60n)]),
      in_bool: tensor('BOOL', [1, 2], [true, false]),
      in_bytes: tensor('BYTES', [1, 2], ['héllo', '']),
      in_uint8: tensor('UINT8', [1, 2], [0, 255]),
    });
    expect(outputs['out_fp32']!.data).toEqual(Float32Array.of(1.5, -2));
    expect(outputs['out_fp16']!.data).toEqual(Float32Array.of(0.0999755859375, 65504));
    expect(outputs['out_int64']!.as('INT64')).toEqual(BigInt64Array.of(1n, -(2n ** 60n)));
    expect(outputs['out_bool']!.as('BOOL')).toEqual(Uint8Array.of(1, 0));
    expect(outputs['out_bytes']!.as('BYTES')).toEqual(['héllo', '']);
    expect(outputs['out_uint8']!.as('UINT8')).toEqual(Uint8Array.of(0, 255));
    expect(() => outputs['out_uint8']!.as('FP32')).toThrow(/is UINT8, not FP32/);
    await expect(fn.call()).rejects.toMatchObject({ code: 'USAGE' });
    await expect(fn.run('m', { in_fp32: tensor('FP32', [1, 2], [1, 2]) })).rejects.toMatchObject({
      code: 'BAD_TENSOR',
    });
  });

  it('has the pieces of a streamed answer', async () => {
    const fn = await start(
      folder({
        'function.yaml': 'name: s\nhandler: h.ts\n',
        'h.ts': `export default async function* () { yield 'a'; await new Promise((r) => setTimeout(r, 50)); yield 'b'; }`,
      }),
    );
    const answer = await fn.call();
    expect(answer.pieces.map((piece) => Buffer.from(piece).toString())).toEqual(['a', 'b']);
  });

  it.each<[string, Record<string, string | Uint8Array>, TestOptions, string, RegExp]>([
    ['no manifest', {}, {}, 'FILE_NOT_FOUND', /no function\.yaml/],
    ['a wrong manifest', { 'function.yaml': 'nam: x' }, {}, 'BAD_MANIFEST', /nam/],
    ['a fake too many', FILES, { models: { big: () => ({}) } }, 'USAGE', /fakes the model "big"/],
    [
      'a secret too few',
      { 'function.yaml': 'name: a\nhandler: h.ts\nsecrets: [key]\n', 'h.ts': '' },
      {},
      'USAGE',
      /secret key/,
    ],
    [
      'a broken handler',
      { 'function.yaml': 'name: a\nhandler: h.ts\n', 'h.ts': 'export default (' },
      {},
      'HANDLER_ERROR',
      /can not be loaded/,
    ],
  ])('with %s says so', async (_, files, options, code, message) => {
    await expect(testFunction(folder(files), options)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});
