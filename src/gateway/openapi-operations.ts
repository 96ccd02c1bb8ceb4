// The list of operations that /openapi.json describes: data, no behaviour. A test holds each against the routes there are.

import { routes } from '../api/routes.ts';

/** One operation. */
export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly query?: readonly string[];
  /** A component, a list of them (`X[]`), or `bytes`. */
  readonly body?: string;
  readonly bodyType?: string;
  readonly answer?: string;
  readonly answerType?: string;
  readonly status?: number;
  /** Needs the token on loopback too. */
  readonly token?: boolean;
}

const FUNCTIONS = 'Functions';
const PROTOCOL = 'Open Inference Protocol';
const OPENFAAS = 'OpenFaaS';
const OWN = 'gpufaas';
const HEALTH = 'Health';
const one = `${routes.functions}/:name`;
const ndjson = 'application/x-ndjson';

const calls: readonly Operation[] = ['/function/:name', '/function/:name/:path'].map((path) => ({
  method: 'post',
  path,
  tag: FUNCTIONS,
  summary: 'Call a function (with any method)',
  description: 'What the handler answers, or an Open Inference answer where there is no handler.',
  body: 'bytes',
  bodyType: '*/*',
}));

const asynchronous: readonly Operation[] = [
  {
    method: 'post',
    path: '/async-function/:name',
    tag: FUNCTIONS,
    summary: 'Call a function without waiting; X-Callback-Url is told the result',
    description: 'Accepted; X-Call-Id is the id to poll.',
    body: 'bytes',
    bodyType: '*/*',
    status: 202,
  },
  {
    method: 'get',
    path: '/async-function/:name',
    tag: FUNCTIONS,
    summary: 'The result of an asynchronous call, by its id; 202 while it is pending',
  },
  {
    method: 'delete',
    path: '/async-function/:name',
    tag: FUNCTIONS,
    summary: 'Cancel an asynchronous call, by its id',
  },
];

const models: readonly Operation[] = ['/v2/models/:model', '/v2/models/:model/versions/:version'].flatMap((base) => [
  { method: 'get', path: base, tag: PROTOCOL, summary: 'Metadata of a model', answer: 'ModelMetadata' },
  { method: 'get', path: `${base}/ready`, tag: PROTOCOL, summary: 'Is the model ready', answer: 'ModelReady' },
  { method: 'get', path: `${base}/stats`, tag: PROTOCOL, summary: 'Statistics of a model', answer: 'ModelStatistics' },
  { method: 'get', path: `${base}/config`, tag: PROTOCOL, summary: 'Configuration of a model', answer: 'ModelConfig' },
  {
    method: 'post',
    path: `${base}/infer`,
    tag: PROTOCOL,
    summary: 'Run a model',
    body: 'InferRequest',
    answer: 'InferResponse',
  },
]);

const inference: readonly Operation[] = [
  { method: 'get', path: '/v2', tag: PROTOCOL, summary: 'Metadata of the server', answer: 'ServerMetadata' },
  { method: 'get', path: '/v2/health/live', tag: PROTOCOL, summary: 'Is the server live' },
  { method: 'get', path: '/v2/health/ready', tag: PROTOCOL, summary: 'Is the server ready' },
  { method: 'get', path: '/v2/models', tag: PROTOCOL, summary: 'The names of all models' },
  {
    method: 'get',
    path: '/v2/models/stats',
    tag: PROTOCOL,
    summary: 'Statistics of all models',
    answer: 'ModelStatistics',
  },
  ...models,
  {
    method: 'post',
    path: '/v2/repository/index',
    tag: PROTOCOL,
    summary: 'The models there are',
    body: 'RepositoryIndexRequest',
    answer: 'RepositoryModel[]',
  },
  ...(['load', 'unload'] as const).map((verb): Operation => ({
    method: 'post',
    path: `/v2/repository/models/:model/${verb}`,
    tag: PROTOCOL,
    summary: `${verb === 'load' ? 'Make a model resident' : 'Evict a model'} (no parameters that name files or settings)`,
    body: 'RepositoryAction',
  })),
];

const openFaas: readonly Operation[] = [
  { method: 'get', path: '/system/info', tag: OPENFAAS, summary: 'The provider and its version' },
  { method: 'get', path: '/system/namespaces', tag: OPENFAAS, summary: 'The namespaces' },
  { method: 'get', path: '/system/functions', tag: OPENFAAS, summary: 'All functions', answer: 'OpenFaasFunction[]' },
  {
    method: 'delete',
    path: '/system/functions',
    tag: OPENFAAS,
    summary: 'Remove a function',
    body: 'OpenFaasDelete',
    status: 202,
    token: true,
  },
  { method: 'get', path: '/system/function/:name', tag: OPENFAAS, summary: 'One function', answer: 'OpenFaasFunction' },
  {
    method: 'post',
    path: '/system/scale-function/:name',
    tag: OPENFAAS,
    summary: 'Unload (0 replicas) or warm (1) a function',
    body: 'OpenFaasScale',
    status: 202,
    token: true,
  },
  {
    method: 'get',
    path: '/system/logs',
    tag: OPENFAAS,
    summary: 'Log lines of a function',
    query: ['name', 'follow', 'tail', 'since'],
    answerType: ndjson,
    token: true,
  },
];

