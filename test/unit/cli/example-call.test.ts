import { describe, expect, it } from 'vitest';
import { exampleCall, nextCalls, smallBody } from '../../../src/cli/example-call.ts';
import type { FunctionDetail } from '../../../src/api/schemas.ts';

type Inputs = FunctionDetail['modelDetails'][number]['inputs'];

function detail(inputs: Inputs, handler: string | null = null): FunctionDetail {
  const model = { name: 'model', sha256: 'a', bytes: 1, loadMs: 1, runMs: 1, memoryBytes: 1, outputs: [] };
  return {
    name: 'line',
    version: 1,
    status: 'ready',
    models: ['model'],
    invocations: 0,
    description: '',
    url: 'http://127.0.0.1:9420/function/line',
    handler,
    createdAt: '',
    manifest: {},
    modelDetails: [
      { ...model, inputs, prepared: true, quarantined: false, residentOn: [], runMsByRows: null, batching: null },
    ],
    versions: [],
    lastErrors: [],
  };
}

describe('the first call of a function without handler', () => {
  it('has small zeros, with 1 for what is free', () => {
    expect(JSON.parse(smallBody([{ name: 'x', datatype: 'FP32', shape: [-1, 3] }])!)).toEqual({
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: [0, 0, 0] }],
    });
    const kinds = smallBody([
      { name: 'text', datatype: 'BYTES', shape: [1] },
      { name: 'mask', datatype: 'BOOL', shape: [] },
    ]);
    expect(kinds).toContain('"data":[""]');
    expect(kinds).toContain('"data":[false]');
  });

  it('can be typed as it is, whatever an input is called', () => {
    const call = exampleCall(detail([{ name: "it's", datatype: 'FP32', shape: [1] }]));
    expect(call).toMatch(/^gpufaas invoke line -d '\{"inputs":.*it'\\''s.*\}'$/);
  });

  it('is a look at the inputs where these are large, and nothing where a handler takes what it likes', () => {
    const image: Inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 3, 224, 224] }];
    expect(exampleCall(detail(image))).toBe('curl http://127.0.0.1:9420/v2/models/line');
    expect(exampleCall(detail(image, 'handler.ts'))).toBeNull();
  });
});

describe('what comes next', () => {
  it('is a call with the sample, with text for a handler, with tensors, or no call', () => {
    const calls = (of: FunctionDetail, sample: string | null = null) => nextCalls(of, sample, 'gpufaas ps');
    const large = [{ name: 'x', datatype: 'FP32', shape: [1, 3, 640, 640] }];
    expect(calls(detail([], 'handler.ts'), 'a/seven.png')).toEqual([
      'gpufaas invoke line -f a/seven.png',
      'gpufaas ps',
    ]);
    expect(calls(detail([], 'handler.ts'))).toEqual(['gpufaas invoke line -d TEXT', 'gpufaas ps']);
    expect(calls(detail([{ name: 'x', datatype: 'FP32', shape: [2] }]))[0]).toContain('"data":[0,0]');
    const two = detail(large);
    expect(calls({ ...two, modelDetails: [...two.modelDetails, ...two.modelDetails] })).toEqual(['gpufaas ps']);
  });
});
