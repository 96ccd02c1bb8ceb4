// The daemon's state for people.

import type { StatusResponse } from '../../api/schemas.ts';
import { formatDuration, formatSize } from '../../units.ts';
import { renderPairs, renderTable } from './table.ts';

/** State, address, policy, devices. */
export function renderStatus(status: StatusResponse): string {
  const facts = renderPairs([
    ['status', status.status],
    ['address', status.url],
    ['version', status.version],
    ['pid', String(status.pid)],
    ['up for', formatDuration(status.uptimeMs)],
    ['policy', status.policy],
    ['functions', String(status.functions)],
    ['under way', `${status.underWay} calls, ${status.queued} queued`],
    ['home', status.home],
  ]);
  const devices = renderTable(status.devices, [
    { title: 'DEVICE', value: (device) => device.id },
    { title: 'STATE', value: (device) => device.state },
    { title: 'USED', value: (device) => formatSize(device.usedBytes), align: 'right' },
    { title: 'MEMORY', value: (device) => formatSize(device.memoryBytes), align: 'right' },
    { title: 'NAME', value: (device) => device.name },
  ]);
  return `${facts}\n\n${devices}`;
}
