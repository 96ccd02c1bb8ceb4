import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { createModelFetcher, type FetcherOptions, type ModelSource } from '../../../src/models/pull.ts';
import { createModelStore, type ModelStore } from '../../../src/models/store.ts';
import { buildNetwork } from '../../../src/onnx/networks.ts';
import type { StoredModel } from '../../../src/models/types.ts';
import { tinyExternalModel, tinyModel } from '../../helpers/models.ts';

const MODEL = buildNetwork({ kind: 'mlp', megabytes: 2, seed: 1 }).encode();
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const PATIENCE = { pauseMs: 5, stallMs: 10_000, tries: 3 };
/** Of a server that says nothing more. */
const stalls: Answer = (_, response) => void response.writeHead(200, { 'content-length': 1000 }).write('x');

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void;

interface Scene {
  readonly store: ModelStore;
  readonly url: string;
  readonly requests: IncomingMessage[];
  readonly progress: [number, number | null][];
  readonly pull: (
    source?: Partial<ModelSource>,
    options?: FetcherOptions,
    signal?: AbortSignal,
  ) => Promise<StoredModel>;
  /** What lies in the store, temporary things included. */
  readonly held: () => string[];
}

/** A store, and a server that answers the way the test wants. */
async function scene(answer: Answer): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-pull-'));
  const store = await createModelStore(join(folder, 'models'));
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response, requests.length);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const progress: [number, number | null][] = [];
  return {
    store,
    url,
    requests,
    progress,
    held: () => readdirSync(store.folder),
    pull: (source = {}, options = {}, signal = new AbortController().signal) =>
      createModelFetcher(store, { ...PATIENCE, ...options })(
        { url: `${url}/m.onnx`, ...source },
        (done, total) => progress.push([done, total]),
        signal,
      ),
  };
}

/** Serves bytes with an ETag, from where the client has them, and breaks off after `cutAt` bytes of each answer. */
function serve(bytes: Uint8Array, { cutAt = Infinity, etag = '"v1"' as string | null } = {}): Answer {
  return (request, response) => {
    const wanted = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const from = wanted && request.headers['if-range'] === etag ? Number(wanted[1]) : 0;
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': bytes.byteLength - from,
      ...(etag && { etag }),
      ...(from > 0 && { 'content-range': `bytes ${from}-${bytes.byteLength - 1}/${bytes.byteLength}` }),
    });
    const part = bytes.subarray(from, from + Math.min(cutAt, bytes.byteLength - from));
    response.write(part, () => (from + part.byteLength < bytes.byteLength ? response.destroy() : response.end()));
  };
}

async function failure(promise: Promise<unknown>): Promise<GpufaasError> {
  const error: unknown = await promise.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(GpufaasError);
  expect((error as GpufaasError).suggestions.length).toBeGreaterThan(0);
  return error as GpufaasError;
}

