// What ONNX Runtime's error texts mean to us; the texts are those it is known to give.

import { describe, expect, it } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { type OrtStage, translateOrtError } from '../../../src/workers/backends/ort-errors.ts';

describe("the runtime's errors", () => {
  it.each<[OrtStage, string, string]>([
    ['run', 'OUT_OF_MEMORY', 'std::bad_alloc'],
    [
      'run',
      'OUT_OF_MEMORY',
      "Non-zero status code returned while running Conv node. Name:'c1' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t) Failed to allocate memory for requested buffer of size 4294967296",
    ],
    [
      'load',
      'OUT_OF_MEMORY',
      'Exception during initialization: CUDA failure 2: out of memory ; GPU=0 ; hostname=x ; expr=cudaMalloc((void**)&p, size);',
    ],
    ['run', 'OUT_OF_MEMORY', 'CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED'],
    ['run', 'WORKER_DIED', 'CUDA failure 700: an illegal memory access was encountered ; GPU=0'],
    ['run', 'WORKER_DIED', 'CUDA failure 719: unspecified launch failure'],
    [
      'load',
      'BAD_MODEL',
      'Load model from /home/u/.local/share/gpufaas/models/ab/model.onnx failed:Protobuf parsing failed.',
    ],
    ['load', 'BAD_MODEL', 'Fatal error: NoSuchOperator is not a registered function/op'],
    ['load', 'BAD_MODEL', 'Unsupported model IR version: 99, max supported IR version: 11'],
    [
      'run',
      'BAD_TENSOR',
      'Got invalid dimensions for input: x for the following indices\n index: 1 Got: 4 Expected: 3',
    ],
    [
      'run',
      'BAD_TENSOR',
      "Non-zero status code returned while running Gather node. Name:'' Status Message: indices element out of data bounds, idx=99 must be within the inclusive range [-3,2]",
    ],
    [
      'probe',
      'NO_DEVICE',
      'Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared object file',
    ],
  ])('of a %s become %s: %s', (stage, code, text) => {
    const error = translateOrtError(new Error(text), stage);
    expect(error.code).toBe(code);
    expect(error.message).not.toMatch(/\n|\/home|onnxruntime_src|\.cc/);
    expect(error.message.length).toBeLessThan(400);
    expect(error.cause).toBeInstanceOf(Error);
  });

  it('never name the file, even one with spaces in its path', () => {
    const path = '/home/some user/My Models/a b.onnx';
    const { message } = translateOrtError(
      new Error(`Load model from ${path} failed. File doesn't exist`),
      'load',
      path,
    );
    expect(message).toBe("The model can't be loaded: Load model from … failed. File doesn't exist");
  });

  it('that are ours already stay as they are', () => {
    const ours = new GpufaasError('BAD_TENSOR', 'x');
    expect(translateOrtError(ours, 'run')).toBe(ours);
  });
});
