// Small models made in milliseconds, for tests: ordinary ones and the troublesome kinds.

import { OnnxModel } from '../../src/onnx/write.ts';
import { randomNormal, seededRandom } from '../../src/random.ts';
import type { Datatype } from '../../src/tensors.ts';

/** `output` [batch, 3] = relu(`input` [batch, 4] · W + b), and what it answers to one row. */
export interface TinyModel {
  readonly bytes: Uint8Array;
  readonly answer: (row: readonly number[]) => number[];
}

/** A tiny model whose weights follow from the seed. */
export function tinyModel(seed = 1): TinyModel {
  const { model, weights, bias } = tiny(seed);
  return {
    bytes: model.encode(),
    answer: (row) =>
      Array.from(bias, (offset, column) =>
        Math.max(
          0,
          row.reduce((sum, value, i) => sum + value * weights[i * 3 + column]!, offset),
        ),
      ),
  };
}

/** The tiny model with its weights in a second file, to be written beside it as `location`. */
export function tinyExternalModel(seed = 1, location = 'weights.bin'): { model: Uint8Array; data: Uint8Array } {
  return tiny(seed).model.encodeExternal(location, 1);
}

function tiny(seed: number): { model: OnnxModel; weights: Float32Array; bias: Float32Array } {
  const random = seededRandom(seed);
  const weights = Float32Array.from({ length: 12 }, () => randomNormal(random));
  const bias = Float32Array.from({ length: 3 }, () => randomNormal(random));
  const model = new OnnxModel({ name: `tiny-${seed}` })
    .input('input', 'FP32', ['batch', 4])
    .output('output', 'FP32', ['batch', 3])
    .weights('weight', [4, 3], weights)
    .weights('bias', [3], bias)
    .node('Gemm', ['input', 'weight', 'bias'], ['sum'])
    .node('Relu', ['sum'], ['output']);
  return { model, weights, bias };
}

/** The datatypes that onnxruntime-node takes and gives; BF16 it does not. */
export const RUNNABLE_DATATYPES = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'FP32',
  'FP64',
  'BYTES',
] as const satisfies readonly Datatype[];

/** For each datatype an input `in_fp32`, … [batch, 2] and an output `out_fp32`, … that equals it. */
export function identityModel(datatypes: readonly Datatype[] = RUNNABLE_DATATYPES): Uint8Array {
  const model = new OnnxModel({ name: 'identity' });
  for (const datatype of datatypes) {
    const suffix = datatype.toLowerCase();
    model.input(`in_${suffix}`, datatype, ['batch', 2]).output(`out_${suffix}`, datatype, ['batch', 2]);
    model.node('Identity', [`in_${suffix}`], [`out_${suffix}`]);
  }
  return model.encode();
}

/** `output` [2, 3] = `input` [2, 3] + 1: no batch axis. */
export function fixedShapeModel(): Uint8Array {
  return new OnnxModel({ name: 'fixed' })
    .input('input', 'FP32', [2, 3])
    .output('output', 'FP32', [2, 3])
    .weights('one', [1], Float32Array.of(1))
    .node('Add', ['input', 'one'], ['output'])
    .encode();
}

/** `output` [1] = `input` [1] + a sum over a constant of `megabytes` that the file only describes: it unfolds when loaded. */
export function unfoldingModel(megabytes = 800): Uint8Array {
  const one = { datatype: 'FP32', shape: [1], data: Float32Array.of(1) } as const;
  return (
    new OnnxModel({ name: 'unfolding' })
      .input('input', 'FP32', [1])
      .output('output', 'FP32', [1])
      .integers('size', [Math.round((megabytes * 1e6) / 4)])
      // Padding, so that the size of the file is nothing to go by.
      .weights('padding', [2048], new Float32Array(2048))
      .node('ConstantOfShape', ['size'], ['huge'], { value: { tensor: one } })
      .node('Add', ['huge', 'input'], ['shifted'])
      .node('ReduceMax', ['shifted'], ['output'], { keepdims: { int: 1 } })
      .node('Identity', ['padding'], ['unused'])
      .encode()
  );
}

/** A model in operator set 99, which no runtime knows. */
export function futureModel(): Uint8Array {
  return new OnnxModel({ name: 'future', opset: 99 })
    .input('input', 'FP32', ['batch', 4])
    .output('output', 'FP32', ['batch', 4])
    .node('Relu', ['input'], ['output'])
    .encode();
}

/** A model with an operator that nobody has. */
export function unknownOperatorModel(): Uint8Array {
  return new OnnxModel({ name: 'unknown-operator' })
    .input('input', 'FP32', ['batch', 4])
    .output('output', 'FP32', ['batch', 4])
    .node('Levitate', ['input'], ['output'])
    .encode();
}
