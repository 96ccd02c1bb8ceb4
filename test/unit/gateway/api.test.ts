// The own API, the OpenFaaS provider API, health, and what describes them all.

import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { asyncCallSchema, problemSchema, psSchema, statusSchema } from '../../../src/api/schemas.ts';
import { GpufaasError } from '../../../src/errors.ts';
import { AUTHORIZED, echoFunction, gatewayWith } from '../../helpers/gateway.ts';

const authorized = { headers: AUTHORIZED } as const;

describe('the own API', () => {
  test('answers in the shapes of its schemas', async () => {
    const { app } = await gatewayWith([echoFunction]);
    expect(statusSchema.parse((await app.inject('/api/v1/status')).json()).functions).toBe(1);
    expect(psSchema.parse((await app.inject('/api/v1/ps')).json()).devices[0]!.id).toBe('cpu:0');
    const problem = (await app.inject('/api/v1/functions/none')).json();
    expect(problemSchema.parse(problem)).toMatchObject({
      type: 'urn:gpufaas:error:function-not-found',
      title: 'Function not found',
      status: 404,
      code: 'FUNCTION_NOT_FOUND',
    });
  });

  test('passes on what is asked', async () => {
    const { app, platform } = await gatewayWith([echoFunction]);
    const post = (path: string, payload?: object) =>
      app.inject({
        method: 'POST',
        url: `/api/v1/${path}`,
        ...authorized,
        ...(payload === undefined ? {} : { payload }),
      });
    expect((await post('functions/echo/load')).statusCode).toBe(200);
    expect((await post('functions/echo/unload', { device: 'cpu:1', model: 'model' })).statusCode).toBe(200);
    expect((await post('functions/echo/pin', { pinned: true })).statusCode).toBe(200);
    expect((await post('functions/echo/rollback', { version: 2 })).json()).toEqual({ name: 'echo', version: 2 });
    expect((await post('devices/emulated:0/plug')).statusCode).toBe(200);
    expect((await post('devices/emulated:9/unplug')).statusCode).toBe(404);
    expect((await post('shutdown', { drainMs: 5 })).statusCode).toBe(202);
    expect((await post('shutdown')).json()).toEqual({ status: 'draining', drainMs: 30_000 });
    expect(platform.asked).toEqual([
      'load echo',
      'unload echo model cpu:1',
      'pin echo true',
      'plug emulated:0',
      'unplug emulated:9',
      'shutdown 5',
      'shutdown 30000',
    ]);
    const removed = await app.inject({ method: 'DELETE', url: '/api/v1/functions/echo', ...authorized });
    expect(removed.json()).toEqual({ name: 'echo', removed: true });
    expect((await app.inject('/api/v1/functions/echo')).statusCode).toBe(404);
  });

  test('lists asynchronous calls, and lets one run again', async () => {
    let runs = 0;
    const handle = () => ({ status: ++runs === 1 ? 500 : 200, headers: {}, body: Buffer.from('x') });
    const { app } = await gatewayWith([{ name: 'f', handle }]);
    const { headers } = await app.inject({ method: 'POST', url: '/async-function/f', payload: 'abc' });
    const id = String(headers['x-call-id']);
    const one = async () =>
      asyncCallSchema.parse((await app.inject({ url: `/api/v1/calls/${id}`, ...authorized })).json());
    await expect.poll(async () => (await one()).state).toBe('failed');
    const list = async (query: string) =>
      asyncCallSchema.array().parse((await app.inject({ url: `/api/v1/calls?${query}`, ...authorized })).json());
    expect(await list('function=f&state=failed')).toMatchObject([{ id, status: 500, requestBytes: 3 }]);
    expect(await list('state=done')).toEqual([]);
    const retry = { method: 'POST', url: `/api/v1/calls/${id}/retry` } as const;
    expect((await app.inject(retry)).statusCode).toBe(401);
    expect((await app.inject({ ...retry, ...authorized })).statusCode).toBe(200);
    await expect.poll(one).toMatchObject({ state: 'done', attempts: 2 });
    expect((await app.inject({ url: '/api/v1/calls?state=odd', ...authorized })).statusCode).toBe(400);
    expect((await app.inject({ url: '/api/v1/calls/none', ...authorized })).statusCode).toBe(404);
    expect((await app.inject('/api/v1/calls')).statusCode).toBe(401);
  });

  test.each([
    ['functions/echo/pin', '{}', 'pinned'],
    ['functions/echo/pin', '{"pinned":"yes"}', 'pinned'],
    ['functions/echo/rollback', '{"version":0}', 'version'],
    ['functions/echo/rollback', '{"version":', 'not valid JSON'],
    ['shutdown', '{"drainMs":-1}', 'drainMs'],
    ['shutdown', '[]', 'body'],
  ])('%s refuses %s and names what is wrong', async (path, payload, word) => {
    const { app, platform } = await gatewayWith([echoFunction]);
    const answer = await app.inject({ method: 'POST', url: `/api/v1/${path}`, payload, ...authorized });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().detail).toContain(word);
    expect(platform.asked).toEqual([]);
  });

  test('refuses a body that is too large for what it asks', async () => {
    const { app } = await gatewayWith([echoFunction]);
    const payload = { pinned: true, more: 'x'.repeat(100_000) };
    const answer = await app.inject({ method: 'POST', url: '/api/v1/functions/echo/pin', payload, ...authorized });
    expect(answer.statusCode).toBe(413);
  });

  test('checks queries', async () => {
    const { app } = await gatewayWith([echoFunction]);
    const ask = async (query: string) =>
      (await app.inject({ url: `/api/v1/invocations${query}`, ...authorized })).statusCode;
    expect(await ask('?limit=5&since=2026-01-01T00:00:00Z&function=echo')).toBe(200);
    expect(await ask('?limit=many')).toBe(400);
    expect(await ask('?limit=100000000')).toBe(400);
    expect(await ask('?since=yesterday')).toBe(400);
  });

  test('finds an invocation by its id', async () => {
    const { app } = await gatewayWith([echoFunction]);
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }];
    const call = await app.inject({ method: 'POST', url: '/function/echo', payload: { inputs } });
    const id = String(call.headers['x-call-id']);
    const found = await app.inject({ url: `/api/v1/invocations/${id}`, ...authorized });
    expect(found.json()).toMatchObject({ id, function: 'echo', cache: 'hit' });
    const none = await app.inject({ url: '/api/v1/invocations/none', ...authorized });
    expect(none.json().code).toBe('CALL_NOT_FOUND');
  });

  test('gives log lines as JSON lines', async () => {
    const { app, platform } = await gatewayWith([echoFunction]);
    const line = { at: 'now', function: 'echo', version: 3, callId: null, stream: 'log', level: 'info', text: 'a\nb' };
    platform.lines = [line, { ...line, text: 'c' }];
    for (const follow of ['false', '1']) {
      const answer = await app.inject({ url: `/api/v1/functions/echo/logs?follow=${follow}&tail=10`, ...authorized });
      expect(answer.headers['content-type']).toBe('application/x-ndjson');
      expect(
        answer.body
          .trim()
          .split('\n')
          .map((each) => JSON.parse(each).text),
      ).toEqual(['a\nb', 'c']);
    }
    const unknown = await app.inject({ url: '/api/v1/functions/none/logs', ...authorized });
    expect(unknown.statusCode).toBe(404);
  });
});

