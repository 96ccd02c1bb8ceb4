// A daemon that only answers: the real routes with made-up content, so that the client and the commands can be tested
// without devices. It checks what the real one checks of a caller: the token.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdirSync, writeFileSync } from 'node:fs';
import { Parser } from 'tar';
import { resolveHome, type Home } from '../../src/home.ts';
import type {
  DeployProgress,
  FunctionDetail,
  FunctionSummary,
  InvocationRecord,
  PsResponse,
  StatusResponse,
} from '../../src/api/schemas.ts';

export interface FakeDaemon {
  readonly url: string;
  readonly home: Home;
  readonly token: string;
  /** Paths with content of the last package that was uploaded. */
  readonly uploaded: Map<string, Buffer>;
  /** Every request so far: `METHOD path`. */
  readonly requests: string[];
  /** Answers instead of the usual ones, by `METHOD path`. */
  readonly answers: Map<string, (response: ServerResponse, body: Buffer, request: IncomingMessage) => void>;
  close(): Promise<void>;
}

/** Starts one for the home at `root` and writes what the real one would leave there. */
export async function startFakeDaemon(root: string): Promise<FakeDaemon> {
  const home = resolveHome({ GPUFAAS_HOME: root });
  const token = 'f'.repeat(64);
  const state: Pick<FakeDaemon, 'uploaded' | 'requests' | 'answers'> = {
    uploaded: new Map(),
    requests: [],
    answers: new Map(),
  };
  const server = createServer((request, response) => void answer(request, response, { ...state, token, server, home }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  mkdirSync(home.root, { recursive: true });
  writeFileSync(home.token, `${token}\n`, { mode: 0o600 });
  writeFileSync(
    home.daemonFile,
    JSON.stringify({ pid: process.pid, url, version: '0.1.0', startedAt: new Date(0).toISOString() }),
  );
  return {
    url,
    home,
    token,
    ...state,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Context extends Pick<FakeDaemon, 'uploaded' | 'requests' | 'answers' | 'token' | 'home'> {
  readonly server: Server;
}

async function answer(request: IncomingMessage, response: ServerResponse, context: Context): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const key = `${request.method} ${url.pathname}`;
  context.requests.push(key);
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const special = context.answers.get(key);
  if (special) return special(response, body, request);
  if (url.pathname.startsWith('/api/') && request.headers.authorization !== `Bearer ${context.token}`) {
    return problem(response, 401, 'UNAUTHORIZED', 'The token is missing or wrong.', ['Set GPUFAAS_TOKEN.']);
  }
  const name = decodeURIComponent(url.pathname.split('/')[4] ?? '');
  switch (key.replace(/(\/functions|\/invocations)\/[^/]+/, '$1/:id')) {
    case 'GET /readyz':
      return json(response, {});
    case 'GET /api/v1/status':
      return json(response, statusOf(addressOf(context), context.home));
    case 'GET /api/v1/functions':
      return json(response, [SUMMARY]);
    case 'POST /api/v1/functions':
      return deploy(response, body, context);
    case 'GET /api/v1/functions/:id':
      return name === SUMMARY.name ? json(response, DETAIL) : notFound(response, name);
    case 'DELETE /api/v1/functions/:id':
      return name === SUMMARY.name ? json(response, { name, removed: true }) : notFound(response, name);
    case 'GET /api/v1/functions/:id/logs':
      return name === SUMMARY.name ? ndjson(response, [LOG_LINE, LOG_LINE]) : notFound(response, name);
    case 'POST /api/v1/functions/:id/load':
    case 'POST /api/v1/functions/:id/unload':
    case 'POST /api/v1/functions/:id/pin':
      return name === SUMMARY.name ? json(response, PS) : notFound(response, name);
    case 'GET /api/v1/ps':
      return json(response, PS);
    case 'GET /api/v1/devices':
      return json(response, PS.devices);
    case 'GET /api/v1/invocations':
      return json(response, [INVOCATION]);
    case 'GET /api/v1/invocations/:id':
      return json(response, INVOCATION);
    case 'GET /api/v1/models':
      return json(response, []);
    case `POST /function/${SUMMARY.name}`:
      return call(response, body, request);
    default:
      if (url.pathname.startsWith('/function/')) return notFound(response, url.pathname.slice('/function/'.length));
      return problem(response, 404, 'ROUTE_NOT_FOUND', `There is no ${key}.`);
  }
}

/** The function of the fake daemon answers with what it was sent and with the content type it came with. */
function call(response: ServerResponse, body: Buffer, request: IncomingMessage): void {
  response.writeHead(200, {
    'content-type': request.headers['content-type'] ?? 'application/octet-stream',
    'x-call-id': INVOCATION.id,
    'x-start-time': '0',
    'x-duration-seconds': '0.4244',
    'x-gpufaas-cache': 'miss',
    'x-gpufaas-device': 'cpu:0',
    'server-timing': 'queue;dur=0.2, load;dur=412.3, run;dur=8.9',
  });
  response.end(body);
}

function deploy(response: ServerResponse, body: Buffer, context: Context): void {
  const { uploaded } = context;
  uploaded.clear();
  const parser = new Parser({
    onReadEntry: (entry) => {
      const chunks: Buffer[] = [];
      entry.on('data', (chunk) => chunks.push(chunk));
      entry.on('end', () => uploaded.set(entry.path, Buffer.concat(chunks)));
    },
  });
  parser.on('end', () => {
    const url = `${addressOf(context)}/function/${SUMMARY.name}`;
    const { runMsByRows: _, batching: _batching, ...model } = DETAIL.modelDetails[0]!;
    const steps: DeployProgress[] = [
      { type: 'step', step: 'check', message: 'Checking' },
      { type: 'done', result: { name: SUMMARY.name, version: 2, url, models: [model], smokeTest: null } },
    ];
    ndjson(response, steps);
  });
  parser.end(body);
}

function addressOf({ server }: Context): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What the daemon at this address says of itself. */
export function statusOf(url: string, home: Home = resolveHome()): StatusResponse {
  return {
    status: 'ready',
    pid: process.pid,
    url,
    version: '0.1.0',
    policy: 'lalbo3',
    devices: PS.devices,
    uptimeMs: 1_000,
    home: home.root,
    functions: 1,
    underWay: 0,
    queued: 0,
  };
}

const SHA = '3f9a0c1d'.repeat(8);

const SUMMARY: FunctionSummary = { name: 'echo', version: 2, status: 'ready', models: ['model'], invocations: 7 };

const DETAIL: FunctionDetail = {
  ...SUMMARY,
  description: 'Says what it hears',
  url: 'http://127.0.0.1/function/echo',
  handler: 'handler.ts',
  createdAt: '2026-01-01T00:00:00.000Z',
  manifest: { name: 'echo', sample: 'samples/hello.txt' },
  modelDetails: [
    {
      name: 'model',
      sha256: SHA,
      bytes: 1_000,
      loadMs: 412,
      runMs: 9,
      memoryBytes: 20_000_000,
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 3] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 10] }],
      prepared: true,
      quarantined: false,
      residentOn: ['cpu:0'],
      runMsByRows: [9, 12],
      batching: { maxRows: 8, unasked: true },
    },
  ],
  versions: [{ version: 2, createdAt: '2026-01-01T00:00:00.000Z', serving: true, note: 'new weights' }],
  lastErrors: [{ at: '2026-01-01T00:00:00.000Z', code: 'TIMEOUT', message: 'too late', callId: 'c1' }],
};

