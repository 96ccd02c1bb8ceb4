// What ONNX Runtime's error texts mean to us; the texts are those it is known to give.

import { describe, expect, it } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { type OrtStage, translateOrtError } from '../../../src/workers/backends/ort-errors.ts';

/** How the CUDA provider begins what it has to say. */
const CUDA_CALL =
  'Exception during initialization: /onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:121 std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, ERRTYPE, const char*, const char*, int) [with ERRTYPE = cudaError; bool THRW = true; std::conditional_t<THRW, void, onnxruntime::common::Status> = void]';

describe('why a card can not be used', () => {
  it.each([
    ['CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version', /too old for CUDA 12.*525/],
    ['CUDA failure 802: system not yet initialized', /nvidia-fabricmanager/],
    ['CUDA failure 803: system has unsupported display driver / cuda driver combination', /different versions/],
    ['CUDA failure 46: all CUDA-capable devices are busy or unavailable', /exclusive compute mode/],
    ['CUDA failure 100: no CUDA-capable device is detected', /CUDA_VISIBLE_DEVICES/],
    ['CUDA failure 209: no kernel image is available for execution on the device', /compute capability/],
    ['CUDA failure 1: invalid argument', /CUDA failure 1: invalid argument$/],
    ['CUDNN failure 1001: CUDNN_STATUS_NOT_INITIALIZED', /another version than 9/],
  ])('is told from %s', (failure, message) => {
    const text = `${CUDA_CALL} ${failure} ; GPU=-1 ; hostname=egg ; file=/onnxruntime_src/x.cc ; line=336 ; expr=cudaSetDevice(info_.device_id);`;
    const error = translateOrtError(new Error(text), 'probe');
    expect(error).toMatchObject({ code: 'NO_DEVICE', message: expect.stringMatching(message) });
    expect(error.message).not.toMatch(/egg|onnxruntime/);
  });

  it.each([
    ['libcudnn.so.9', /cuDNN 9 for CUDA 12 is missing \(libcudnn\.so\.9\).*LD_LIBRARY_PATH/],
    ['libcublasLt.so.12', /CUDA 12 runtime is missing/],
    ['libcurand.so.10', /CUDA 12 runtime is missing/],
    ['libcuda.so.1', /install the driver/],
    ['libonnxruntime_providers_shared.so', /gpufaas setup cuda/],
    ['libstdc++.so.7', /a library is missing \(libstdc\+\+\.so\.7\)/],
  ])('names the missing %s and what to do', (library, message) => {
    const text = `/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1539 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library libonnxruntime_providers_cuda.so with error: ${library}: cannot open shared object file: No such file or directory`;
    expect(translateOrtError(new Error(text), 'probe').message).toMatch(message);
  });
});

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
    [
      'load',
      'OUT_OF_MEMORY',
      `${CUDA_CALL} CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=egg ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=164 ; expr=cublasCreate(&cublas_handle_);`,
    ],
    [
      'load',
      'OUT_OF_MEMORY',
      `${CUDA_CALL} CUDNN failure 1001: CUDNN_STATUS_NOT_INITIALIZED ; GPU=0 ; hostname=egg ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_stream_handle.cc ; line=52 ; expr=cudnnCreate(&cudnn_handle_);`,
    ],
    ['run', 'OUT_OF_MEMORY', 'CUDNN failure 4004: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0'],
    ['run', 'BAD_TENSOR', 'CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0 ; expr=cudnnConvolutionForward(x)'],
    ['load', 'WORKER_DIED', `${CUDA_CALL} CUDA failure 999: unknown error ; GPU=192915439 ; expr=cudaSetDevice(0);`],
    ['run', 'WORKER_DIED', 'CUDA failure 715: an illegal instruction was encountered ; GPU=0 ; hostname=egg'],
  ])('of a %s become %s: %s', (stage, code, text) => {
    const error = translateOrtError(new Error(text), stage);
    expect(error.code).toBe(code);
    expect(error.message).not.toMatch(/\n|\/home|onnxruntime_src|\.cc|hostname|egg|ERRTYPE/);
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
