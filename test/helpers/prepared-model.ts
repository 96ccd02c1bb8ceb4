// A model as a deploy prepares it, for tests of what a worker does with one.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { assessModel } from '../../src/models/assess.ts';
import { inspectOnnx } from '../../src/onnx/inspect.ts';
import type { LoadableModel } from '../../src/workers/types.ts';
import { denseModel } from './tiny-onnx.ts';
import { cpuDevice } from './workers.ts';

/** Four matrix products of that width, mapped; `artefact` is what its record says otherwise. */
export async function preparedDense(
  folder: string,
  width: number,
  artefact: Readonly<Record<string, unknown>> = {},
): Promise<LoadableModel> {
  const onnx = denseModel(4, width);
  const path = join(folder, 'model.onnx');
  writeFileSync(path, onnx);
  const { inputs, outputs } = inspectOnnx(path);
  const sha256 = createHash('sha256').update(onnx).digest('hex');
  const stored = { sha256, path, bytes: onnx.byteLength, inputs, outputs };
  const settings = { folder, device: cpuDevice(), budgetBytes: 1e9, maxRows: 1, limitMs: 2_000 };
  const { preparedPath } = await assessModel(stored, settings);
  const file = join(dirname(preparedPath!), 'artefact.json');
  const { packAfterRuns: _, ...record } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, JSON.stringify({ ...record, mode: 'mapped', ...artefact }));
  return { id: 'dense', path: preparedPath!, prepared: true, inputs, outputs };
}
