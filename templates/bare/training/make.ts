// Writes model/model.onnx, the smallest model worth calling: node make.ts

import { writeFileSync } from 'node:fs';

import { OnnxModel } from '../../../src/onnx/write.ts';

const model = new OnnxModel({ name: 'temperature' })
  .input('celsius', 'FP32', ['batch', 1])
  .output('fahrenheit', 'FP32', ['batch', 1])
  .weights('factor', [1], Float32Array.of(1.8))
  .weights('offset', [1], Float32Array.of(32))
  .node('Mul', ['celsius', 'factor'], ['scaled'])
  .node('Add', ['scaled', 'offset'], ['fahrenheit']);
writeFileSync(new URL('../model/model.onnx', import.meta.url), model.encode());
