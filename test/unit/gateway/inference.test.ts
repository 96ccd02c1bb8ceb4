// /v2, the Open Inference Protocol, over a fake daemon: shapes of every answer, both body formats, compression, errors.

import { deflateRawSync, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import type { FakeFunction } from '../../helpers/fake-platform.ts';
import { binaryBody, echoFunction, floats, gatewayWith, spec } from '../../helpers/gateway.ts';

const INFER = '/v2/models/echo/infer';
const request = (more: object = {}): object => ({
  inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }],
  ...more,
});
const binaryInput = { name: 'x', datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } };
const pair: FakeFunction = {
  name: 'pair',
  models: ['left', 'right'].map((name) => ({
    name,
    inputs: [spec('x', 'FP32', [1])],
    outputs: [spec('y', 'FP32', [1]), spec('z', 'FP32', [1])],
  })),
};

describe('metadata', () => {
  test('of the server names what is whole', async () => {
    const { app } = await gatewayWith([]);
    expect((await app.inject('/v2')).json()).toEqual({
      name: 'gpufaas',
      version: '1.2.3',
      extensions: ['binary_tensor_data', 'statistics', 'model_repository', 'model_configuration'],
    });
  });

  test('of a model gives its serving version and its tensors', async () => {
    const { app } = await gatewayWith([echoFunction]);
    for (const url of ['/v2/models/echo', '/v2/models/echo/versions/3', '/v2/models/echo/']) {
      expect((await app.inject(url)).json()).toEqual({
        name: 'echo',
        versions: ['3'],
        platform: 'onnxruntime_onnx',
        inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }],
        outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 4] }],
      });
    }
  });

  test('of a function with several models goes by function and model', async () => {
    const { app } = await gatewayWith([pair]);
    expect((await app.inject('/v2/models/pair.right')).json().name).toBe('pair.right');
    const alone = await app.inject('/v2/models/pair');
    expect(alone.statusCode).toBe(404);
    expect(alone.json().error).toContain('pair.left, pair.right');
  });

  test.each(['/v2/models/none', '/v2/models/echo/versions/2', '/v2/models/echo/versions/x', '/v2/models/echo.other'])(
    '%s is not found, in the words of the protocol',
    async (url) => {
      const { app } = await gatewayWith([echoFunction]);
      for (const path of [url, `${url}/ready`, `${url}/config`, `${url}/stats`]) {
        const answer = await app.inject(path);
        expect(answer.statusCode).toBe(404);
        expect(Object.keys(answer.json())).toEqual(['error']);
      }
    },
  );

  test('of a batched model lets load testers leave the batch axis out', async () => {
    const { app } = await gatewayWith([echoFunction, pair]);
    const batched = (await app.inject('/v2/models/echo/config')).json();
    expect(batched.max_batch_size).toBeGreaterThan(0);
    expect(batched.input).toEqual([{ name: 'x', data_type: 'TYPE_FP32', dims: [4] }]);
    const fixed = (await app.inject('/v2/models/pair.left/config')).json();
    expect(fixed.max_batch_size).toBe(0);
    expect(fixed.input[0].dims).toEqual([1]);
    expect(fixed.model_transaction_policy).toEqual({ decoupled: false });
  });
});

describe('health', () => {
  test('follows the daemon', async () => {
    const { app, platform } = await gatewayWith([echoFunction]);
    const codes = async () =>
      Promise.all(
        ['/v2/health/live', '/v2/health/ready', '/v2/models/echo/ready', '/v2/models/echo/versions/3/ready'].map(
          async (url) => (await app.inject(url)).statusCode,
        ),
      );
    expect(await codes()).toEqual([200, 200, 200, 200]);
    platform.isReady = false;
    expect(await codes()).toEqual([200, 503, 503, 503]);
    platform.isLive = false;
    expect((await codes())[0]).toBe(503);
  });

  test('a quarantined model is not ready', async () => {
    const model = { ...echoFunction.models![0]!, quarantined: true };
    const { app } = await gatewayWith([{ ...echoFunction, models: [model] }]);
    expect((await app.inject('/v2/models/echo/ready')).statusCode).toBe(503);
    const index = await app.inject({ method: 'POST', url: '/v2/repository/index' });
    expect(index.json()[0]).toMatchObject({ name: 'echo', version: '3', state: 'UNAVAILABLE' });
    const ready = await app.inject({ method: 'POST', url: '/v2/repository/index', payload: { ready: true } });
    expect(ready.json()).toEqual([]);
  });
});

