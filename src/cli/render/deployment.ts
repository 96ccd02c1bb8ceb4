// A finished deployment for people.

import type { DeployResult } from '../../api/schemas.ts';
import { formatDuration, formatSize } from '../../units.ts';
import { renderTable } from './table.ts';

/** What serves now, its models with their measured profile, and what the smoke test answered. */
export function renderDeployment(result: DeployResult): string {
  const parts = [`${result.name} version ${result.version} serves at ${result.url}`];
  if (result.models.length > 0) {
    const rows = result.models.flatMap(rowsOf);
    parts.push(
      renderTable(rows, [
        { title: 'MODEL', value: (row) => row.name },
        { title: 'FILE', value: (row) => formatSize(row.bytes), align: 'right' },
        ...(rows.some(({ on }) => on !== '') ? [{ title: 'ON', value: (row: Row) => row.on }] : []),
        { title: 'ON A DEVICE', value: (row) => formatSize(row.memoryBytes), align: 'right' },
        { title: 'LOAD', value: (row) => formatDuration(row.loadMs), align: 'right' },
        { title: 'RUN', value: (row) => formatDuration(row.runMs), align: 'right' },
        { title: 'SHA256', value: (row) => row.sha256.slice(0, 12) },
      ]),
    );
  }
  if (result.smokeTest !== null) {
    const { status, body, totalMs } = result.smokeTest;
    parts.push(`Smoke test: ${status} in ${formatDuration(totalMs)}: ${firstLine(body)}`);
  }
  return parts.join('\n');
}

type Row = DeployResult['models'][number] & { readonly on: string };

/** One row for each kind of device that the model was measured for; where it makes no difference, one. */
function rowsOf(model: DeployResult['models'][number]): Row[] {
  if (model.profiles === undefined) return [{ ...model, on: '' }];
  return model.profiles.map(({ device, estimated, ...figures }) => ({
    ...model,
    ...figures,
    on: estimated ? `${device} (estimate)` : device,
  }));
}

function firstLine(body: string): string {
  const line = body.trim().split('\n', 1)[0]!;
  // eslint-disable-next-line no-control-regex -- a model may answer with bytes
  const clean = line.replace(/[\u0000-\u001f\u007f-\u009f\ufffd]/g, '.');
  return clean.length > 100 ? `${clean.slice(0, 100)}…` : clean;
}