describe('a deployment', () => {
  const deploy = async (payload: Buffer, url = '/api/v1/functions') => {
    const gateway = await gatewayWith([]);
    const answer = await gateway.app.inject({ method: 'POST', url, payload, ...authorized });
    return {
      ...gateway,
      answer,
      lines: () =>
        answer.body
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
    };
  };

  test('streams the package in and its progress out', async () => {
    const { answer, lines, platform } = await deploy(Buffer.alloc(100_000, 1), '/api/v1/functions?note=why');
    expect(answer.headers['content-type']).toBe('application/x-ndjson');
    expect(lines().map((line) => line.type)).toEqual(['step', 'done']);
    expect(lines()[1].result).toMatchObject({ name: 'new', version: 1 });
    expect(platform.deployed).toEqual([{ bytes: 100_000, gzip: false, note: 'why' }]);
  });

  test('knows gzip by its first bytes', async () => {
    const packed = gzipSync(Buffer.alloc(1000));
    const { platform } = await deploy(packed);
    expect(platform.deployed).toEqual([{ bytes: packed.byteLength, gzip: true, note: '' }]);
  });

  test('that fails at once has its own status', async () => {
    const { app, platform } = await gatewayWith([]);
    platform.failure = new GpufaasError('BAD_MANIFEST', 'What is wrong.');
    const answer = await app.inject({ method: 'POST', url: '/api/v1/functions', payload: 'x', ...authorized });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().code).toBe('BAD_MANIFEST');
  });

  test('that fails later says so in its last line', async () => {
    const { answer, lines } = await deploy(Buffer.from('x'), '/api/v1/functions?note=fail%20late');
    expect(answer.statusCode).toBe(200);
    expect(lines().at(-1)).toMatchObject({ type: 'error', error: { code: 'DEPLOY_FAILED', status: 422 } });
  });

  test('larger than allowed is refused', async () => {
    const { app, platform } = await gatewayWith([], { maxUploadBytes: 1000 });
    const payload = Buffer.alloc(2000);
    const answer = await app.inject({ method: 'POST', url: '/api/v1/functions', payload, ...authorized });
    expect(answer.statusCode).toBe(413);
    expect(platform.deployed).toEqual([]);
  });
});

