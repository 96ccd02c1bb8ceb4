// The device cache for people: devices with what is resident on them.

import { styleText } from 'node:util';
import type { DeviceStatus, PsResponse, ResidentModel } from '../../api/schemas.ts';
import { formatDuration, formatSize } from '../../units.ts';
import { ago } from './ago.ts';
import { renderTable } from './table.ts';

/** Each device with all that is resident there; `only` narrows to the devices that hold a function's models, if any do. */
export function renderCache(ps: PsResponse, nowMs: number, only?: string): string {
  const holding = ps.devices.filter(({ resident }) =>
    resident.some((model) => only === undefined || model.functions.includes(only)),
  );
  const shown = only === undefined || holding.length === 0 ? ps.devices : holding;
  const blocks = shown.map((device) => {
    const { resident } = device;
    return `${renderHeader(device)}\n${resident.length === 0 ? '  nothing resident' : indent(renderResident(resident, nowMs))}`;
  });
  const notes = [
    ...(ps.hostCache === undefined || only !== undefined ? [] : [renderHostCache(ps.hostCache)]),
    ...(ps.queued > 0 ? [`${ps.queued} queued, bound to no device`] : []),
    ...(ps.quarantined ?? [])
      .filter((name) => only === undefined || name === only)
      .map((name) => `${name} is quarantined: it killed its worker twice; \`gpufaas load ${name}\` tries it again`),
  ];
  return [...blocks, ...notes].join('\n\n');
}

/** One line on models kept ready in host memory. */
export function renderHostCache(cache: NonNullable<PsResponse['hostCache']>): string {
  const { bytes, budgetBytes, models, hits, misses } = cache;
  const held = `${models} ${models === 1 ? 'model' : 'models'}, ${formatSize(bytes)} of ${formatSize(budgetBytes)}`;
  return `host cache  ${held} · ${hits} loads from it, ${misses} from disk`;
}

/** One line for each device. */
export function renderDevices(devices: readonly DeviceStatus[]): string {
  return renderTable(devices, [
    { title: 'DEVICE', value: (device) => device.id },
    { title: 'KIND', value: (device) => device.kind },
    { title: 'STATE', value: (device) => device.state },
    { title: 'USED', value: (device) => formatSize(device.usedBytes), align: 'right' },
    { title: 'MEASURED', value: (device) => measured(device), align: 'right' },
    { title: 'MEMORY', value: (device) => formatSize(device.memoryBytes), align: 'right' },
    { title: 'RESIDENT', value: (device) => String(device.resident.length), align: 'right' },
    { title: 'QUEUED', value: (device) => String(device.queued), align: 'right' },
    { title: 'PID', value: (device) => (device.pid === null ? '-' : String(device.pid)), align: 'right' },
    { title: 'NAME', value: (device) => device.name },
  ]);
}

function renderHeader(device: DeviceStatus): string {
  const id = styleText('bold', device.id, { stream: process.stdout });
  const memory = `${formatSize(device.usedBytes)} of ${formatSize(device.memoryBytes)}`;
  const queued = device.queued > 0 ? ` · ${device.queued} queued` : '';
  const lent = device.reservedBytes ?? 0;
  const measuring = lent > 0 ? ` · ${formatSize(lent)} lent to a measurement` : '';
  return `${id}  ${device.state} · ${memory} · measured ${measured(device)}${measuring}${queued}`;
}

function renderResident(models: readonly ResidentModel[], nowMs: number): string {
  return renderTable(models, [
    { title: 'MODEL', value: (model) => model.model },
    { title: 'FUNCTIONS', value: (model) => model.functions.join(', ') },
    { title: 'BYTES', value: (model) => formatSize(model.bytes), align: 'right' },
    { title: 'STATE', value: (model) => state(model) },
    { title: 'HITS', value: (model) => String(model.hits), align: 'right' },
    { title: 'LAST USED', value: (model) => ago(model.lastUsedAt, nowMs) },
    { title: 'UNTIL', value: (model) => (model.pinned ? 'pinned' : until(model.until, nowMs)) },
  ]);
}

function state({ inUse, state, instances = 0 }: ResidentModel): string {
  const shown = inUse && state === 'resident' ? 'in use' : state;
  return instances === 0 ? shown : `${shown}, ${instances} side by side`;
}

function measured(device: DeviceStatus): string {
  return device.measuredBytes === null ? '-' : formatSize(Math.max(0, device.measuredBytes));
}

function until(at: string | null, nowMs: number): string {
  return at === null ? '-' : `in ${formatDuration(Math.max(0, Date.parse(at) - nowMs))}`;
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ');
}