const PS: PsResponse = {
  devices: [
    {
      id: 'cpu:0',
      kind: 'cpu',
      name: 'A processor',
      state: 'ready',
      pid: 4242,
      memoryBytes: 4e9,
      usedBytes: 20e6,
      measuredBytes: 21e6,
      resident: [
        {
          model: 'model',
          sha256: SHA,
          functions: ['echo'],
          bytes: 20e6,
          state: 'resident',
          hits: 6,
          lastUsedAt: '2026-01-01T00:00:00.000Z',
          until: null,
          inUse: false,
          pinned: true,
        },
      ],
      queued: 0,
    },
  ],
  queued: 0,
};

export const INVOCATION: InvocationRecord = {
  id: '0f3c',
  function: 'echo',
  version: 2,
  surface: 'function',
  status: 200,
  errorCode: null,
  errorMessage: null,
  arrivedAt: '2026-01-01T00:00:00.000Z',
  cache: 'miss',
  device: 'cpu:0',
  runs: [{ model: 'model', device: 'cpu:0', cache: 'miss', queueMs: 0.2, loadMs: 412.3, runMs: 8.9 }],
  timing: { queueMs: 0.2, loadMs: 412.3, runMs: 8.9, handlerMs: 3, totalMs: 424.4 },
  decisions: [
    {
      model: 'model',
      device: 'cpu:0',
      reason: 'miss-most-free',
      considered: [{ device: 'cpu:0', resident: false, busy: false, freeBytes: 4e9, estimateMs: null }],
    },
  ],
};

const LOG_LINE = {
  at: '2026-01-01T00:00:00.000Z',
  function: 'echo',
  version: 2,
  callId: '0f3c',
  stream: 'log',
  level: 'info',
  text: 'hello',
};

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function ndjson(response: ServerResponse, lines: readonly unknown[]): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

function notFound(response: ServerResponse, name: string): void {
  problem(response, 404, 'FUNCTION_NOT_FOUND', `There is no function ${JSON.stringify(name)}.`, ['Did you mean echo?']);
}

/** Problem details as the real gateway writes them. */
export function problem(
  response: ServerResponse,
  status: number,
  code: string,
  detail: string,
  suggestions: readonly string[] = [],
): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ type: 'about:blank', title: code, status, detail, code, suggestions }));
}
