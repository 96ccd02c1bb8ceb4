// /function/{name} over a fake daemon: what a handler sees, what its caller gets, and what is refused on the way.

import { describe, expect, test } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import type { FakeFunction, Handle } from '../../helpers/fake-platform.ts';
import { AUTHORIZED, binaryBody, echoFunction, floats, gatewayWith, spec } from '../../helpers/gateway.ts';

const hello = (handle: Handle, more: Partial<FakeFunction> = {}): FakeFunction => ({ name: 'hello', handle, ...more });
const text: Handle = (call) => ({ status: 200, headers: { 'content-type': 'text/plain' }, body: call.body });

describe('a function with a handler', () => {
  test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'])('gets %s', async (method) => {
    const { app, platform } = await gatewayWith([hello(text)]);
    const answer = await app.inject({ method: method as 'GET', url: '/function/hello' });
    expect(answer.statusCode).toBe(200);
    expect(platform.calls[0]!.method).toBe(method);
  });

  test.each([
    ['/function/hello', '/'],
    ['/function/hello/', '/'],
    ['/function/hello?a=1', '/?a=1'],
    ['/function/hello/a/b%20c?d=e/f', '/a/b%20c?d=e/f'],
    ['/function/hello.openfaas-fn/a', '/a'],
    ['/function/hello.other?q', '/?q'],
  ])('called as %s sees the path %s', async (url, path) => {
    const { app, platform } = await gatewayWith([hello(text)]);
    expect((await app.inject({ method: 'POST', url })).statusCode).toBe(200);
    expect(platform.calls[0]).toMatchObject({ function: 'hello', path });
  });

  test('gets the body as it came, whatever its type says', async () => {
    const { app } = await gatewayWith([hello(text)]);
    for (const type of ['application/json', 'application/x-www-form-urlencoded', 'no/such thing', '']) {
      const headers = type === '' ? {} : { 'content-type': type };
      const answer = await app.inject({
        method: 'POST',
        url: '/function/hello',
        payload: Buffer.from('{"a":'),
        headers,
      });
      expect(answer.body).toBe('{"a":');
    }
  });

  test('sees the headers of the caller, but not our token', async () => {
    const { app, platform } = await gatewayWith([hello(text)]);
    const headers = { 'x-mine': 'a', ...AUTHORIZED };
    const answer = await app.inject({ method: 'POST', url: '/function/hello', headers });
    expect(platform.calls[0]!.headers).toMatchObject({ 'x-mine': 'a', 'x-call-id': answer.headers['x-call-id'] });
    expect(platform.calls[0]!.headers).not.toHaveProperty('authorization');
    await app.inject({ method: 'POST', url: '/function/hello', headers: { authorization: 'Bearer theirs' } });
    expect(platform.calls[1]!.headers['authorization']).toBe('Bearer theirs');
  });

  test('answers with its status and headers, and with where the time went', async () => {
    const before = Date.now();
    const { app } = await gatewayWith([
      hello(() => ({ status: 201, headers: { 'X-Own': 'b', 'X-Call-Id': 'forged' }, body: Buffer.from('made') })),
    ]);
    const answer = await app.inject({ method: 'POST', url: '/function/hello' });
    expect(answer.statusCode).toBe(201);
    expect(answer.body).toBe('made');
    expect(answer.headers).toMatchObject({ 'x-own': 'b', 'x-gpufaas-cache': 'hit', 'content-length': '4' });
    expect(answer.headers['x-call-id']).toMatch(/^[0-9a-f-]{36}$/);
    const startMs = Number(BigInt(String(answer.headers['x-start-time'])) / 1_000_000n);
    expect(startMs).toBeGreaterThanOrEqual(before);
    expect(startMs).toBeLessThanOrEqual(Date.now());
    expect(Number(answer.headers['x-duration-seconds'])).toBeGreaterThan(0);
    expect(answer.headers['server-timing']).toMatch(/queue;dur=.+load;dur=.+run;dur=.+handler;dur=.+total;dur=/);
  });

  test('may stream its answer', async () => {
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a');
      yield Buffer.from('b');
    }
    const { app } = await gatewayWith([hello(() => ({ status: 200, headers: {}, body: pieces() }))]);
    const answer = await app.inject({ method: 'POST', url: '/function/hello' });
    expect(answer.body).toBe('ab');
    expect(answer.headers['content-length']).toBeUndefined();
  });

  test('may answer without a body', async () => {
    const { app } = await gatewayWith([hello(() => ({ status: 204, headers: {}, body: new Uint8Array() }))]);
    const answer = await app.inject({ method: 'POST', url: '/function/hello' });
    expect(answer.statusCode).toBe(204);
    expect(answer.headers['content-length']).toBeUndefined();
  });

  test.each<[string, Awaited<ReturnType<Handle>>]>([
    ['an impossible status', { status: 42, headers: {}, body: new Uint8Array() }],
    ['a header with a line break', { status: 200, headers: { a: 'b\r\nc: d' }, body: new Uint8Array() }],
    ['a header without a name', { status: 200, headers: { '': 'b' }, body: new Uint8Array() }],
  ])('that answers with %s made the error', async (_what, outcome) => {
    const { app } = await gatewayWith([hello(() => outcome)]);
    const answer = await app.inject({ method: 'POST', url: '/function/hello' });
    expect(answer.statusCode).toBe(500);
    expect(answer.json().code).toBe('HANDLER_ERROR');
  });

  test.each([
    ['HANDLER_ERROR', 500],
    ['HANDLER_DIED', 502],
    ['TIMEOUT', 504],
    ['QUARANTINED', 503],
    ['DRAINING', 503],
    ['DOES_NOT_FIT', 507],
  ] as const)('that ends in %s is answered with %d and a problem', async (code, status) => {
    const { app, platform } = await gatewayWith([hello(text)]);
    platform.failure = new GpufaasError(code, 'What happened.', { suggestions: ['What to do.'] });
    const answer = await app.inject({ method: 'POST', url: '/function/hello' });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(answer.headers['x-call-id']).toBeDefined();
    expect(answer.json()).toMatchObject({ status, code, detail: 'What happened.', suggestions: ['What to do.'] });
  });

  test('takes no more than its limit', async () => {
    const { app, platform } = await gatewayWith([hello(text, { maxBodyBytes: 10 })]);
    const send = (payload: string) => app.inject({ method: 'POST', url: '/function/hello', payload });
    expect((await send('0123456789')).statusCode).toBe(200);
    const answer = await send('0123456789a');
    expect(answer.statusCode).toBe(413);
    expect(answer.json().code).toBe('BODY_TOO_LARGE');
    expect(platform.calls).toHaveLength(1);
    expect(platform.refusals).toMatchObject([{ status: 413, errorCode: 'BODY_TOO_LARGE' }]);
  });
});

