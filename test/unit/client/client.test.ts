import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { readCallHeaders } from '../../../src/client/call-headers.ts';
import { GpufaasClient } from '../../../src/client/client.ts';
import { GpufaasError } from '../../../src/errors.ts';
import { problem, startFakeDaemon, type FakeDaemon } from '../../helpers/fake-daemon.ts';

let daemon: FakeDaemon;
let root: string;
let client: GpufaasClient;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'gpufaas-client-'));
  daemon = await startFakeDaemon(root);
  client = new GpufaasClient({ url: daemon.url, token: daemon.token });
});
afterEach(() => daemon.answers.clear());
afterAll(async () => {
  await daemon.close();
  rmSync(root, { recursive: true });
});

describe('the client', () => {
  it('reads answers that keep to the wire contract', async () => {
    await expect(client.status()).resolves.toMatchObject({ status: 'ready', policy: 'lalbo3' });
    await expect(client.ready()).resolves.toBe(true);
    await expect(client.functions()).resolves.toHaveLength(1);
    await expect(client.load('echo')).resolves.toMatchObject({ queued: 0 });
  });

  it('throws the error that the daemon named, with its suggestions', async () => {
    await expect(client.function('ecco')).rejects.toMatchObject({
      code: 'FUNCTION_NOT_FOUND',
      message: 'There is no function "ecco".',
      suggestions: ['Did you mean echo?'],
      exitCode: 3,
    });
  });

  it.each(['', '.', '..', '../status', 'a/b', 'Ünïcode', 'a\0b', 'x'.repeat(10_000)])(
    'knows without asking that nothing is called %j',
    async (name) => {
      const before = daemon.requests.length;
      await expect(client.function(name)).rejects.toMatchObject({ code: 'FUNCTION_NOT_FOUND' });
      await expect(client.call(name)).rejects.toMatchObject({ code: 'FUNCTION_NOT_FOUND' });
      await expect(client.load(name)).rejects.toMatchObject({ code: 'FUNCTION_NOT_FOUND' });
      await expect(client.invocation(name)).rejects.toMatchObject({ code: 'CALL_NOT_FOUND' });
      expect(daemon.requests).toHaveLength(before);
    },
  );

  it('says of a name in upper case what was meant', async () => {
    await expect(client.call('Echo')).rejects.toMatchObject({
      code: 'FUNCTION_NOT_FOUND',
      suggestions: ['Names are in lower case: did you mean echo?', '`gpufaas ls` lists the functions.'],
    });
  });

  it('lets no sub-path lead to another function', async () => {
    await expect(client.call('echo', { path: '/a/../../other' })).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('is refused without the token', async () => {
    const stranger = new GpufaasClient({ url: daemon.url, token: null });
    await expect(stranger.functions()).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await expect(stranger.identify(1_000)).resolves.toBeNull();
  });

  it('takes an answer it does not understand for that of another version', async () => {
    daemon.answers.set('GET /api/v1/ps', (response) => void response.end('{"devices": 3}'));
    await expect(client.ps()).rejects.toMatchObject({ code: 'VERSION_MISMATCH' });
    daemon.answers.set('GET /api/v1/ps', (response) => void response.end('<html>'));
    await expect(client.ps()).rejects.toMatchObject({ code: 'VERSION_MISMATCH' });
  });

  it('keeps what says when to try again', async () => {
    daemon.answers.set('POST /function/echo', (response) => {
      response.writeHead(429, { 'content-type': 'application/problem+json' });
      response.end(
        JSON.stringify({ status: 429, code: 'QUEUE_FULL', detail: 'The queue is full.', retryAfterMs: 250 }),
      );
    });
    await expect(client.call('echo')).rejects.toMatchObject({ code: 'QUEUE_FULL', retryAfterMs: 250, exitCode: 5 });
  });

  it('goes by the status where an error answer has no code that it knows', async () => {
    daemon.answers.set('GET /api/v1/ps', (response) => problem(response, 507, 'FROM_THE_FUTURE', 'Odd.'));
    await expect(client.ps()).rejects.toMatchObject({ code: 'DISK_FULL', message: 'Odd.' });
    daemon.answers.set('GET /api/v1/ps', (response) => void response.writeHead(503).end('busy'));
    await expect(client.ps()).rejects.toMatchObject({ code: 'DRAINING' });
  });

  it('gives back what the function answered, an error status of its own included', async () => {
    daemon.answers.set('POST /function/echo', (response) => {
      response.writeHead(422, { 'content-type': 'application/json', 'x-gpufaas-cache': 'hit' }).end('{"no":1}');
    });
    const answer = await client.call('echo', { body: Buffer.from('x') });
    expect(answer.status).toBe(422);
    expect(await text(answer.body as Readable)).toBe('{"no":1}');
  });

  it('reads the steps of a deployment and throws the failure among them', async () => {
    daemon.answers.set('POST /api/v1/functions', (response) => {
      response.write('{"type":"step","step":"check","message":"Checking"}\n{"type":"st');
      response.write('ep","step":"store","message":"Storing"}\n');
      const error = { type: '', title: '', status: 400, detail: 'Bad model.', code: 'BAD_MODEL', suggestions: [] };
      response.end(JSON.stringify({ type: 'error', error }));
    });
    const steps: string[] = [];
    const deploy = async () => {
      for await (const step of client.deploy(Readable.from([Buffer.from('tar')]))) {
        if (step.type === 'step') steps.push(step.message);
      }
    };
    await expect(deploy()).rejects.toMatchObject({ code: 'BAD_MODEL', message: 'Bad model.' });
    expect(steps).toEqual(['Checking', 'Storing']);
  });

  it('throws what went wrong with the package, even when the daemon had begun to answer', async () => {
    const server = createHttpServer((request, response) => {
      request.on('error', () => undefined).resume();
      response.write('{"type":"step","step":"check","message":"Checking"}\n');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void server.close());
    const broken = new GpufaasError('BAD_PACKAGE', 'm.onnx was changed.');
    const begun = Promise.withResolvers<void>();
    const archive = async function* () {
      yield Buffer.from('tar');
      await begun.promise;
      throw broken;
    };
    const { port } = server.address() as AddressInfo;
    const other = new GpufaasClient({ url: `http://127.0.0.1:${port}`, token: null });
    const deploy = async () => {
      for await (const _ of other.deploy(Readable.from(archive()))) begun.resolve();
    };
    await expect(deploy()).rejects.toBe(broken);
  });

  it('says NO_DAEMON where nothing listens', async () => {
    const port = await freePort();
    const nobody = new GpufaasClient({ url: `http://127.0.0.1:${port}`, token: null });
    await expect(nobody.status()).rejects.toMatchObject({ code: 'NO_DAEMON', exitCode: 4 });
  });

  it('says NO_DAEMON when the daemon dies in the middle of an answer', async () => {
    daemon.answers.set('GET /api/v1/ps', (response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"dev');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(client.ps()).rejects.toMatchObject({ code: 'NO_DAEMON' });
  });

  it('gives up on a daemon that takes the connection and says nothing', async () => {
    daemon.answers.set('GET /api/v1/status', () => {});
    await expect(client.status(50)).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('stops at once when its signal fires', async () => {
    daemon.answers.set('POST /function/echo', () => {});
    const interruption = new AbortController();
    const patient = new GpufaasClient({ url: daemon.url, token: daemon.token, signal: interruption.signal });
    setTimeout(() => interruption.abort(), 20);
    await expect(patient.call('echo')).rejects.toMatchObject({ code: 'CANCELLED', exitCode: 130 });
  });
});

describe('the headers of a call', () => {
  it('say where its time went', () => {
    const headers = readCallHeaders({
      'x-call-id': 'c1',
      'x-gpufaas-cache': 'miss',
      'x-gpufaas-device': 'cuda:1',
      'x-duration-seconds': '0.424',
      'server-timing': 'queue;dur=0.1, load;desc="from disk";dur=412, run;dur=9.5',
    });
    expect(headers).toEqual({
      id: 'c1',
      version: null,
      cache: 'miss',
      device: 'cuda:1',
      durations: { queue: 0.1, load: 412, run: 9.5 },
      totalMs: 424,
    });
  });

  it('may all be missing', () => {
    expect(readCallHeaders({})).toEqual({
      id: null,
      version: null,
      cache: 'none',
      device: null,
      durations: {},
      totalMs: null,
    });
  });
});

async function freePort(): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
