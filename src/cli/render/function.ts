// Everything about one function, for people.

import { styleText } from 'node:util';
import type { FunctionDetail } from '../../api/schemas.ts';
import { formatDuration, formatSize } from '../../units.ts';
import { renderPairs, renderTable } from './table.ts';

type ModelDetail = FunctionDetail['modelDetails'][number];
type Tensors = ModelDetail['inputs'];

/** Facts, models, versions, last errors. */
export function renderFunction(detail: FunctionDetail): string {
  const { sample } = detail.manifest;
  const parts = [
    renderPairs([
      ['name', detail.name],
      ['description', detail.description || null],
      ['status', detail.status],
      ['version', `${detail.version}, since ${detail.createdAt}`],
      ['address', detail.url],
      ['handler', detail.handler ?? 'none: tensors in, tensors out'],
      ['sample', typeof sample === 'string' ? sample : null],
      ['calls', String(detail.invocations)],
    ]),
    ...detail.modelDetails.map(renderModel),
    section(
      'Versions',
      renderTable(detail.versions, [
        { title: 'VERSION', value: (row) => String(row.version), align: 'right' },
        { title: 'DEPLOYED', value: (row) => row.createdAt },
        { title: '', value: (row) => (row.serving ? 'serving' : '') },
        ...(detail.versions.some(({ note }) => note !== undefined)
          ? [{ title: 'NOTE', value: ({ note = '' }: FunctionDetail['versions'][number]) => note }]
          : []),
      ]),
    ),
  ];
  if (detail.lastErrors.length > 0) {
    const errors = renderTable(detail.lastErrors, [
      { title: 'AT', value: (row) => row.at },
      { title: 'CODE', value: (row) => row.code },
      { title: 'CALL', value: (row) => row.callId },
      { title: 'MESSAGE', value: (row) => row.message },
    ]);
    parts.push(section('Last errors', errors));
  }
  return parts.join('\n\n');
}

function renderModel(model: ModelDetail): string {
  const rows = model.runMsByRows;
  return section(
    `Model ${model.name}`,
    renderPairs([
      ['sha256', model.sha256],
      ['file', formatSize(model.bytes)],
      ['on a device', formatSize(model.memoryBytes)],
      ['load', `${formatDuration(model.loadMs)}${model.prepared ? ' (prepared)' : ''}`],
      ['run', formatDuration(model.runMs)],
      ['run by rows', rows === null ? null : rows.map((ms, index) => `${index + 1}: ${formatDuration(ms)}`).join(', ')],
      ['batching', renderBatching(model.batching)],
      ...(model.profiles ?? []).map(renderProfile),
      ['host cache', renderHostCache(model.hostCache)],
      ['inputs', renderTensors(model.inputs)],
      ['outputs', renderTensors(model.outputs)],
      ['resident on', model.residentOn.join(', ') || 'no device'],
      ['quarantined', model.quarantined ? 'yes: it killed its worker twice; deploy it again to try' : null],
    ]),
  );
}

function renderBatching(batching: ModelDetail['batching']): string | null {
  if (batching === null) return null;
  const why = batching.unasked
    ? 'found at deploy to pay; `batching: false` in function.yaml turns it off'
    : 'asked for';
  return `up to ${batching.maxRows} rows of different calls share a run (${why})`;
}

function renderProfile(profile: NonNullable<ModelDetail['profiles']>[number]): [string, string] {
  const { device, loadMs, runMs, memoryBytes, estimated } = profile;
  const figures = `load ${formatDuration(loadMs)}, run ${formatDuration(runMs)}, ${formatSize(memoryBytes)}`;
  return [`on ${device}`, estimated ? `${figures} (estimates: it could not be measured there yet)` : figures];
}

function renderHostCache(cache: ModelDetail['hostCache']): string | null {
  if (cache === undefined) return null;
  const { cached, hostLoadMs, diskLoadMs } = cache;
  const times = [
    ...(hostLoadMs === null ? [] : [`load from it ${formatDuration(hostLoadMs)}`]),
    ...(diskLoadMs === null ? [] : [`from disk ${formatDuration(diskLoadMs)}`]),
  ];
  return [cached ? 'ready' : 'not there', ...times].join(', ');
}

function renderTensors(tensors: Tensors): string {
  return tensors.map((tensor) => `${tensor.name} ${tensor.datatype}[${tensor.shape.join(',')}]`).join(', ');
}

function section(title: string, body: string): string {
  return `${styleText('bold', title, { stream: process.stdout })}\n${body}`;
}