describe('a function without a handler', () => {
  test('takes and gives Open Inference bodies, JSON and binary', async () => {
    const { app } = await gatewayWith([echoFunction]);
    const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }];
    const json = await app.inject({ method: 'POST', url: '/function/echo', payload: { inputs } });
    expect(json.json().outputs[0].data).toEqual([1, 2, 3, 4]);
    const parameters = { binary_data_size: 16 };
    const body = binaryBody(
      {
        inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], parameters }],
        parameters: { binary_data_output: true },
      },
      floats(1, 2, 3, 4),
    );
    const binary = await app.inject({ method: 'POST', url: '/function/echo', ...body });
    const length = Number(binary.headers['inference-header-content-length']);
    expect(new Uint8Array(binary.rawPayload.subarray(length))).toEqual(floats(1, 2, 3, 4));
  });

  test('says what it expected, as a problem and in the words of the protocol', async () => {
    const { app } = await gatewayWith([echoFunction]);
    const answer = await app.inject({ method: 'GET', url: '/function/echo' });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'BAD_REQUEST', error: expect.stringContaining('empty') });
  });

  test('with several models takes the one in the path', async () => {
    const models = ['a', 'b'].map((name) => ({
      name,
      inputs: [spec('x', 'INT8', [1])],
      outputs: [spec('y', 'INT8', [1])],
    }));
    const { app, platform } = await gatewayWith([{ name: 'many', models }]);
    const payload = { inputs: [{ name: 'x', datatype: 'INT8', shape: [1], data: [1] }] };
    const send = (url: string) => app.inject({ method: 'POST', url, payload });
    expect((await send('/function/many/b')).statusCode).toBe(200);
    expect(platform.inferences[0]!.model).toBe('b');
    expect((await send('/function/many')).json().error).toContain('/function/many/a, /function/many/b');
    expect((await send('/function/many/c')).statusCode).toBe(404);
  });
});

describe('names', () => {
  test.each([
    'none',
    'Hello',
    'hello.',
    'hello.a.b',
    'h%00llo',
    '..%2fhello',
    '..%2f..%2fetc%2fpasswd',
    'h%C3%A9llo',
    '%F0%9F%98%80',
    'hello%20',
    '__proto__',
    'constructor',
    'n'.repeat(1000),
    'n'.repeat(10_000),
  ])('%s is not found, and not repeated at length', async (name) => {
    const { app, platform } = await gatewayWith([hello(text)]);
    const answer = await app.inject({ method: 'POST', url: `/function/${name}` });
    expect(answer.statusCode).toBe(404);
    expect(answer.body.length).toBeLessThan(800);
    expect(platform.calls).toEqual([]);
    const asynchronous = await app.inject({ method: 'POST', url: `/async-function/${name}` });
    expect(asynchronous.statusCode).toBe(404);
  });

  test('a near miss is suggested', async () => {
    const { app } = await gatewayWith([hello(text)]);
    const answer = await app.inject({ method: 'POST', url: '/function/helo' });
    expect(answer.json().suggestions[0]).toBe('Did you mean hello?');
  });

  test('a broken escape is a bad request', async () => {
    const { app } = await gatewayWith([hello(text)]);
    expect((await app.inject('/function/%zz')).statusCode).toBe(400);
  });
});