describe('the OpenFaaS provider API', () => {
  test('describes itself and its namespace', async () => {
    const { app } = await gatewayWith([]);
    expect((await app.inject('/system/info')).json()).toMatchObject({
      provider: { provider: 'gpufaas', orchestration: 'gpufaas', version: { release: '1.2.3', sha: '' } },
      version: { release: '1.2.3' },
    });
    expect((await app.inject('/system/namespaces')).json()).toEqual(['openfaas-fn']);
  });

  test('lists functions, with a replica for each device that holds a model', async () => {
    const { app } = await gatewayWith([echoFunction, { ...echoFunction, name: 'cold' }]);
    const list = (await app.inject('/system/functions?namespace=openfaas-fn')).json();
    expect(list).toMatchObject([
      { name: 'echo', namespace: 'openfaas-fn', replicas: 1, availableReplicas: 1, invocationCount: 0 },
      { name: 'cold', replicas: 0 },
    ]);
    expect((await app.inject('/system/functions?namespace=other')).json()).toEqual([]);
    expect((await app.inject('/system/function/echo?namespace=openfaas-fn')).json().name).toBe('echo');
    expect((await app.inject('/system/function/none')).statusCode).toBe(404);
  });

  test('scales by loading and unloading', async () => {
    const { app, platform } = await gatewayWith([echoFunction]);
    const scale = (payload: object) =>
      app.inject({ method: 'POST', url: '/system/scale-function/echo', payload, ...authorized });
    expect((await scale({ serviceName: 'echo', replicas: 1 })).statusCode).toBe(202);
    expect((await scale({ serviceName: 'echo', replicas: 0, namespace: 'openfaas-fn' })).statusCode).toBe(202);
    expect((await scale({ replicas: 'many' })).statusCode).toBe(400);
    expect(platform.asked).toEqual(['load echo', 'unload echo']);
  });

  test('removes a function', async () => {
    const { app, platform } = await gatewayWith([echoFunction]);
    const payload = { functionName: 'echo' };
    const answer = await app.inject({ method: 'DELETE', url: '/system/functions', payload, ...authorized });
    expect(answer.statusCode).toBe(202);
    expect(platform.function('echo')).toBeUndefined();
    const again = await app.inject({ method: 'DELETE', url: '/system/functions', payload, ...authorized });
    expect(again.statusCode).toBe(404);
  });

  test.each(['POST', 'PUT'] as const)('%s of an image says what to do instead', async (method) => {
    const { app } = await gatewayWith([]);
    const payload = { service: 'a', image: 'b' };
    const answer = await app.inject({ method, url: '/system/functions', payload });
    expect(answer.statusCode).toBe(501);
    expect(answer.json().suggestions[0]).toContain('gpufaas deploy');
  });

  test('gives logs as its command line reads them', async () => {
    const { app, platform } = await gatewayWith([echoFunction]);
    platform.lines = [
      {
        at: '2026-01-01T00:00:00Z',
        function: 'echo',
        version: 3,
        callId: 'c',
        stream: 'log',
        level: 'info',
        text: 'hi',
      },
    ];
    const url = '/system/logs?name=echo&follow=false&tail=-1&since=2026-01-01T00:00:00Z';
    const answer = await app.inject({ url, ...authorized });
    expect(JSON.parse(answer.body)).toEqual({
      name: 'echo',
      namespace: 'openfaas-fn',
      instance: 'echo-3',
      timestamp: '2026-01-01T00:00:00Z',
      text: 'hi',
    });
    expect((await app.inject({ url: '/system/logs', ...authorized })).statusCode).toBe(400);
  });
});