describe('infer', () => {
  test('takes JSON and gives JSON, with the id of the request and where the time went', async () => {
    const { app, platform } = await gatewayWith([echoFunction]);
    const answer = await app.inject({ method: 'POST', url: INFER, payload: request({ id: 'mine' }) });
    expect(answer.json()).toEqual({
      model_name: 'echo',
      model_version: '3',
      id: 'mine',
      outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }],
    });
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'x-gpufaas-cache': 'hit',
      'x-gpufaas-device': 'cpu:0',
    });
    expect(answer.headers['server-timing']).toMatch(/^queue;dur=0\.500, load;dur=0\.000, run;dur=2\.000/);
    expect(platform.inferences[0]).toMatchObject({ function: 'echo', model: 'model', surface: 'infer' });
    expect(answer.headers['x-call-id']).toBe(platform.inferences[0]!.callId);
  });

  test('takes and gives binary tensors', async () => {
    const { app } = await gatewayWith([echoFunction]);
    const body = binaryBody({ inputs: [binaryInput], parameters: { binary_data_output: true } }, floats(1, 2, 3, 4));
    const answer = await app.inject({ method: 'POST', url: '/v2/models/echo/versions/3/infer', ...body });
    expect(answer.headers['content-type']).toBe('application/octet-stream');
    const length = Number(answer.headers['inference-header-content-length']);
    const head = JSON.parse(answer.rawPayload.subarray(0, length).toString());
    expect(head.outputs).toEqual([
      { name: 'y', datatype: 'FP32', shape: [1, 4], parameters: { binary_data_size: 16 } },
    ]);
    expect(new Uint8Array(answer.rawPayload.subarray(length))).toEqual(floats(1, 2, 3, 4));
  });

  test('gives the outputs asked for and no other', async () => {
    const { app } = await gatewayWith([pair]);
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1], data: [5] }];
    const payload = { inputs, outputs: [{ name: 'z' }] };
    const answer = await app.inject({ method: 'POST', url: '/v2/models/pair.left/infer', payload });
    expect(answer.json().outputs.map((output: { name: string }) => output.name)).toEqual(['z']);
  });

  test('large JSON goes through another thread both ways', async () => {
    const wide: FakeFunction = {
      name: 'wide',
      models: [{ name: 'm', inputs: [spec('x', 'FP32', [-1])], outputs: [spec('y', 'FP32', [-1])] }],
    };
    const { app } = await gatewayWith([wide]);
    const data = Array.from({ length: 40_000 }, (_, index) => index / 8);
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [data.length], data }];
    const answer = await app.inject({ method: 'POST', url: '/v2/models/wide/infer', payload: { inputs } });
    expect(answer.statusCode).toBe(200);
    expect(answer.json().outputs[0].data).toEqual(data);
  });

  test.each<[string, object, number]>([
    ['a wrong tensor', { inputs: [{ name: 'q', datatype: 'FP32', shape: [1], data: [1] }] }, 400],
    ['no inputs', {}, 400],
  ])('%s is refused before the daemon runs anything, and recorded', async (_what, payload, status) => {
    const { app, platform } = await gatewayWith([echoFunction]);
    const answer = await app.inject({ method: 'POST', url: INFER, payload });
    expect(answer.statusCode).toBe(status);
    expect(Object.keys(answer.json())).toEqual(['error']);
    expect(answer.headers['x-call-id']).toBeDefined();
    expect(platform.inferences).toEqual([]);
    expect(platform.refusals).toMatchObject([{ function: 'echo', version: 3, surface: 'infer', status }]);
  });

  test('what the daemon refuses keeps its status, and is not recorded twice', async () => {
    const { app, platform } = await gatewayWith([echoFunction]);
    platform.failure = new GpufaasError('QUEUE_FULL', 'The queue is full.', { retryAfterMs: 1200 });
    const answer = await app.inject({ method: 'POST', url: INFER, payload: request() });
    expect(answer.statusCode).toBe(429);
    expect(answer.headers['retry-after']).toBe('2');
    expect(answer.json()).toEqual({ error: 'The queue is full.' });
    expect(platform.refusals).toEqual([]);
  });

  test('an error that is none of ours says nothing of the inside', async () => {
    const broken = { ...echoFunction.models![0]!, compute: () => Promise.reject(new Error('/home/me/secret.ts:3')) };
    const { app } = await gatewayWith([{ ...echoFunction, models: [broken] }]);
    const answer = await app.inject({ method: 'POST', url: INFER, payload: request() });
    expect(answer.statusCode).toBe(500);
    expect(answer.body).not.toContain('secret');
  });

  test('an unknown model or version runs nothing', async () => {
    const { app, platform } = await gatewayWith([echoFunction]);
    for (const url of ['/v2/models/none/infer', '/v2/models/echo/versions/9/infer']) {
      expect((await app.inject({ method: 'POST', url, payload: request() })).statusCode).toBe(404);
    }
    expect(platform.inferences).toEqual([]);
  });
});

