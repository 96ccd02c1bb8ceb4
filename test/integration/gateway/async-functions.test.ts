// /async-function on a real socket: taken at once, polled, cancelled, called back.

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { FakeFunction, Handle } from '../../helpers/fake-platform.ts';
import { echoFunction, gatewayWith } from '../../helpers/gateway.ts';

const echo: Handle = (call) => ({ status: 201, headers: { 'content-type': 'text/plain' }, body: call.body });

async function listen(functions: readonly FakeFunction[]) {
  const gateway = await gatewayWith(functions);
  const url = await gateway.app.listen({ host: '127.0.0.1', port: 0 });
  return { ...gateway, url };
}

async function submit(url: string, name: string, init: RequestInit = {}) {
  const answer = await fetch(`${url}/async-function/${name}`, { method: 'POST', ...init });
  const id = answer.headers.get('x-call-id') ?? '';
  await answer.body?.cancel();
  return { status: answer.status, id, poll: () => fetch(`${url}/async-function/${id}`) };
}

test('a call is taken at once, is pending while it runs, and then has its result', async () => {
  const finish = Promise.withResolvers<void>();
  const handle: Handle = async (call, signal) => {
    await finish.promise;
    return echo(call, signal);
  };
  const { url, platform } = await listen([{ name: 'f', handle }]);
  const call = await submit(url, 'f/sub?a=1', { body: 'hello' });
  expect(call.status).toBe(202);
  expect(call.id).toMatch(/^[0-9a-f-]{36}$/);
  expect((await call.poll()).status).toBe(202);
  finish.resolve();
  await expect.poll(async () => (await call.poll()).status).toBe(201);
  const result = await call.poll();
  expect(await result.text()).toBe('hello');
  expect(result.headers.get('content-type')).toContain('text/plain');
  expect(result.headers.get('x-gpufaas-cache')).toBe('hit');
  expect(result.headers.get('x-start-time')).toMatch(/^\d{13}000000$/);
  expect(Number(result.headers.get('x-duration-seconds'))).toBeGreaterThan(0);
  expect(platform.calls[0]).toMatchObject({ callId: call.id, surface: 'async', path: '/sub?a=1' });
});

test('a function without a handler gives its tensors later', async () => {
  const { url } = await listen([echoFunction]);
  const body = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }] });
  const call = await submit(url, 'echo', { body });
  await expect.poll(async () => (await call.poll()).status).toBe(200);
  expect(await (await call.poll()).json()).toMatchObject({ outputs: [{ data: [1, 2, 3, 4] }] });
  const wrong = await submit(url, 'echo', { body: '{}' });
  await expect.poll(async () => (await wrong.poll()).status).toBe(400);
});

test('an unknown function is not found, nor is an unknown call', async () => {
  const { url } = await listen([]);
  expect((await submit(url, 'none')).status).toBe(404);
  expect((await fetch(`${url}/async-function/${crypto.randomUUID()}`)).status).toBe(404);
  expect((await fetch(`${url}/async-function/none`, { method: 'DELETE' })).status).toBe(404);
});

test('a call that is cancelled stops', async () => {
  const seen = Promise.withResolvers<AbortSignal>();
  const handle: Handle = (_call, signal) => {
    seen.resolve(signal);
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('gone'))));
  };
  const { url } = await listen([{ name: 'f', handle }]);
  const call = await submit(url, 'f');
  const signal = await seen.promise;
  const cancelled = await fetch(`${url}/async-function/${call.id}`, { method: 'DELETE' });
  expect(cancelled.status).toBe(200);
  expect(signal.aborted).toBe(true);
  await expect.poll(async () => (await call.poll()).status).toBe(499);
  expect((await fetch(`${url}/async-function/${call.id}`, { method: 'DELETE' })).status).toBe(409);
});

test('the result is sent to the callback, tried again when that fails', async () => {
  const received: { headers: NodeJS.Dict<string | string[]>; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      received.push({ headers: request.headers, body });
      response.writeHead(received.length === 1 ? 500 : 200).end();
    });
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { url } = await listen([{ name: 'f', handle: echo }]);
  const headers = { 'x-callback-url': `http://127.0.0.1:${port}/done` };
  const call = await submit(url, 'f', { body: 'hello', headers });
  await expect.poll(() => received.length).toBe(2);
  expect(received[1]).toMatchObject({
    body: 'hello',
    headers: { 'x-call-id': call.id, 'x-function-name': 'f', 'x-function-status': '201' },
  });
});

test.each(['ftp://localhost/', 'file:///etc/passwd', 'nonsense'])('the callback %s is refused', async (callback) => {
  const { url, platform } = await listen([{ name: 'f', handle: echo }]);
  const call = await submit(url, 'f', { headers: { 'x-callback-url': callback } });
  expect(call.status).toBe(400);
  expect(platform.calls).toEqual([]);
});