describe('addresses', () => {
  test('health follows the daemon', async () => {
    const { app, platform } = await gatewayWith([]);
    expect((await app.inject('/readyz')).statusCode).toBe(200);
    platform.isReady = false;
    expect((await app.inject('/readyz')).statusCode).toBe(503);
    expect((await app.inject('/healthz')).statusCode).toBe(200);
    platform.isLive = false;
    expect((await app.inject('/healthz')).statusCode).toBe(503);
  });

  test('nothing there is 404, a wrong method 405 with those that are possible', async () => {
    const { app } = await gatewayWith([]);
    for (const url of ['/', '/nothing', '/api/v1/nothing', '/api/v2/status', '/functions/x', '/%2e%2e/etc/passwd']) {
      const answer = await app.inject(url);
      expect(answer.statusCode).toBe(404);
      expect(answer.json().code).toBe('ROUTE_NOT_FOUND');
    }
    const wrong = await app.inject({ method: 'DELETE', url: '/api/v1/status' });
    expect(wrong.statusCode).toBe(405);
    expect(wrong.headers['allow']).toBe('GET, HEAD');
    const protocol = await app.inject({ method: 'GET', url: '/v2/models/echo/infer' });
    expect(protocol.statusCode).toBe(405);
    expect(Object.keys(protocol.json())).toEqual(['error']);
    expect((await app.inject('/v2/nothing')).json().error).toBeDefined();
  });

  test('the description is valid in itself and describes only what there is', async () => {
    const { app } = await gatewayWith([]);
    const description = (await app.inject('/openapi.json')).json();
    expect(description.openapi).toBe('3.1.0');
    const references = [...JSON.stringify(description).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(
      ([, name]) => name!,
    );
    const known = new Set(Object.keys(description.components.schemas));
    expect(references.filter((name) => !known.has(name))).toEqual([]);
    const described = new Set<string>();
    for (const [path, operations] of Object.entries<Record<string, unknown>>(description.paths)) {
      for (const method of Object.keys(operations)) described.add(`${method.toUpperCase()} ${path}`);
    }
    const missing = [...described].filter((operation) => {
      const [method, path] = operation.split(' ') as [string, string];
      const url = path === '/function/{name}/{path}' ? '/function/:name/*' : path.replaceAll(/\{(\w+)\}/g, ':$1');
      return !app.hasRoute({ method: method as 'GET', url });
    });
    expect(missing).toEqual([]);
  });
});