describe('compression', () => {
  const pack = { gzip: gzipSync, deflate: deflateSync, raw: deflateRawSync };

  test.each(['gzip', 'deflate', 'raw'] as const)(
    'a request may be packed (%s), binary tail included',
    async (coding) => {
      const { app, platform } = await gatewayWith([echoFunction]);
      const { payload, headers } = binaryBody({ inputs: [binaryInput] }, floats(1, 2, 3, 4));
      const answer = await app.inject({
        method: 'POST',
        url: INFER,
        payload: pack[coding](payload),
        headers: { ...headers, 'content-encoding': coding === 'gzip' ? 'gzip' : 'deflate' },
      });
      expect(answer.statusCode).toBe(200);
      expect(platform.inferences[0]!.inputs[0]!.data).toEqual(Buffer.from(floats(1, 2, 3, 4)));
    },
  );

  test.each(['gzip', 'deflate'] as const)('an answer is packed for whoever asks (%s)', async (coding) => {
    const { app } = await gatewayWith([echoFunction]);
    const headers = { 'accept-encoding': coding };
    const answer = await app.inject({ method: 'POST', url: INFER, payload: request(), headers });
    expect(answer.headers['content-encoding']).toBe(coding);
    const plain = (coding === 'gzip' ? gunzipSync : inflateSync)(answer.rawPayload);
    expect(JSON.parse(plain.toString()).outputs[0].data).toEqual([1, 2, 3, 4]);
  });

  test("a binary answer is not packed for a library's default header, but for a wish", async () => {
    const { app } = await gatewayWith([echoFunction]);
    const { payload, headers } = binaryBody({ ...request(), parameters: { binary_data_output: true } });
    const ask = async (accept: string) =>
      (
        await app.inject({
          method: 'POST',
          url: INFER,
          payload,
          headers: { ...headers, 'accept-encoding': accept },
        })
      ).headers['content-encoding'];
    expect(await ask('gzip, deflate, br')).toBeUndefined();
    expect(await ask('deflate')).toBe('deflate');
    expect(await ask('gzip;q=0')).toBeUndefined();
    expect(await ask('br')).toBeUndefined();
  });

  test('what unpacks to more than the limit is too large, however small it came', async () => {
    const { app, platform } = await gatewayWith([{ ...echoFunction, maxBodyBytes: 100_000 }]);
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    expect(bomb.byteLength).toBeLessThan(100_000);
    const headers = { 'content-encoding': 'gzip' };
    const answer = await app.inject({ method: 'POST', url: INFER, payload: bomb, headers });
    expect(answer.statusCode).toBe(413);
    expect(platform.inferences).toEqual([]);
  });

  test('damaged data is a bad request, an unknown coding unsupported', async () => {
    const { app } = await gatewayWith([echoFunction]);
    const send = async (coding: string, payload: Buffer) =>
      (await app.inject({ method: 'POST', url: INFER, payload, headers: { 'content-encoding': coding } })).statusCode;
    expect(await send('gzip', Buffer.from('not gzip'))).toBe(400);
    expect(await send('gzip', gzipSync(JSON.stringify(request())).subarray(0, 30))).toBe(400);
    expect(await send('br', Buffer.from('x'))).toBe(415);
  });
});

