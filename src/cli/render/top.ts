// The live view: the daemon in a line, a bar for each device's memory, the resident models, the latest calls.

import { stripVTControlCharacters, styleText } from 'node:util';
import type { DeviceStatus, InvocationRecord, PsResponse, StatusResponse } from '../../api/schemas.ts';
import { formatDuration, formatSize } from '../../units.ts';
import { ago } from './ago.ts';
import { renderTable } from './table.ts';

/** What one look found. */
export interface TopView {
  readonly status: StatusResponse;
  readonly ps: PsResponse;
  /** Newest first. */
  readonly calls: readonly InvocationRecord[];
}

const BAR_WIDTH = 24;

/** The view as lines, cut to the width of the terminal. */
export function renderTop({ status, ps, calls }: TopView, nowMs: number, columns: number): string[] {
  const head =
    `gpufaas ${status.version} · ${status.status} · up ${formatDuration(status.uptimeMs)} · policy ${status.policy} · ` +
    `${status.functions} functions · ${status.underWay} under way · ${status.queued} queued`;
  const blocks = [
    styleText('bold', head, { stream: process.stdout }),
    renderDevices(ps.devices),
    renderModels(ps.devices, nowMs),
    renderCalls(calls),
  ];
  return blocks
    .filter((block) => block !== '')
    .join('\n\n')
    .split('\n')
    .map((line) => cut(line, columns));
}

function renderDevices(devices: readonly DeviceStatus[]): string {
  return renderTable(devices, [
    { title: 'DEVICE', value: (device) => device.id },
    { title: 'STATE', value: (device) => device.state },
    { title: 'MEMORY', value: (device) => bar(device.usedBytes / device.memoryBytes) },
    { title: 'USED', value: (device) => formatSize(device.usedBytes), align: 'right' },
    { title: 'OF', value: (device) => formatSize(device.memoryBytes), align: 'right' },
    { title: 'RUNS', value: (device) => String(device.resident.filter((model) => model.inUse).length), align: 'right' },
    { title: 'QUEUED', value: (device) => String(device.queued), align: 'right' },
  ]);
}

function renderModels(devices: readonly DeviceStatus[], nowMs: number): string {
  const rows = devices.flatMap((device) => device.resident.map((model) => ({ ...model, device: device.id })));
  if (rows.length === 0) return '';
  return renderTable(
    rows.toSorted((a, b) => b.hits - a.hits),
    [
      { title: 'MODEL', value: (model) => model.model },
      { title: 'ON', value: (model) => model.device },
      { title: 'STATE', value: (model) => (model.pinned ? `${model.state}, pinned` : model.state) },
      { title: 'BYTES', value: (model) => formatSize(model.bytes), align: 'right' },
      { title: 'HITS', value: (model) => String(model.hits), align: 'right' },
      { title: 'LAST USED', value: (model) => ago(model.lastUsedAt, nowMs) },
    ],
  );
}

function renderCalls(calls: readonly InvocationRecord[]): string {
  if (calls.length === 0) return '';
  return renderTable(calls, [
    { title: 'CALL', value: (call) => call.id.slice(0, 8) },
    { title: 'FUNCTION', value: (call) => call.function },
    { title: 'STATUS', value: (call) => String(call.status), align: 'right' },
    { title: 'CACHE', value: (call) => call.cache.toUpperCase() },
    { title: 'ON', value: (call) => call.device ?? '-' },
    { title: 'QUEUE', value: (call) => formatDuration(call.timing.queueMs), align: 'right' },
    { title: 'LOAD', value: (call) => formatDuration(call.timing.loadMs), align: 'right' },
    { title: 'RUN', value: (call) => formatDuration(call.timing.runMs), align: 'right' },
    { title: 'TOTAL', value: (call) => formatDuration(call.timing.totalMs), align: 'right' },
  ]);
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full);
}

/** Colours are dropped from a line that has to be cut: an escape sequence cut in two would colour the rest of the screen. */
function cut(line: string, columns: number): string {
  const plain = stripVTControlCharacters(line);
  return plain.length <= columns ? line : plain.slice(0, columns);
}
