// The gateway on a real socket: slow, cut, oversized and broken requests, callers that go away, answers that stream.

import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Platform } from '../../../src/gateway/platform.ts';
import type { GatewayOptions } from '../../../src/gateway/server.ts';
import type { FakeFunction, Handle } from '../../helpers/fake-platform.ts';
import { AUTHORIZED, gatewayWith } from '../../helpers/gateway.ts';
import { RawConnection } from '../../helpers/raw-http.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const echo: Handle = (call) => ({ status: 200, headers: {}, body: call.body });

async function listen(functions: readonly FakeFunction[], options: Partial<GatewayOptions> = {}) {
  const gateway = await gatewayWith(functions, options);
  await gateway.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = gateway.app.server.address() as AddressInfo;
  const open = (): RawConnection => {
    const connection = new RawConnection(port);
    onTestFinished(() => void connection.socket.destroy());
    return connection;
  };
  return { ...gateway, port, url: `http://127.0.0.1:${port}`, open };
}

describe('a body', () => {
  test.each([
    ['with its length', { 'content-length': 1_000_000 }, (text: string) => text],
    ['in chunks', { 'transfer-encoding': 'chunked' }, (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`],
  ])('sent at a trickle %s is given up with 408', async (_what, headers, frame) => {
    const { open, platform } = await listen([{ name: 'f', handle: echo }], { bodyGraceMs: 300 });
    const connection = open();
    connection.send('POST', '/function/f', headers);
    const timer = setInterval(() => connection.socket.write(frame('x'.repeat(100))), 50);
    await connection.closed();
    clearInterval(timer);
    expect(connection.statuses).toEqual([408]);
    expect(connection.received).toContain('SLOW_REQUEST');
    expect(platform.calls).toEqual([]);
    expect(platform.refusals).toMatchObject([{ status: 408 }]);
  });

  test('that never comes is given up too', async () => {
    const { open } = await listen([{ name: 'f', handle: echo }], { bodyGraceMs: 200 });
    const connection = open();
    connection.send('POST', '/function/f', { 'content-length': 10 });
    await connection.closed();
    expect(connection.statuses).toEqual([408]);
  });

  test('that comes slowly but surely is taken', async () => {
    const { open } = await listen([{ name: 'f', handle: echo }], { bodyGraceMs: 500, bodyMinBytesPerSecond: 20 });
    const connection = open();
    connection.send('POST', '/function/f', { 'content-length': 500, connection: 'close' });
    for (let part = 0; part < 5; part++) {
      await pause(200);
      connection.socket.write('x'.repeat(100));
    }
    await connection.closed();
    expect(connection.statuses).toEqual([200]);
  });

  test.each(['destroyed', 'half closed'])('that is cut off (%s) reaches nobody', async (how) => {
    const { open, platform, url } = await listen([{ name: 'f', handle: echo }]);
    const connection = open();
    connection.send('POST', '/function/f', { 'content-length': 1000, expect: '100-continue' });
    await expect.poll(() => connection.statuses).toEqual([100]);
    connection.socket.write('half of it');
    await pause(20);
    if (how === 'destroyed') connection.socket.destroy();
    else connection.socket.end();
    await connection.closed();
    expect((await fetch(`${url}/function/f`, { method: 'POST', body: 'whole' })).status).toBe(200);
    expect(platform.calls.map((call) => Buffer.from(call.body).toString())).toEqual(['whole']);
    await expect.poll(() => platform.refusals).toMatchObject([{ errorCode: 'CANCELLED' }]);
  });

  test('that is announced too large is refused at once, and the connection goes on', async () => {
    const { open, platform } = await listen([{ name: 'f', handle: echo, maxBodyBytes: 1000 }]);
    const connection = open();
    connection.send('POST', '/function/f', { 'content-length': 200_000 });
    await expect.poll(() => connection.statuses).toEqual([413]);
    connection.socket.write('x'.repeat(200_000));
    connection.send('POST', '/function/f', { 'content-length': 2, connection: 'close' }, 'ok');
    await connection.closed();
    expect(connection.statuses).toEqual([413, 200]);
    expect(platform.calls).toHaveLength(1);
  });

  test('that is too large is read to its end also for a caller that asked to close, so that no reset takes its answer', async () => {
    const { open } = await listen([{ name: 'f', handle: echo, maxBodyBytes: 1000 }]);
    const connection = open();
    connection.send('POST', '/function/f', { 'content-length': 200_000, connection: 'close' });
    await expect.poll(() => connection.statuses).toEqual([413]);
    await pause(100);
    expect(connection.socket.readableEnded).toBe(false);
    connection.socket.write('x'.repeat(200_000));
    await connection.closed();
    expect(connection.socket.errored).toBeNull();
  });

  test('is whole for each of several requests sent behind one another', async () => {
    const { open, platform } = await listen([{ name: 'f', handle: echo }]);
    const connection = open();
    const bodies = ['first', '', 'x'.repeat(300_000), 'last'];
    for (const [index, body] of bodies.entries()) {
      const headers = { 'content-length': body.length, ...(index === 3 && { connection: 'close' }) };
      connection.send('POST', '/function/f', headers, body);
    }
    await connection.closed();
    expect(connection.statuses).toEqual([200, 200, 200, 200]);
    expect(platform.calls.map((call) => Buffer.from(call.body).toString())).toEqual(bodies);
  });

  test('that grows too large in chunks is refused', async () => {
    const { open, platform } = await listen([{ name: 'f', handle: echo, maxBodyBytes: 1000 }]);
    const connection = open();
    connection.send('POST', '/function/f', { 'transfer-encoding': 'chunked' });
    connection.socket.write(`800\r\n${'x'.repeat(0x800)}\r\n0\r\n\r\n`);
    await expect.poll(() => connection.statuses).toEqual([413]);
    expect(platform.calls).toEqual([]);
  });

  test('that is too large is refused in words also for a client that sends it all before it listens', async () => {
    const { url } = await listen([{ name: 'f', handle: echo, maxBodyBytes: 1000 }]);
    const answer = await fetch(`${url}/function/f`, { method: 'POST', body: Buffer.alloc(20_000_000) });
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({ code: 'BODY_TOO_LARGE' });
  });

  test('waits for 100 Continue where the caller does', async () => {
    const { open } = await listen([{ name: 'f', handle: echo }]);
    const connection = open();
    connection.send('POST', '/function/f', { 'content-length': 2, expect: '100-continue', connection: 'close' });
    await expect.poll(() => connection.statuses).toEqual([100]);
    connection.socket.write('ok');
    await connection.closed();
    expect(connection.statuses).toEqual([100, 200]);
  });

  test('finds no room when all bodies together are too many bytes, and finds it again later', async () => {
    const { open, url } = await listen([{ name: 'f', handle: echo }], { maxBufferedBytes: 1000 });
    const first = open();
    first.send('POST', '/function/f', { 'content-length': 900, connection: 'close' }, 'x');
    // Once the first is known to the gateway.
    await expect
      .poll(async () => {
        const refused = await fetch(`${url}/function/f`, { method: 'POST', body: 'x'.repeat(200) });
        return [refused.status, refused.headers.get('retry-after')];
      })
      .toEqual([429, '1']);
    first.socket.write('x'.repeat(899));
    await first.closed();
    expect(first.statuses).toEqual([200]);
    const taken = await fetch(`${url}/function/f`, { method: 'POST', body: 'x'.repeat(200) });
    expect(taken.status).toBe(200);
  });
});

describe('a caller that goes away', () => {
  test('takes the call with it', async () => {
    const seen = Promise.withResolvers<AbortSignal>();
    const handle: Handle = (_call, signal) => {
      seen.resolve(signal);
      return new Promise(() => {});
    };
    const { open } = await listen([{ name: 'f', handle }]);
    const connection = open();
    connection.send('POST', '/function/f', { 'content-length': 0 });
    const signal = await seen.promise;
    expect(signal.aborted).toBe(false);
    connection.socket.destroy();
    await expect.poll(() => signal.aborted).toBe(true);
  });

  test('ends the stream it was reading', async () => {
    const ended = Promise.withResolvers<void>();
    async function* pieces(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield Buffer.alloc(1000, 'x');
          await pause(5);
        }
      } finally {
        ended.resolve();
      }
    }
    const { open } = await listen([{ name: 'f', handle: () => ({ status: 200, headers: {}, body: pieces() }) }]);
    const connection = open();
    connection.send('GET', '/function/f');
    await expect.poll(() => connection.received.length).toBeGreaterThan(3000);
    connection.socket.destroy();
    await ended.promise;
    expect(connection.statuses).toEqual([200]);
  });

  test('that was answered is no caller that went away', async () => {
    const signals: AbortSignal[] = [];
    const handle: Handle = (call, signal) => {
      signals.push(signal);
      return echo(call, signal);
    };
    const { url } = await listen([{ name: 'f', handle }]);
    const answer = await fetch(`${url}/function/f`, { method: 'POST', body: 'a', headers: { connection: 'close' } });
    expect(await answer.text()).toBe('a');
    await pause(50);
    expect(signals[0]!.aborted).toBe(false);
  });

  test('is no failure of a deployment', async () => {
    const logged: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) });
    const { open, platform } = await listen([], { log });
    const pullModel: Platform['pullModel'] = (_source, onProgress, signal) => {
      onProgress({ type: 'step', step: 'fetch', message: 'Fetching the model' });
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    };
    Object.assign(platform, { pullModel });
    const body = JSON.stringify({ url: 'https://example.org/m.onnx' });
    const connection = open();
    const headers = { ...AUTHORIZED, 'content-type': 'application/json', 'content-length': body.length };
    connection.send('POST', '/api/v1/models/pull', headers, body);
    await expect.poll(() => connection.received).toContain('Fetching the model');
    connection.socket.destroy();
    await expect.poll(() => logged.length).toBe(1);
    expect(JSON.parse(logged[0]!)).toMatchObject({ level: 30, msg: expect.stringContaining('its caller has gone') });
  });

  test('stops its deployment', async () => {
    const { open, platform } = await listen([]);
    const connection = open();
    connection.send('POST', '/api/v1/functions', { ...AUTHORIZED, 'content-length': 1000 }, 'some of it');
    await pause(50);
    connection.socket.destroy();
    await pause(50);
    expect(platform.deployed).toEqual([]);
  });
});

describe('an answer that streams', () => {
  test('comes piece by piece', async () => {
    const next = Promise.withResolvers<void>();
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('first');
      await next.promise;
      yield Buffer.from('second');
    }
    const headers = { 'content-type': 'text/event-stream' };
    const { url } = await listen([{ name: 'f', handle: () => ({ status: 200, headers, body: pieces() }) }]);
    const answer = await fetch(`${url}/function/f`);
    const reader = answer.body!.getReader();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('first');
    next.resolve();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe('second');
    expect((await reader.read()).done).toBe(true);
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
  });

  test('and fails on the way is cut, so that nobody takes it for whole', async () => {
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('first');
      await pause(20);
      throw new Error('the handler died');
    }
    const { url } = await listen([{ name: 'f', handle: () => ({ status: 200, headers: {}, body: pieces() }) }]);
    const answer = await fetch(`${url}/function/f`);
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow('terminated');
  });
});

describe('what is not HTTP', () => {
  test('is answered in one line and cut', async () => {
    const { open } = await listen([]);
    const connection = open();
    connection.socket.write('EHLO there\r\n\r\n');
    await connection.closed();
    expect(connection.statuses).toEqual([400]);
  });

  test('headers without end are refused', async () => {
    const { open } = await listen([]);
    const connection = open();
    connection.send('GET', '/healthz', { 'x-long': 'x'.repeat(100_000) });
    await connection.closed();
    expect(connection.statuses).toEqual([431]);
  });

  test('names of ten thousand characters are only not found', async () => {
    const { url } = await listen([]);
    for (const path of ['function', 'v2/models', 'api/v1/functions']) {
      const answer = await fetch(`${url}/${path}/${'n'.repeat(10_000)}`);
      expect(answer.status).toBe(404);
      expect((await answer.text()).length).toBeLessThan(1000);
    }
  });
});

describe('events', () => {
  test('come as they happen, until the listener goes', async () => {
    const { url, platform } = await listen([{ name: 'f', handle: echo }]);
    const before = platform.listeners;
    const controller = new AbortController();
    const answer = await fetch(`${url}/api/v1/events`, { headers: AUTHORIZED, signal: controller.signal });
    expect(answer.headers.get('content-type')).toContain('text/event-stream');
    await fetch(`${url}/function/f`, { method: 'POST', body: 'x' });
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('event: invocation')) text += (await reader.read()).value;
    expect(JSON.parse(/event: invocation\ndata: (.*)\n/.exec(text)![1]!).record.function).toBe('f');
    controller.abort();
    await expect.poll(() => platform.listeners).toBe(before);
  });

  test('are for a bounded number of listeners', async () => {
    const { url } = await listen([], { maxEventStreams: 1 });
    const controller = new AbortController();
    await fetch(`${url}/api/v1/events`, { headers: AUTHORIZED, signal: controller.signal });
    expect((await fetch(`${url}/api/v1/events`, { headers: AUTHORIZED })).status).toBe(429);
    controller.abort();
    await expect
      .poll(async () => {
        const again = await fetch(`${url}/api/v1/events`, { headers: AUTHORIZED });
        await again.body!.cancel();
        return again.status;
      })
      .toBe(200);
  });

  test('do not keep the gateway from closing', async () => {
    const { app, url } = await listen([]);
    const answer = await fetch(`${url}/api/v1/events`, { headers: AUTHORIZED });
    const ended = answer.text();
    await app.close();
    expect(await ended).toContain('connected');
  });
});