describe('statistics', () => {
  test('add up what ran and what failed', async () => {
    const { app, platform } = await gatewayWith([echoFunction, pair]);
    for (let i = 0; i < 3; i++) await app.inject({ method: 'POST', url: INFER, payload: request() });
    platform.emit({ type: 'invocation', record: { ...platform.records[0]!, status: 429, runs: [] } });
    const [row] = (await app.inject('/v2/models/echo/versions/3/stats')).json().model_stats;
    expect(row).toMatchObject({ name: 'echo', version: '3', inference_count: 3, execution_count: 3 });
    expect(row.inference_stats).toMatchObject({
      success: { count: 3, ns: 7_500_000 },
      fail: { count: 1, ns: 4_000_000 },
      queue: { count: 3, ns: 1_500_000 },
      compute_infer: { count: 3, ns: 6_000_000 },
      cache_hit: { count: 0, ns: 0 },
    });
    expect(row.last_inference).toBeGreaterThan(1.7e12);
    const all = (await app.inject('/v2/models/stats')).json().model_stats;
    expect(all.map((each: { name: string }) => each.name)).toEqual(['echo', 'pair.left', 'pair.right']);
  });
});

test('statistics begin anew with another version, also after a rollback', async () => {
  const { app, platform } = await gatewayWith([echoFunction]);
  const about = { type: 'function', at: 'now', function: 'echo' } as const;
  const count = async () => (await app.inject('/v2/models/echo/stats')).json().model_stats[0].inference_count;
  platform.emit({ ...about, version: 4, change: 'deployed' });
  await app.inject({ method: 'POST', url: INFER, payload: request() });
  expect(await count()).toBe(0);
  platform.emit({ ...about, version: 3, change: 'rolled-back' });
  await app.inject({ method: 'POST', url: INFER, payload: request() });
  expect(await count()).toBe(1);
});

describe('repository', () => {
  test('lists what can run', async () => {
    const { app } = await gatewayWith([echoFunction, pair]);
    const index = await app.inject({ method: 'POST', url: '/v2/repository/index', payload: {} });
    expect(index.json()).toContainEqual({ name: 'pair.left', version: '1', state: 'READY', reason: '' });
  });

  test('loads and unloads without a token, one model at a time', async () => {
    const { app, platform } = await gatewayWith([pair]);
    for (const verb of ['load', 'unload']) {
      const url = `/v2/repository/models/pair.right/${verb}`;
      expect((await app.inject({ method: 'POST', url })).statusCode).toBe(200);
    }
    expect(platform.asked).toEqual(['load pair right', 'unload pair right']);
  });

  test.each([{ config: '{}' }, { 'file:1/model.onnx': 'AAAA' }])(
    'refuses to take settings or files: %j',
    async (parameters) => {
      const { app, platform } = await gatewayWith([pair]);
      const url = '/v2/repository/models/pair.left/load';
      const answer = await app.inject({ method: 'POST', url, payload: { parameters } });
      expect(answer.statusCode).toBe(400);
      expect(platform.asked).toEqual([]);
    },
  );

  test('an unknown model is not found', async () => {
    const { app } = await gatewayWith([pair]);
    expect((await app.inject({ method: 'POST', url: '/v2/repository/models/no/load' })).statusCode).toBe(404);
  });
});
