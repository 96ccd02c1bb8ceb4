// The paths of the daemon's own API, in one place for the gateway and the client.
//
//   GET    status                         StatusResponse
//   POST   shutdown {drainMs}             202; the daemon drains and ends
//   GET    functions                      FunctionSummary[]
//   POST   functions                      body: application/x-tar (optionally gzip) of the function's folder;
//                                         answers application/x-ndjson of DeployProgress; ?note= is free text
//   GET    functions/:name                FunctionDetail
//   DELETE functions/:name                {name, removed: true}
//   POST   functions/:name/rollback {version?}   {name, version}
//   GET    functions/:name/logs?follow&tail      application/x-ndjson of LogLineMessage
//   POST   functions/:name/load {device?}        PsResponse, once resident
//   POST   functions/:name/unload {device?}      PsResponse, once gone
//   POST   functions/:name/pin {pinned}          PsResponse
//   GET    ps                             PsResponse
//   GET    devices                        DeviceStatus[]
//   POST   devices/:id/unplug | plug      DeviceStatus (emulated devices only)
//   GET    invocations?function&limit&since      InvocationRecord[], newest first
//   GET    invocations/:id                InvocationRecord
//   GET    calls?function&state&limit     AsyncCallSummary[], newest first
//   GET    calls/:id                      AsyncCallSummary
//   POST   calls/:id/retry                AsyncCallSummary; the call runs again
//   GET    models                         StoredModelSummary[]
//   POST   models/pull {url, sha256?}     application/x-ndjson of PullProgress
//   DELETE models/:sha256                 {sha256, removed: true}
//   GET    events                         text/event-stream

import { GpufaasError, type ErrorCode } from '../errors.ts';

const BASE = '/api/v1';
/** Longer than any name or id there is, and short enough for every server on the way. */
const MAX_SEGMENT = 512;

/** A name as one segment of a path. What can't be one (empty, or dots that a URL would resolve) names nothing. */
function segment(name: string, what: string, code: ErrorCode): string {
  if (name !== '' && name !== '.' && name !== '..' && name.length <= MAX_SEGMENT) return encodeURIComponent(name);
  const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
  throw new GpufaasError(code, `There is no ${what} ${shown}.`);
}

const functionSegment = (name: string): string => segment(name, 'function', 'FUNCTION_NOT_FOUND');

/** Every path of the own API; names are encoded by the caller's argument. */
export const routes = {
  status: `${BASE}/status`,
  shutdown: `${BASE}/shutdown`,
  functions: `${BASE}/functions`,
  function: (name: string) => `${BASE}/functions/${functionSegment(name)}`,
  functionAction: (name: string, action: 'rollback' | 'load' | 'unload' | 'pin' | 'logs') =>
    `${BASE}/functions/${functionSegment(name)}/${action}`,
  ps: `${BASE}/ps`,
  devices: `${BASE}/devices`,
  deviceAction: (id: string, action: 'unplug' | 'plug') =>
    `${BASE}/devices/${segment(id, 'device', 'DEVICE_NOT_FOUND')}/${action}`,
  invocations: `${BASE}/invocations`,
  invocation: (id: string) => `${BASE}/invocations/${segment(id, 'invocation', 'CALL_NOT_FOUND')}`,
  calls: `${BASE}/calls`,
  asyncCallRecord: (id: string) => `${BASE}/calls/${segment(id, 'call', 'CALL_NOT_FOUND')}`,
  asyncCallRetry: (id: string) => `${BASE}/calls/${segment(id, 'call', 'CALL_NOT_FOUND')}/retry`,
  models: `${BASE}/models`,
  modelPull: `${BASE}/models/pull`,
  model: (sha256: string) => `${BASE}/models/${segment(sha256, 'stored model', 'MODEL_NOT_FOUND')}`,
  events: `${BASE}/events`,
  /** By the function's name to call it, by the call's id to ask for its answer or to cancel it. */
  asyncCall: (nameOrId: string) => `/async-function/${segment(nameOrId, 'function or call', 'FUNCTION_NOT_FOUND')}`,
  call: (name: string) => `/function/${functionSegment(name)}`,
} as const;

/** Headers that gpufaas reads and writes. */
export const headers = {
  callId: 'x-call-id',
  startTime: 'x-start-time',
  durationSeconds: 'x-duration-seconds',
  cache: 'x-gpufaas-cache',
  device: 'x-gpufaas-device',
  serverTiming: 'server-timing',
  version: 'x-gpufaas-version',
} as const;
