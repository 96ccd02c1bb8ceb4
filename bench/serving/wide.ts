// A network whose input is large and whose work is small: what it takes to serve it is the serving.

import { OnnxModel } from '../../src/onnx/write.ts';

/** The bytes of an ONNX file: the mean of `count` floats, `input` [batch, count] to `output` [batch, 1]. */
export function buildWide(count: number): Uint8Array {
  const model = new OnnxModel({ name: 'wide' })
    .input('input', 'FP32', ['batch', count])
    .output('output', 'FP32', ['batch', 1]);
  model.node('ReduceMean', ['input'], ['output'], { axes: { ints: [1] }, keepdims: { int: 1 } });
  return model.encode();
}
