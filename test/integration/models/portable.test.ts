// The form of a model for devices that copy it, with the CPU in the place of such a device.

import { createHash } from 'node:crypto';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { artefactKey, findArtefact, isArtefact, isCurrent } from '../../../src/models/artefact.ts';
import { assessOnCard, dropPortable, preparePortable } from '../../../src/models/portable.ts';
import type { StoredModel } from '../../../src/models/types.ts';
import { inspectOnnx } from '../../../src/onnx/inspect.ts';
import { buildNetwork, NETWORK_INPUT_ROW } from '../../../src/onnx/networks.ts';
import { onnxModel } from '../../helpers/tiny-onnx.ts';
import { cpuDevice, floats, numbersOf, workerTests } from '../../helpers/workers.ts';

const { folder, watch } = workerTests();
const OPTIONS = { budgetBytes: 1e9, maxRows: 1 };

function store(onnx: Uint8Array): StoredModel {
  const path = join(folder(), 'model.onnx');
  writeFileSync(path, onnx);
  const { inputs, outputs } = inspectOnnx(path);
  return { sha256: createHash('sha256').update(onnx).digest('hex'), path, bytes: onnx.byteLength, inputs, outputs };
}

describe('the portable form of a model', { timeout: 60_000 }, () => {
  it('has its weights outside of the graph, answers as the original, and is made once', async () => {
    const stored = store(buildNetwork({ kind: 'cnn', megabytes: 4, seed: 1 }).encode());
    const place = folder();
    const portable = await preparePortable(stored, place, OPTIONS);
    const { portablePath, profile } = await assessOnCard(stored, cpuDevice(), portable, place, OPTIONS);
    await dropPortable(portable!);
    expect(readdirSync(place)).toHaveLength(1);
    expect(profile.loadMs).toBeGreaterThan(0);
    expect(await findArtefact(place, artefactKey(stored.sha256, {}, 1, 'any'))).toBe(portablePath);
    expect(await findArtefact(place, artefactKey(stored.sha256))).toBeNull();
    expect([isCurrent(portablePath!), isArtefact(portablePath!), isArtefact(stored.path)]).toEqual([true, true, false]);
    expect(statSync(portablePath!).size).toBeLessThan(stored.bytes / 20);
    expect(statSync(join(dirname(portablePath!), 'weights.bin')).size).toBeGreaterThan(stored.bytes / 2);
    expect(await preparePortable(stored, place, OPTIONS)).toEqual({ path: portablePath, staging: null });

    const { runner } = watch(cpuDevice());
    await runner.start();
    const shape = [2, ...NETWORK_INPUT_ROW.cnn];
    const input = floats(
      'input',
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i)),
    );
    const answers: number[][] = [];
    for (const [id, path] of [
      ['original', stored.path],
      ['portable', portablePath!],
    ] as const) {
      await runner.load({ id, path, prepared: false, inputs: [], outputs: [] });
      const copy = { ...input, data: input.data.slice() };
      answers.push(numbersOf((await runner.run(id, [copy])).outputs[0]));
    }
    const [original, own] = answers;
    for (const [i, y] of own!.entries()) expect(y).toBeCloseTo(original![i]!, 4);
  });

  it('is left out where it can not be made; the original says what is wrong', async () => {
    const stored = store(
      onnxModel({
        inputs: [{ name: 'x', type: 'FP32', shape: [1] }],
        outputs: [{ name: 'y', type: 'FP32', shape: [1] }],
        nodes: [{ op: 'NoSuchOperator', inputs: ['x'], outputs: ['y'] }],
      }),
    );
    const place = folder();
    expect(await preparePortable(stored, place, OPTIONS)).toBeNull();
    expect(readdirSync(place)).toEqual([]);
    await expect(assessOnCard(stored, cpuDevice(), null, place, OPTIONS)).rejects.toMatchObject({ code: 'BAD_MODEL' });
  });

  it('is left out where a device answers otherwise with it, or can not load it', async () => {
    const stored = store(buildNetwork({ kind: 'mlp', megabytes: 1, seed: 1 }).encode());
    const other = store(buildNetwork({ kind: 'mlp', megabytes: 1, seed: 2 }).encode());
    const broken = join(folder(), 'model.onnx');
    writeFileSync(broken, 'no model');
    for (const path of [other.path, broken]) {
      const place = folder();
      const { portablePath, profile } = await assessOnCard(
        stored,
        cpuDevice(),
        { path, staging: null },
        place,
        OPTIONS,
      );
      expect(portablePath).toBeNull();
      expect(profile.runMs).toBeGreaterThan(0);
    }
  });
});
