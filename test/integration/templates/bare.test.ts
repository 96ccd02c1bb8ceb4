import { readFileSync } from 'node:fs';

import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, it } from 'vitest';

import { inspectOnnx } from '../../../src/onnx/inspect.ts';

const folder = new URL('../../../templates/bare/', import.meta.url);

it('the template bare has a model that answers its sample as its README says', async () => {
  const path = new URL('model/model.onnx', folder).pathname;
  const { inputs } = JSON.parse(readFileSync(new URL('samples/temperatures.json', folder), 'utf8')) as {
    inputs: [{ name: string; shape: number[]; data: number[] }];
  };
  expect(inspectOnnx(path).inputs).toEqual([{ name: inputs[0].name, datatype: 'FP32', shape: [-1, 1] }]);
  const session = await InferenceSession.create(path);
  const { fahrenheit } = await session.run({
    celsius: new Tensor('float32', Float32Array.from(inputs[0].data), inputs[0].shape),
  });
  expect([...(fahrenheit!.data as Float32Array)]).toEqual([-40, 32, 212]);
  await session.release();
});
