// A resident model whose weights are packed while it serves: real sessions, real mappings.

import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assessModel } from '../../../src/models/assess.ts';
import { inspectOnnx } from '../../../src/onnx/inspect.ts';
import { denseModel } from '../../helpers/tiny-onnx.ts';
import { cpuDevice, floats, numbersOf, workerTests } from '../../helpers/workers.ts';

const { folder, watch } = workerTests();
const WIDTH = 512;

/** A prepared model of matrix products that is to be packed after three runs. */
async function prepared() {
  const onnx = denseModel(4, WIDTH);
  const path = join(folder(), 'model.onnx');
  writeFileSync(path, onnx);
  const { inputs, outputs } = inspectOnnx(path);
  const sha256 = createHash('sha256').update(onnx).digest('hex');
  const stored = { sha256, path, bytes: onnx.byteLength, inputs, outputs };
  const settings = { folder: folder(), device: cpuDevice(), budgetBytes: 1e9, maxRows: 1, limitMs: 2_000 };
  const { preparedPath } = await assessModel(stored, settings);
  const record = join(dirname(preparedPath!), 'artefact.json');
  const artefact = JSON.parse(readFileSync(record, 'utf8'));
  writeFileSync(record, JSON.stringify({ ...artefact, mode: 'mapped', packAfterRuns: 3 }));
  return { id: 'dense', path: preparedPath!, prepared: true, inputs, outputs };
}

describe.runIf(process.platform === 'linux')('a model that is packed after three runs', { timeout: 60_000 }, () => {
  it('lets go of its mapped weights in a pause, answers as before, and gives its memory back', async () => {
    const { runner } = watch(cpuDevice());
    await runner.start();
    const model = await prepared();
    await runner.load(model);
    const mappings = () => readFileSync(`/proc/${runner.pid}/maps`, 'utf8').split('weights.bin').length - 1;
    const run = async () => {
      const x = floats(
        'x',
        [1, WIDTH],
        Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(i)),
      );
      return numbersOf((await runner.run(model.id, [x])).outputs[0]);
    };
    const atFirst = await run();
    const mapped = mappings();
    expect(mapped).toBeGreaterThanOrEqual(4);
    await run();
    await run();
    await expect.poll(mappings, { timeout: 10_000 }).toBeLessThan(mapped);
    const packed = await run();
    expect(Math.max(...packed.map((y, i) => Math.abs(y - atFirst[i]!) / Math.max(1, Math.abs(y))))).toBeLessThan(1e-5);
    await runner.evict(model.id);
    expect(mappings()).toBe(0);
  });

  it('goes on as it is if its file has gone', async () => {
    const { runner, lost } = watch(cpuDevice());
    await runner.start();
    const model = await prepared();
    await runner.load(model);
    const run = async () => {
      const x = floats('x', [1, WIDTH], new Float32Array(WIDTH).fill(0.5));
      return numbersOf((await runner.run(model.id, [x])).outputs[0]);
    };
    const atFirst = await run();
    renameSync(model.path, `${model.path}.gone`);
    // Twice as many runs as lose what packing takes: it is tried without a pause.
    for (let i = 0; i < 8; i++) expect(await run()).toEqual(atFirst);
    expect(lost).toEqual([]);
  });
});