const functions: readonly Operation[] = [
  { method: 'get', path: routes.functions, tag: OWN, summary: 'All functions', answer: 'FunctionSummary[]' },
  {
    method: 'post',
    path: routes.functions,
    tag: OWN,
    summary: 'Deploy a package (tar, gzip or not)',
    query: ['note'],
    body: 'bytes',
    bodyType: 'application/x-tar',
    answer: 'DeployProgress',
    answerType: ndjson,
    token: true,
  },
  { method: 'get', path: one, tag: OWN, summary: 'One function in full', answer: 'FunctionDetail' },
  { method: 'delete', path: one, tag: OWN, summary: 'Remove a function', token: true },
  {
    method: 'post',
    path: `${one}/rollback`,
    tag: OWN,
    summary: 'Let an earlier version serve',
    body: 'RollbackRequest',
    token: true,
  },
  {
    method: 'get',
    path: `${one}/logs`,
    tag: OWN,
    summary: 'Log lines of a function',
    query: ['follow', 'tail', 'since'],
    answer: 'LogLine',
    answerType: ndjson,
    token: true,
  },
  ...(['load', 'unload'] as const).map((verb): Operation => ({
    method: 'post',
    path: `${one}/${verb}`,
    tag: OWN,
    summary: `${verb === 'load' ? 'Make the models of a function resident' : 'Evict the models of a function'}`,
    body: 'ResidencyRequest',
    answer: 'Ps',
    token: true,
  })),
  {
    method: 'post',
    path: `${one}/pin`,
    tag: OWN,
    summary: 'Keep the models of a function resident, or stop doing so',
    body: 'PinRequest',
    answer: 'Ps',
    token: true,
  },
];

const rest: readonly Operation[] = [
  { method: 'get', path: routes.status, tag: OWN, summary: 'How the daemon is', answer: 'Status' },
  {
    method: 'post',
    path: routes.shutdown,
    tag: OWN,
    summary: 'Drain and stop',
    body: 'ShutdownRequest',
    status: 202,
    token: true,
  },
  { method: 'get', path: routes.ps, tag: OWN, summary: 'The device cache', answer: 'Ps' },
  { method: 'get', path: routes.devices, tag: OWN, summary: 'The devices', answer: 'Device[]' },
  ...(['plug', 'unplug'] as const).map((verb): Operation => ({
    method: 'post',
    path: `${routes.devices}/:id/${verb}`,
    tag: OWN,
    summary: `${verb === 'plug' ? 'Plug in' : 'Unplug'} an emulated device`,
    answer: 'Device',
    token: true,
  })),
  {
    method: 'get',
    path: routes.invocations,
    tag: OWN,
    summary: 'Invocations, newest first',
    query: ['function', 'limit', 'since'],
    answer: 'Invocation[]',
    token: true,
  },
  {
    method: 'get',
    path: `${routes.invocations}/:id`,
    tag: OWN,
    summary: 'One invocation in full',
    answer: 'Invocation',
    token: true,
  },
  {
    method: 'get',
    path: routes.calls,
    tag: OWN,
    summary: 'Asynchronous calls, newest first',
    query: ['function', 'state', 'limit'],
    answer: 'AsyncCall[]',
    token: true,
  },
  {
    method: 'get',
    path: `${routes.calls}/:id`,
    tag: OWN,
    summary: 'An asynchronous call as it stands',
    answer: 'AsyncCall',
    token: true,
  },
  {
    method: 'post',
    path: `${routes.calls}/:id/retry`,
    tag: OWN,
    summary: 'Run an asynchronous call again that has ended; it keeps its id',
    answer: 'AsyncCall',
    token: true,
  },
  { method: 'get', path: routes.models, tag: OWN, summary: 'The model store', answer: 'StoredModel[]' },
  {
    method: 'post',
    path: routes.modelPull,
    tag: OWN,
    summary: 'Fetch a model into the store; answers lines of progress',
    body: 'PullRequest',
    answer: 'PullProgress',
    answerType: 'application/x-ndjson',
    token: true,
  },
  { method: 'delete', path: `${routes.models}/:sha256`, tag: OWN, summary: 'Remove a model', token: true },
  {
    method: 'get',
    path: routes.events,
    tag: OWN,
    summary: 'What happens, as server-sent events',
    answer: 'Event',
    answerType: 'text/event-stream',
    token: true,
  },
  { method: 'get', path: '/healthz', tag: HEALTH, summary: 'Does the process answer' },
  { method: 'get', path: '/readyz', tag: HEALTH, summary: 'Does at least one device serve' },
  { method: 'get', path: '/metrics', tag: HEALTH, summary: 'Prometheus metrics' },
  { method: 'get', path: '/openapi.json', tag: HEALTH, summary: 'This description' },
];

/** Every operation of every surface. */
export const operations: readonly Operation[] = [
  ...calls,
  ...asynchronous,
  ...inference,
  ...openFaas,
  ...functions,
  ...rest,
];
