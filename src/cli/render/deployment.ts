// A finished deployment for people.

import type { DeployResult } from '../../api/schemas.ts';
import { formatDuration, formatSize } from '../../units.ts';
import { renderTable } from './table.ts';

/** What serves now, its models with their measured profile, and what the smoke test answered. */
export function renderDeployment(result: DeployResult): string {
  const parts = [`${result.name} version ${result.version} serves at ${result.url}`];
  if (result.models.length > 0) {
    parts.push(
      renderTable(result.models, [
        { title: 'MODEL', value: (model) => model.name },
        { title: 'FILE', value: (model) => formatSize(model.bytes), align: 'right' },
        { title: 'ON A DEVICE', value: (model) => formatSize(model.memoryBytes), align: 'right' },
        { title: 'LOAD', value: (model) => formatDuration(model.loadMs), align: 'right' },
        { title: 'RUN', value: (model) => formatDuration(model.runMs), align: 'right' },
        { title: 'SHA256', value: (model) => model.sha256.slice(0, 12) },
      ]),
    );
  }
  if (result.smokeTest !== null) {
    const { status, body, totalMs } = result.smokeTest;
    parts.push(`Smoke test: ${status} in ${formatDuration(totalMs)}: ${firstLine(body)}`);
  }
  return parts.join('\n');
}

function firstLine(body: string): string {
  const line = body.trim().split('\n', 1)[0]!;
  // eslint-disable-next-line no-control-regex -- a model may answer with bytes
  const clean = line.replace(/[\u0000-\u001f\u007f-\u009f\ufffd]/g, '.');
  return clean.length > 100 ? `${clean.slice(0, 100)}…` : clean;
}