describe('a model that is pulled', () => {
  it('arrives whole, is checked, and is not fetched twice', async () => {
    const { pull, held, requests, progress } = await scene(serve(MODEL));
    const stored = await pull({ sha256: sha256(MODEL) });
    expect(stored.sha256).toBe(sha256(MODEL));
    expect(readFileSync(stored.path)).toEqual(Buffer.from(MODEL));
    expect(progress.at(-1)).toEqual([MODEL.byteLength, MODEL.byteLength]);
    expect(held()).toEqual([stored.sha256]);
    await pull({ sha256: sha256(MODEL) });
    expect(requests).toHaveLength(1);
  });

  it('goes on where it broke off, as often as it takes', async () => {
    const { pull, requests } = await scene(serve(MODEL, { cutAt: 300_000 }));
    const stored = await pull({ sha256: sha256(MODEL) });
    expect(stored.bytes).toBe(MODEL.byteLength);
    expect(requests.length).toBeGreaterThan(3);
    expect(requests[1]!.headers['if-range']).toBe('"v1"');
    const starts = requests.map((request) => Number(/\d+/.exec(request.headers.range ?? '0')![0]));
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  });

  it('goes on in the next call, after the first one gave up', async () => {
    const answers = { broken: true };
    const { pull, requests, held } = await scene((request, response, count) => {
      if (answers.broken && count > 1) return void response.writeHead(503).end();
      serve(MODEL, { cutAt: answers.broken ? 500_000 : Infinity })(request, response, count);
    });
    expect(await failure(pull())).toMatchObject({
      code: 'FETCH_FAILED',
      message: expect.stringContaining('it answered 503'),
    });
    expect(held().filter((name) => !name.startsWith('.'))).toEqual([]);
    answers.broken = false;
    await pull();
    expect(requests.at(-1)!.headers.range).toMatch(/^bytes=[1-9]/);
    expect(held()).toEqual([sha256(MODEL)]);
  });

  it('starts anew where the server has another file meanwhile', async () => {
    const other = buildNetwork({ kind: 'mlp', megabytes: 2, seed: 2 }).encode();
    const { pull } = await scene((request, response, count) =>
      count === 1
        ? serve(other, { cutAt: 300_000, etag: '"old"' })(request, response, count)
        : serve(MODEL)(request, response, count),
    );
    expect((await pull()).sha256).toBe(sha256(MODEL));
  });

  it('starts anew where nothing tells the versions apart', async () => {
    const { pull, requests } = await scene((request, response, count) =>
      serve(MODEL, { etag: null, cutAt: count < 3 ? 300_000 : Infinity })(request, response, count),
    );
    expect((await pull()).sha256).toBe(sha256(MODEL));
    expect(requests.every((request) => request.headers.range === undefined)).toBe(true);
  });

  it('with another checksum is refused, and nothing of it stays', async () => {
    const { pull, held } = await scene(serve(MODEL));
    const error = await failure(pull({ sha256: 'a'.repeat(64) }));
    expect(error.code).toBe('BAD_MODEL');
    expect(error.message).toContain(sha256(MODEL));
    expect(held()).toEqual([]);
  });

  it.each<[string, Answer, string, RegExp, number]>([
    ['is not there', (_, response) => void response.writeHead(404).end('no'), 'MODEL_NOT_FOUND', /no file at http/, 1],
    [
      'is private',
      (_, response) => void response.writeHead(401).end(),
      'FETCH_FAILED',
      /refuses to give the file \(401\)/,
      1,
    ],
    ['is refused', (_, response) => void response.writeHead(418).end(), 'FETCH_FAILED', /answered 418/, 1],
    ['answers only errors', (_, response) => void response.writeHead(500).end(), 'FETCH_FAILED', /it answered 500/, 3],
    ['stalls', stalls, 'FETCH_FAILED', /sent nothing for 300 ms/, 4],
    ['is cut off at once', (_, response) => response.destroy(), 'FETCH_FAILED', /closed the connection/, 3],
    ['is a web page', (_, response) => void response.end('<!doctype html><p>Sign in</p>'), 'BAD_MODEL', /web page/, 1],
    [
      'is redirected in a circle',
      (_, response) => void response.writeHead(302, { location: '/m.onnx' }).end(),
      'FETCH_FAILED',
      /without end/,
      9,
    ],
    [
      'is redirected to plain http elsewhere',
      (_, response) => void response.writeHead(302, { location: 'http://example.org/m' }).end(),
      'BAD_REQUEST',
      /this machine only/,
      1,
    ],
    [
      'is redirected to a file',
      (_, response) => void response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
      'BAD_REQUEST',
      /file:/,
      1,
    ],
    [
      'is too large',
      (_, response) => response.writeHead(200, { 'content-length': 10_000_001 }).flushHeaders(),
      'BAD_MODEL',
      /larger than 10 MB/,
      1,
    ],
  ])('%s ends with a clear error and no model', async (_, answer, code, message, requestCount) => {
    const { pull, requests, store } = await scene(answer);
    const error = await failure(pull({}, { maxBytes: 10e6, ...(answer === stalls && { stallMs: 300 }) }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(requests).toHaveLength(requestCount);
    expect(await store.list()).toEqual([]);
  });

  it('from a server that nobody runs says so', async () => {
    const { pull, held } = await scene(serve(MODEL));
    const error = await failure(pull({ url: 'http://127.0.0.1:1/m.onnx' }));
    expect(error.code).toBe('FETCH_FAILED');
    expect(error.message).toMatch(/127\.0\.0\.1:1 could not be fetched from: /);
    expect(error.suggestions).toEqual(['Check the network and the address, then try again.']);
    expect(held()).toEqual([]);
  });

  it('of which nothing arrived leaves nothing, whoever gave it up', async () => {
    const { pull, held, requests } = await scene((_, response) => response.writeHead(503, { etag: '"1"' }).end());
    expect((await failure(pull())).code).toBe('FETCH_FAILED');
    expect(held()).toEqual([]);
    const stop = new AbortController();
    const pulling = failure(pull({}, { pauseMs: 60_000 }, stop.signal));
    await expect.poll(() => requests.length).toBe(4);
    stop.abort(new GpufaasError('CANCELLED', 'Enough.', { suggestions: ['-'] }));
    expect((await pulling).message).toBe('Enough.');
    expect(held()).toEqual([]);
  });

  it.each([
    ['the hub', 'hf://owner/repo/m.onnx', 401, /HF_TOKEN/],
    ['another server', undefined, 401, /no credentials/],
    ['the hub', 'hf://owner/repo/m.onnx', 404, /owner, repository and path/],
    ['another server', undefined, 404, /^Check the address\.$/],
  ])('that %s does not give (%#) is advised on as is of use there', async (_, address, status, advice) => {
    const { pull, url } = await scene((_request, response) => response.writeHead(status).end());
    const error = await failure(
      pull(address === undefined ? {} : { url: address }, address === undefined ? {} : { hubUrl: url }),
    );
    expect(error.suggestions[0]).toMatch(advice);
  });

  it.each([
    'ftp://x/y',
    'http://example.org/m.onnx',
    'file:///etc/passwd',
    'm.onnx',
    'hf://owner',
    'hf://owner/repo',
    'hf://o/r/../../x',
    'https://me:secret@x/y',
    'hf://../../x/y.onnx',
    '',
  ])('can not come from %j', async (url) => {
    const { pull, requests } = await scene(serve(MODEL));
    const error = await failure(pull({ url }));
    expect(error.code).toBe('BAD_REQUEST');
    expect(error.message).not.toContain('secret');
    expect(requests).toHaveLength(0);
  });

  it('may come from the hub, with the token for the hub alone', async () => {
    const elsewhere = await scene(serve(MODEL));
    const { pull, url, requests } = await scene(
      (_, response) => void response.writeHead(302, { location: `${elsewhere.url}/cdn` }).end(),
    );
    await pull({ url: 'hf://owner/repo.x@v1/onnx/model q.onnx' }, { hubUrl: url, hubToken: 'hub-token' });
    expect(requests[0]!.url).toBe('/owner/repo.x/resolve/v1/onnx/model%20q.onnx');
    expect(requests[0]!.headers.authorization).toBe('Bearer hub-token');
    expect(elsewhere.requests[0]!.headers.authorization).toBeUndefined();
  });

  it('brings its external weights along', async () => {
    const { model, data } = tinyExternalModel(1, 'weights/w 1.bin');
    const { pull, requests, progress, held } = await scene((request, response, count) =>
      serve(request.url!.includes('w%201.bin') ? data : model)(request, response, count),
    );
    const stored = await pull();
    expect(requests.map((request) => request.url)).toEqual(['/m.onnx', '/weights/w%201.bin']);
    expect(stored.bytes).toBe(model.byteLength + data.byteLength);
    expect(progress.at(-1)![0]).toBe(stored.bytes);
    expect(held()).toEqual([stored.sha256]);
    const again = await pull({ sha256: stored.sha256 });
    expect(again).toEqual(stored);
  });

  it('is given up at once when nobody wants it any more', async () => {
    const { pull, store } = await scene(
      (_, response) => void response.writeHead(200, { 'content-length': 1000 }).write('x'),
    );
    const stop = new AbortController();
    setTimeout(() => stop.abort(new GpufaasError('CANCELLED', 'Enough.', { suggestions: ['-'] })), 50);
    expect((await failure(pull({}, {}, stop.signal))).message).toBe('Enough.');
    expect(await store.list()).toEqual([]);
  });

  it('is fetched once for many who ask at once', async () => {
    const { store, url, requests } = await scene(serve(MODEL));
    const fetchModel = createModelFetcher(store, PATIENCE);
    const source = { url: `${url}/m.onnx`, sha256: sha256(MODEL) };
    const all = await Promise.all(
      [1, 2, 3].map(() => fetchModel(source, () => undefined, new AbortController().signal)),
    );
    expect(new Set(all.map((model) => model.path)).size).toBe(1);
    expect(requests).toHaveLength(1);
  });

  it('takes the room of models that nobody uses, the longest unused first, and of no others', async () => {
    const sizes = [1, 2, 3].map((seed) => tinyModel(seed).bytes);
    const { pull, store, url } = await scene((request, response, count) =>
      serve(sizes[Number(/\d/.exec(request.url!)![0]) - 1]!)(request, response, count),
    );
    const quotaBytes = sizes[0]!.byteLength * 2 + 10;
    const [first, second] = [await pull({ url: `${url}/1` }), await pull({ url: `${url}/2` })];
    await store.touch(first.sha256, Date.now() + 60_000);
    const third = await pull({ url: `${url}/3` }, { quotaBytes });
    expect((await store.list()).map((model) => model.sha256)).toEqual([first.sha256, third.sha256].toSorted());
    const error = await failure(
      pull({ url: `${url}/2` }, { quotaBytes, used: () => new Set([first.sha256, third.sha256]) }),
    );
    expect(error.code).toBe('DISK_FULL');
    expect(error.message).toMatch(/models in use leave/);
    expect((await store.list()).map((model) => model.sha256)).not.toContain(second.sha256);
  });

  it('leaves parts only as long as a next try may want them', async () => {
    const { pull, held, store, url } = await scene((request, response, count) =>
      request.url === '/m.onnx'
        ? serve(MODEL)(request, response, count)
        : void response.writeHead(200, { 'content-length': 99 }).write('x'),
    );
    await failure(pull({ url: `${url}/other` }, { stallMs: 300 }));
    const [part] = held();
    expect(part).toMatch(/^\.pulling-/);
    utimesSync(join(store.folder, part!), 1, 1);
    await pull();
    expect(held()).toEqual([sha256(MODEL)]);
  });
});
