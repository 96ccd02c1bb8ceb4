// Requests whose head came before, on real sockets: they take another way through the gateway, and nobody may notice.

import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, onTestFinished, test } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import type { GatewayOptions } from '../../../src/gateway/server.ts';
import { randomInteger, seededRandom } from '../../../src/random.ts';
import type { FakeFunction, FakePlatform } from '../../helpers/fake-platform.ts';
import { binaryBody, echoFunction as echo, gatewayWith } from '../../helpers/gateway.ts';
import { RawConnection } from '../../helpers/raw-http.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Its answers have bytes of their own, as those of a device: the body's are freed before they are sent. */
const echoFunction: FakeFunction = {
  ...echo,
  models: echo.models!.map((model) => ({
    ...model,
    compute: ([x]) => [{ ...x!, name: 'y', data: new Uint8Array(x!.data) }],
  })),
};

/** A gateway that listens; `seen` are the requests that went through node:http. */
async function listen(functions: readonly FakeFunction[] = [echoFunction], options: Partial<GatewayOptions> = {}) {
  const gateway = await gatewayWith(functions, options);
  const seen: string[] = [];
  gateway.app.server.on('request', (request) => seen.push(`${request.method} ${request.url}`));
  await gateway.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = gateway.app.server.address() as AddressInfo;
  const open = (): RawConnection => {
    const connection = new RawConnection(port);
    onTestFinished(() => void connection.socket.destroy());
    return connection;
  };
  return { ...gateway, port, seen, open };
}

