// What the scheduler is told of batching, by what manifests ask for and what deploy found.

import { expect, it } from 'vitest';
import { Catalog, createServing } from '../../../src/daemon/catalog.ts';
import type { Dispatcher } from '../../../src/daemon/dispatcher.ts';
import { parseManifest } from '../../../src/functions/manifest.ts';
import type { Model } from '../../../src/models/types.ts';
import type { BatchingSpec, ModelSpec } from '../../../src/scheduling/types.ts';

const TIMES = [2, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7];

function modelOf(sharedRows: number): Model {
  return {
    sha256: 'a'.repeat(64),
    key: 'a'.repeat(64),
    path: '/m.onnx',
    bytes: 1,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 2] }],
    preparedPath: null,
    profile: {
      loadMs: 1,
      runMs: 2,
      memoryBytes: 1,
      runMsByRows: TIMES,
      device: 'cpu',
      ...(sharedRows > 0 && { sharedRows }),
    },
  };
}

/** What the scheduler is told of one model that functions with these lines in their manifests use. */
function batchingOf(
  lines: readonly string[],
  { sharedRows = 8, batchesUnasked = true, differ = false } = {},
): { told: BatchingSpec | undefined; shown: BatchingSpec | null } {
  let told: ModelSpec | undefined;
  const dispatcher = {
    addModel: (_loadable: unknown, spec: ModelSpec) => (told = spec),
    pin: () => undefined,
    batchesDiffer: () => differ,
  };
  const catalog = new Catalog(dispatcher as unknown as Dispatcher, batchesUnasked);
  const model = modelOf(sharedRows);
  for (const [index, line] of lines.entries()) {
    const yaml = `name: f${index}\nmodels: { m: { path: m.onnx } }\n${line}\n`;
    const manifest = parseManifest(yaml, { source: 'function.yaml' });
    const version = {
      name: manifest.name,
      version: 1,
      manifest,
      folder: '/',
      models: { m: model.key },
      createdAtMs: 0,
    };
    catalog.serve(createServing(version, new Map([[model.key, model]]), null));
  }
  return { told: told?.batching, shown: catalog.batching(model.key) };
}
const FOUND = { maxSize: 8, maxDelayMs: 0, unasked: true, runMsByRows: TIMES };

it('a model that deploy found to profit is batched without being asked for, and nobody waits for companions', () => {
  expect(batchingOf([''])).toEqual({ told: FOUND, shown: FOUND });
  expect(batchingOf([''], { sharedRows: 0 })).toEqual({ told: undefined, shown: null });
});

it('not on devices for which nothing of it was seen', () => {
  expect(batchingOf([''], { batchesUnasked: false })).toEqual({ told: undefined, shown: null });
});

it('what a manifest asks for comes before what was found, and the largest of several holds', () => {
  const { told } = batchingOf([
    'batching: { maxSize: 4, maxDelay: 3ms }',
    'batching: { maxSize: 16, maxDelay: 1ms }',
    '',
  ]);
  expect(told).toEqual({ maxSize: 16, maxDelayMs: 3, runMsByRows: TIMES });
});

it('one function that refuses is enough', () => {
  expect(batchingOf(['', 'batching: false']).told).toBeUndefined();
});

it('what was given up is not shown any more', () => {
  expect(batchingOf([''], { differ: true }).shown).toBeNull();
  expect(batchingOf(['batching: { maxSize: 4, maxDelay: 3ms }'], { differ: true }).shown?.maxSize).toBe(4);
});
