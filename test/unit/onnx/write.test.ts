import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { buildNetwork, NETWORK_INPUT_ROW } from '../../../src/onnx/networks.ts';
import { OnnxGraph, OnnxModel } from '../../../src/onnx/write.ts';
import {
  fixedShapeModel,
  futureModel,
  identityModel,
  tinyExternalModel,
  tinyModel,
  unfoldingModel,
  unknownOperatorModel,
} from '../../helpers/models.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'onnx-write-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('models written by OnnxModel', () => {
  it('run in ONNX Runtime and answer as computed by hand', async () => {
    const { bytes, answer } = tinyModel(3);
    const session = await InferenceSession.create(bytes);
    const rows = [
      [1, -2, 3, 0.5],
      [0, 0.25, -1, 2],
    ];
    const { output } = await session.run({ input: new Tensor('float32', rows.flat(), [2, 4]) });
    const expected = rows.flatMap(answer);
    (output!.data as Float32Array).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
    expect(output!.dims).toEqual([2, 3]);
    await session.release();
  });

  it('run with their weights in another file', async () => {
    const { model, data } = tinyExternalModel(3);
    writeFileSync(join(folder, 'model.onnx'), model);
    writeFileSync(join(folder, 'weights.bin'), data);
    const session = await InferenceSession.create(join(folder, 'model.onnx'));
    const { output } = await session.run({ input: new Tensor('float32', [1, 1, 1, 1], [1, 4]) });
    const expected = tinyModel(3).answer([1, 1, 1, 1]);
    (output!.data as Float32Array).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
    await session.release();
  });

  it('run with every kind of attribute, bodies of If too', async () => {
    const body = (value: number): OnnxGraph =>
      new OnnxGraph(`always-${value}`)
        .output('taken', 'FP32', [2])
        .constant('taken', { datatype: 'FP32', shape: [2], data: Float32Array.of(value, value) });
    const bytes = new OnnxModel()
      .input('condition', 'BOOL', [])
      .output('y', 'FP32', [4])
      .node('If', ['condition'], ['t'], { then_branch: { graph: body(1) }, else_branch: { graph: body(-1) } })
      .node('LeakyRelu', ['t'], ['leaky'], { alpha: { float: 0.5 } })
      .node('Constant', [], ['two'], { value_floats: { floats: [7, 8] } })
      .node('Concat', ['leaky', 'two'], ['y'], { axis: { int: 0 } })
      .encode();
    const session = await InferenceSession.create(bytes);
    const { y } = await session.run({ condition: new Tensor('bool', [false], []) });
    expect([...(y!.data as Float32Array)]).toEqual([-0.5, -0.5, 7, 8]);
    await session.release();
  });

  it('refuse weights that do not fill their shape', () => {
    const model = new OnnxModel().weights('w', [2, 2], new Float32Array(3));
    expect(() => model.encode()).toThrow(RangeError);
  });

  it('of the test helpers load, or fail as they should', async () => {
    for (const bytes of [identityModel(), fixedShapeModel(), unfoldingModel(1)]) {
      const session = await InferenceSession.create(bytes);
      await session.release();
    }
    await expect(InferenceSession.create(futureModel())).rejects.toThrow(/opset/iu);
    await expect(InferenceSession.create(unknownOperatorModel())).rejects.toThrow(/Levitate/u);
    expect(unfoldingModel().length).toBeLessThan(10_000);
  });
});

describe('buildNetwork', () => {
  it.each(['cnn', 'mlp'] as const)('makes a %s of the wanted size that follows from its seed', async (kind) => {
    const bytes = buildNetwork({ kind, megabytes: 8, seed: 5 }).encode();
    expect(Math.abs(bytes.length / 8e6 - 1)).toBeLessThan(0.03);
    expect(Buffer.compare(bytes, buildNetwork({ kind, megabytes: 8, seed: 5 }).encode())).toBe(0);
    expect(Buffer.compare(bytes, buildNetwork({ kind, megabytes: 8, seed: 6 }).encode())).not.toBe(0);
    const session = await InferenceSession.create(bytes);
    const row = NETWORK_INPUT_ROW[kind];
    const size = 3 * row.reduce((product, length) => product * length, 1);
    const input = new Tensor(
      'float32',
      Float32Array.from({ length: size }, (_, i) => Math.sin(i)),
      [3, ...row],
    );
    const { output } = await session.run({ input });
    expect(output!.dims).toEqual([3, 1000]);
    const values = [...(output!.data as Float32Array)];
    expect(values.every((value) => Math.abs(value) < 1000)).toBe(true);
    expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(0.01);
    await session.release();
  });
});