const PATH = '/v2/models/echo/infer';
/** A request for a batch of so many rows of four numbers, all of them `value`. */
function request(value: number, rows = 1, path = PATH, extra = ''): Buffer {
  const bytes = rows * 16;
  const tensor = { name: 'x', datatype: 'FP32', shape: [rows, 4], parameters: { binary_data_size: bytes } };
  const json = { inputs: [tensor], parameters: { binary_data_output: true } };
  const numbers = new Uint8Array(new Float32Array(rows * 4).fill(value).buffer);
  const { payload, headers } = binaryBody(json, numbers);
  const lines = Object.entries({ host: 'localhost', ...headers, 'content-length': payload.byteLength });
  const head = lines.map(([name, text]) => `${name}: ${text}\r\n`).join('');
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${head}${extra}\r\n`), payload]);
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** The answers that came whole. */
function answersOf(connection: RawConnection): Answer[] {
  let rest = Buffer.from(connection.received, 'latin1');
  const answers: Answer[] = [];
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return answers;
    const [first = '', ...lines] = rest.toString('latin1', 0, end).split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
    );
    const bytes = Number(headers['content-length']);
    if (rest.byteLength < end + 4 + bytes) return answers;
    answers.push({ status: Number(first.split(' ')[1]), headers, body: rest.subarray(end + 4, end + 4 + bytes) });
    rest = rest.subarray(end + 4 + bytes);
  }
}

/** The numbers of an answer. */
function values({ headers, body }: Answer): number[] {
  const bytes = body.subarray(Number(headers['inference-header-content-length']));
  return Array.from(new Float32Array(new Uint8Array(bytes).buffer));
}

/** Sends and waits for the answer. */
async function ask(connection: RawConnection, bytes: Uint8Array | string): Promise<Answer> {
  const before = answersOf(connection).length;
  connection.socket.write(bytes);
  await expect.poll(() => answersOf(connection).length, { interval: 2, timeout: 5000 }).toBe(before + 1);
  return answersOf(connection).at(-1)!;
}

/** Its runs end by being cancelled alone; resolves when the first of them is. */
function runsUntilCancelled(platform: FakePlatform): Promise<void> {
  return new Promise((resolve) => {
    platform.infer = (_call, ...[signal]: unknown[]) =>
      new Promise((_resolve, reject) => {
        (signal as AbortSignal).addEventListener('abort', () => {
          resolve();
          reject(new GpufaasError('CANCELLED', 'Gone.'));
        });
      });
  });
}

describe('a head that comes again', () => {
  test.each([PATH, '/function/echo', '/function/echo/model', '/v2/models/echo/versions/3/infer'])(
    'is not parsed again, and each body of %s gets its own answer',
    async (path) => {
      const { open, seen, platform } = await listen();
      const connection = open();
      for (let value = 1; value <= 5; value++) {
        expect(values(await ask(connection, request(value, 1, path)))).toEqual([value, value, value, value]);
      }
      expect(seen).toEqual([`POST ${path}`]);
      expect(new Set(platform.inferences.map((call) => call.callId)).size).toBe(5);
    },
  );

  test('is answered with the headers that node:http would send', async () => {
    const { open } = await listen();
    const connection = open();
    const [first, again] = [await ask(connection, request(1)), await ask(connection, request(2))];
    expect(Object.keys(again.headers).toSorted()).toEqual(Object.keys(first.headers).toSorted());
    const changing = { 'x-call-id': '', 'x-start-time': '', 'x-duration-seconds': '', 'server-timing': '', date: '' };
    expect({ ...again.headers, ...changing }).toEqual({ ...first.headers, ...changing });
    expect(Math.abs(Date.parse(again.headers['date']!) - Date.now())).toBeLessThan(5000);
    expect(again.headers['x-call-id']).not.toBe(first.headers['x-call-id']);
  });

  test('may be cut anywhere, its body too', async () => {
    const { open, seen } = await listen();
    const random = seededRandom(7);
    const connection = open();
    await ask(connection, request(0, 5000));
    for (let value = 1; value <= 40; value++) {
      const bytes = request(value, 5000);
      const cuts = Array.from({ length: 3 }, () => randomInteger(random, value % 2 === 0 ? bytes.byteLength : 400));
      const ends = [...cuts.toSorted((a, b) => a - b), bytes.byteLength];
      let from = 0;
      for (const end of ends.slice(0, -1)) {
        connection.socket.write(bytes.subarray(from, end));
        from = end;
        await pause(1);
      }
      const numbers = values(await ask(connection, bytes.subarray(from)));
      expect(numbers.length).toBe(20_000);
      expect(numbers.every((number) => number === value)).toBe(true);
    }
    // A head that was cut in two went to node:http; whether that happened is up to the socket.
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.length).toBeLessThan(41);
  });

  test('is answered in order when requests come behind one another', async () => {
    const { open } = await listen();
    const connection = open();
    await ask(connection, request(0));
    await ask(connection, request(1));
    const health = Buffer.from('GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n');
    const big = request(4, 20_000);
    connection.socket.write(Buffer.concat([request(2), request(3), health, big, request(5), request(6)]));
    await expect.poll(() => answersOf(connection).length).toBe(8);
    const answers = answersOf(connection);
    const firsts = answers.map((answer) => (answer.body.includes('"live"') ? 'live' : values(answer)[0]));
    expect(firsts).toEqual([0, 1, 2, 3, 'live', 4, 5, 6]);
  });

  test('is served behind one that is still under way', async () => {
    const held = Promise.withResolvers<void>();
    const { open, platform, seen } = await listen();
    const real = platform.infer.bind(platform);
    const connection = open();
    await ask(connection, request(1));
    platform.infer = async (call) => {
      await held.promise;
      return real(call);
    };
    connection.socket.write(request(2));
    await pause(30);
    connection.socket.write(request(3));
    connection.socket.write(request(4));
    await pause(30);
    expect(answersOf(connection)).toHaveLength(1);
    held.resolve();
    await expect.poll(() => answersOf(connection).map((answer) => values(answer)[0])).toEqual([1, 2, 3, 4]);
    expect(seen.length).toBeLessThan(4);
  });

  test('is known again after other requests', async () => {
    const { open, seen } = await listen();
    const connection = open();
    await ask(connection, 'GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await ask(connection, request(1));
    await ask(connection, request(2));
    await ask(connection, 'GET /v2/models/echo HTTP/1.1\r\nhost: localhost\r\n\r\n');
    expect(values(await ask(connection, request(3)))).toEqual([3, 3, 3, 3]);
    expect(values(await ask(connection, request(4, 2)))).toHaveLength(8);
    expect(values(await ask(connection, request(5, 2)))).toHaveLength(8);
    expect(seen).toEqual(['GET /v2/health/ready', `POST ${PATH}`, 'GET /v2/models/echo', `POST ${PATH}`]);
  });

  test('inside the body of another request is part of that body', async () => {
    const { open, platform, seen } = await listen([
      echoFunction,
      { name: 'f', handle: ({ body }) => ({ status: 200, headers: {}, body }) },
    ]);
    const connection = open();
    await ask(connection, request(1));
    await ask(connection, request(2));
    const inner = request(666);
    connection.send('POST', '/function/f', { 'content-length': inner.byteLength });
    await pause(30);
    expect((await ask(connection, inner)).body.equals(inner)).toBe(true);
    expect(platform.inferences).toHaveLength(2);
    expect(seen).toContain('POST /function/f');
  });

  test.each([
    ['asks to close', 'connection: close\r\n'],
    ['waits to be asked for its body', 'expect: 100-continue\r\n'],
    ['would like another protocol', 'upgrade: h2c\r\n'],
  ])('is left to node:http if it %s', async (_what, extra) => {
    const { open, seen } = await listen();
    for (let round = 1; round <= 2; round++) {
      const connection = open();
      connection.socket.write(request(round, 1, PATH, extra));
      await expect.poll(() => connection.statuses).toContain(200);
      if (!extra.startsWith('connection')) connection.socket.write(request(round, 1, PATH, extra));
    }
    await expect.poll(() => seen).toHaveLength(extra.startsWith('connection') ? 2 : 4);
  });

  test('stays with node:http behind a body in chunks', async () => {
    const { open, seen } = await listen();
    const connection = open();
    await ask(connection, request(1));
    const tensors = JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 4], data: [9, 9, 9, 9] }] });
    const chunked = `POST ${PATH} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n`;
    await ask(connection, `${chunked}${tensors.length.toString(16)}\r\n${tensors}\r\n0\r\n\r\n`);
    expect(values(await ask(connection, request(2)))).toEqual([2, 2, 2, 2]);
    expect(values(await ask(connection, request(3)))).toEqual([3, 3, 3, 3]);
    expect(seen).toHaveLength(4);
  });
});

describe('a request like the one before', () => {
  test('whose function has gone, takes less or has a handler now is answered as that says', async () => {
    const { open, platform } = await listen();
    const connection = open();
    const path = '/function/echo';
    await ask(connection, request(1, 1, path));
    await ask(connection, request(2, 1, path));
    const real = platform.function.bind(platform);
    platform.function = (name) => ({ ...real(name)!, maxBodyBytes: 10 });
    expect((await ask(connection, request(3, 1, path))).status).toBe(413);
    platform.function = () => undefined;
    expect((await ask(connection, request(4, 1, path))).status).toBe(404);
    platform.function = (name) => ({ ...real(name)!, hasHandler: true });
    platform.invoke = async () => {
      throw new GpufaasError('HANDLER_ERROR', 'It was the handler.');
    };
    expect((await ask(connection, request(5, 1, path))).body.toString()).toContain('It was the handler.');
    platform.function = real;
    expect(values(await ask(connection, request(6, 1, path)))).toEqual([6, 6, 6, 6]);
  });

  test('that fails is answered with its error, and the connection goes on', async () => {
    const { open, platform, seen } = await listen();
    const connection = open();
    await ask(connection, request(1));
    platform.failure = new GpufaasError('QUARANTINED', 'It killed its worker twice.');
    const failed = await ask(connection, request(2));
    expect(failed.status).toBe(503);
    expect(failed.headers['content-type']).toBe('application/json');
    expect(JSON.parse(failed.body.toString())).toMatchObject({ error: expect.stringContaining('twice') });
    platform.failure = undefined;
    // The same head before another JSON than the first: the tensor is too short for its shape.
    const wrong = Buffer.from(request(3).toString('latin1').replace('[1,4]', '[2,4]'), 'latin1');
    expect((await ask(connection, wrong)).status).toBe(400);
    expect(platform.refusals).toMatchObject([{ errorCode: 'BAD_TENSOR', surface: 'infer' }]);
    expect(values(await ask(connection, request(4)))).toEqual([4, 4, 4, 4]);
    expect(seen).toHaveLength(1);
  });

  test('whose body comes too slowly is given up with 408', async () => {
    const { open, platform, seen } = await listen([echoFunction], { bodyGraceMs: 200 });
    const connection = open();
    await ask(connection, request(1, 100));
    connection.socket.write(request(2, 100).subarray(0, 400));
    await expect.poll(() => connection.statuses, { timeout: 3000 }).toEqual([200, 408]);
    expect(answersOf(connection).at(-1)!.headers['connection']).toBe('close');
    await connection.closed();
    expect(platform.inferences).toHaveLength(1);
    expect(platform.refusals).toMatchObject([{ errorCode: 'SLOW_REQUEST' }]);
    expect(seen).toHaveLength(1);
  });

  test.each(['destroyed', 'half closed'])('whose body is cut off (%s) reaches nobody', async (how) => {
    const { open, platform } = await listen();
    const connection = open();
    await ask(connection, request(1, 100));
    connection.socket.write(request(2, 100).subarray(0, 400));
    await pause(30);
    if (how === 'destroyed') connection.socket.destroy();
    else connection.socket.end();
    await expect.poll(() => platform.refusals).toMatchObject([{ errorCode: 'CANCELLED' }]);
    expect(platform.inferences).toHaveLength(1);
  });

  test('whose caller goes away is cancelled', async () => {
    const { open, platform } = await listen();
    const connection = open();
    await ask(connection, request(1));
    const cancelled = runsUntilCancelled(platform);
    connection.socket.write(request(2));
    await pause(30);
    connection.socket.destroy();
    await expect(cancelled).resolves.toBeUndefined();
  });

  test('for which there is no room is refused, and closes', async () => {
    const held = Promise.withResolvers<void>();
    const { open, platform } = await listen([echoFunction], { maxBufferedBytes: 1000 });
    const [one, other] = [open(), open()];
    await ask(one, request(1, 30));
    await ask(other, request(1, 30));
    const real = platform.infer.bind(platform);
    platform.infer = async (call) => {
      await held.promise;
      return real(call);
    };
    one.socket.write(request(2, 30));
    await pause(30);
    other.socket.write(request(3, 30));
    await expect.poll(() => other.statuses).toEqual([200, 429]);
    held.resolve();
    await expect.poll(() => one.statuses).toEqual([200, 200]);
  });

  test('may take longer than idle connections are kept', async () => {
    const { open, app, platform } = await listen();
    app.server.keepAliveTimeout = 50;
    const connection = open();
    await ask(connection, request(1));
    const real = platform.infer.bind(platform);
    platform.infer = async (call) => {
      await pause(2000);
      return real(call);
    };
    expect(values(await ask(connection, request(2)))).toEqual([2, 2, 2, 2]);
    // And is idle from then on.
    await connection.closed();
  });

  test('whose caller takes no answers waits until it does', async () => {
    const { open, platform } = await listen();
    const connection = open();
    const rows = 40_000;
    await ask(connection, request(0, rows));
    connection.socket.pause();
    for (let value = 1; value <= 60; value++) connection.socket.write(request(value, rows));
    let before = -1;
    while (before !== platform.inferences.length) {
      before = platform.inferences.length;
      await pause(300);
    }
    expect(before).toBeLessThan(60);
    connection.socket.resume();
    await expect.poll(() => answersOf(connection).length, { timeout: 20_000, interval: 200 }).toBe(61);
    const firsts = answersOf(connection).map((answer) => values(answer)[0]);
    expect(firsts).toEqual(Array.from({ length: 61 }, (_, index) => index));
  });

  test('whose answer is taken slowly is not cut off as idle', async () => {
    const { app, port, seen } = await listen([{ ...echoFunction, maxBodyBytes: 64e6 }]);
    app.server.keepAliveTimeout = 300;
    const rows = 1_000_000;
    const socket = connect({ port, host: '127.0.0.1' });
    onTestFinished(() => void socket.destroy());
    let got = 0;
    socket.on('data', (chunk: Buffer) => {
      got += chunk.byteLength;
    });
    for (const last of [false, true]) {
      got = 0;
      socket.write(request(1, rows));
      if (last) {
        await once(socket, 'data');
        socket.pause();
        await pause(3000);
        socket.resume();
      }
      await expect.poll(() => got, { timeout: 10_000 }).toBeGreaterThan(rows * 16);
    }
    expect(seen).toHaveLength(1);
  });

  test('that is followed by others before its caller goes away is cancelled', async () => {
    const { open, platform } = await listen();
    const connection = open();
    await ask(connection, request(1));
    const cancelled = runsUntilCancelled(platform);
    for (let value = 2; value <= 4; value++) {
      connection.socket.write(request(value));
      await pause(30);
    }
    connection.socket.destroy();
    await expect(cancelled).resolves.toBeUndefined();
  });

  test('keeps little for an idle connection', async () => {
    const { open } = await listen();
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const connections: RawConnection[] = [];
    const settle = async (): Promise<number> => {
      await pause(100);
      collect();
      await pause(20);
      collect();
      return process.memoryUsage().arrayBuffers;
    };
    const before = await settle();
    for (let index = 0; index < 100; index++) {
      const connection = open();
      connections.push(connection);
      await ask(connection, request(1));
      // What else is in the pool of small buffers.
      for (let other = 0; other < 10; other++) Buffer.allocUnsafe(8000);
    }
    expect(((await settle()) - before) / connections.length).toBeLessThan(8192);
  });

  test('gives back what its body took of the budget', async () => {
    const { open } = await listen([echoFunction], { maxBufferedBytes: 2000 });
    const connection = open();
    const other = open();
    await ask(other, request(0));
    for (let value = 1; value <= 10; value++) {
      expect(values(await ask(connection, request(value, 50)))[0]).toBe(value);
      expect(values(await ask(other, request(value)))[0]).toBe(value);
    }
  });
});
