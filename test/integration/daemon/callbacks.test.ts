// Callbacks against real receivers: slow, broken, refusing, elsewhere. Whatever they do, each ends once.

import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Callbacks, checkCallbackUrl, type CallbackLimits } from '../../../src/daemon/callbacks.ts';

async function receiver(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return `http://localhost:${(server.address() as AddressInfo).port}/`;
}

/** Sends one, and gives how it ended. */
function send(url: string, limits: Partial<CallbackLimits> = {}): Promise<{ delivered: boolean; reason: string }> {
  const callbacks = new Callbacks({ pauseMs: 1, timeoutMs: 10_000, tries: 3, ...limits });
  onTestFinished(() => callbacks.close());
  return new Promise((resolve) =>
    callbacks.add({
      url,
      message: async () => ({ headers: { 'x-call-id': 'a' }, body: Buffer.from('body') }),
      onEnd: (delivered, reason) => resolve({ delivered, reason }),
    }),
  );
}

test('one that is taken is sent once, as it is', async () => {
  const seen: string[] = [];
  const url = await receiver((request, response) => {
    request
      .setEncoding('utf8')
      .on('data', (text: string) => seen.push(`${String(request.headers['x-call-id'])} ${text}`));
    request.on('end', () => response.writeHead(204).end());
  });
  expect(await send(url)).toEqual({ delivered: true, reason: '' });
  expect(seen).toEqual(['a body']);
});

const silence = (): void => undefined;

test.each<[string, RequestListener, number, RegExp]>([
  ['answers 500', (_, response) => void response.writeHead(500).end(), 3, /answered 500/],
  ['says nothing', silence, 3, /abort|time/i],
  ['cuts the connection', (request) => void request.socket.destroy(), 3, /hang up|ECONNRESET/],
  ['talks something else', (request) => void request.socket.end('SSH-2.0\r\n'), 3, /Parse|Expected|HPE/i],
  ['refuses', (_, response) => void response.writeHead(403).end(), 1, /answered 403/],
  ['sends it elsewhere', (_, response) => void response.writeHead(307, { location: '/b' }).end(), 1, /answered 307/],
])('a receiver that %s', async (_, listener, tries, words) => {
  let asked = 0;
  const url = await receiver((request, response) => {
    asked++;
    listener(request, response);
  });
  const { delivered, reason } = await send(url, listener === silence ? { timeoutMs: 500 } : {});
  expect({ delivered, asked }).toEqual({ delivered: false, asked: tries });
  expect(reason).toMatch(words);
});

test('an answer without end is not read', async () => {
  const url = await receiver((_, response) => {
    response.writeHead(200);
    const more = setInterval(() => response.write('x'.repeat(65_536)), 1);
    response.on('close', () => clearInterval(more));
  });
  expect(await send(url)).toMatchObject({ delivered: true });
});

test('nobody there, and no such name', async () => {
  expect(await send('http://127.0.0.1:1/')).toMatchObject({ delivered: false });
  expect(await send('http://nobody.invalid/')).toMatchObject({ delivered: false });
});

test.each([
  'http://169.254.169.254/latest',
  'http://[fe80::1]/',
  'http://[::ffff:169.254.169.254]/',
  'http://224.0.0.1/',
])('%s is nobody to call back', (url) => {
  expect(() => checkCallbackUrl(url)).toThrow('no callback is sent to');
});

test('a receiver that is dead holds up nobody else', async () => {
  const dead = await receiver(() => undefined);
  const alive = await receiver((_, response) => void response.writeHead(204).end());
  const callbacks = new Callbacks({ atOnce: 2, perReceiver: 1, pauseMs: 60_000, timeoutMs: 60_000 });
  onTestFinished(() => callbacks.close());
  const message = async () => ({ headers: {}, body: Buffer.alloc(0) });
  const owe = (url: string) => new Promise<boolean>((onEnd) => callbacks.add({ url, message, onEnd }));
  for (let index = 0; index < 10; index++) void owe(dead);
  expect(await Promise.all([owe(alive), owe(alive)])).toEqual([true, true]);
});

test("while one waits for its next try its place is another one's", async () => {
  const broken = await receiver((_, response) => void response.writeHead(500).end());
  const alive = await receiver((_, response) => void response.writeHead(204).end());
  const callbacks = new Callbacks({ atOnce: 1, perReceiver: 1, pauseMs: 60_000 });
  onTestFinished(() => callbacks.close());
  const message = async () => ({ headers: {}, body: Buffer.alloc(0) });
  const owe = (url: string) => new Promise<boolean>((onEnd) => callbacks.add({ url, message, onEnd }));
  void owe(broken);
  expect(await owe(alive)).toBe(true);
});

test('after its owner has closed it nothing is sent and nothing is said', async () => {
  let asked = 0;
  const callbacks = new Callbacks({ pauseMs: 50, tries: 100 });
  const url = await receiver((_, response) => {
    asked++;
    callbacks.close();
    response.writeHead(500).end();
  });
  let ended = 0;
  callbacks.add({ url, message: async () => ({ headers: {}, body: Buffer.alloc(0) }), onEnd: () => ended++ });
  await expect.poll(() => asked).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect({ asked, ended }).toEqual({ asked: 1, ended: 0 });
});
