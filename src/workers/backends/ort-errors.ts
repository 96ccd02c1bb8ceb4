// The one place that reads ONNX Runtime's error texts (its errors carry no codes) and says what they mean to us.

import { type ErrorCode, GpufaasError } from '../../errors.ts';
import { cardObstacle, cudaFailure, isCardLost, isOutOfCardMemory } from './cuda-errors.ts';

/** What was being done when the runtime threw. */
export type OrtStage = 'probe' | 'load' | 'run';

const OUT_OF_MEMORY =
  /failed to allocate memory|bad_alloc|bad allocation|out of memory|out-of-memory|cuda_error_out_of_memory|cudaErrorMemoryAllocation|(cublas|cudnn|cufft)_status_alloc_failed|available memory of \d+ is smaller than requested|E_OUTOFMEMORY|ENOMEM|cannot allocate memory|requested buffer of size/i;

// After these the device's context is gone: every later call in this process fails too, only a new process helps.
const DEVICE_LOST =
  /illegal memory access|unspecified launch failure|device-side assert|cudaErrorIllegalAddress|cudaErrorLaunchFailure|uncorrectable ECC|fallen off the bus|device (was |is )?lost|DXGI_ERROR_DEVICE/i;

const NO_ADAPTER = /failed to get a webgpu adapter|no supported adapters/i;

const OPSET = /\bopset (\d+) is under development.*?\btill opset (\d+)/is;

const BAD_INPUT =
  /got invalid dimensions|invalid rank for input|unexpected input data type|invalid feed input|missing input|indices element out of data bounds|out of (data )?bounds|cannot be reshaped|size mismatch|dimension mismatch/i;

/** One line without file paths, source positions or error numbers of the runtime's inside. */
function bland(message: string): string {
  const failure = cudaFailure(message);
  // What stands before and after it are the provider's own insides, and the name of the machine.
  if (failure !== null) return `${failure.library} failure ${failure.number}: ${failure.text}`;
  const line =
    message
      .replace(/^\s*(Error|Exception|non-zero status code returned while running)\s*:?\s*/i, '')
      .split('\n')
      .find((text) => text.trim() !== '') ?? '';
  const cleaned = line
    .replace(/^Load model from \S+( failed)?:\s*/i, '')
    // The C++ function that gave up, with its parameters.
    .replace(/(?:\b[\w:*&]+ )?\bonnxruntime::[\w:]+\((?:[^()]|\([^()]{0,200}\)){0,1000}\)(?: const)?/g, '')
    .replace(/(?:[A-Za-z]:)?(?:[\\/][\w.@+-]+){2,}(?::\d+)?/g, '…')
    .replace(/\s+/g, ' ')
    .trim();
  return cleaned.length > 300 ? `${cleaned.slice(0, 300)}…` : cleaned;
}

function codeOf(message: string, stage: OrtStage): ErrorCode {
  if (stage === 'probe') return OUT_OF_MEMORY.test(message) ? 'OUT_OF_MEMORY' : 'NO_DEVICE';
  const failure = cudaFailure(message);
  if (OUT_OF_MEMORY.test(message) || (failure !== null && isOutOfCardMemory(failure))) return 'OUT_OF_MEMORY';
  if (DEVICE_LOST.test(message) || (failure !== null && isCardLost(failure))) return 'WORKER_DIED';
  return stage === 'load' ? 'BAD_MODEL' : 'BAD_TENSOR';
}

/** Translates what the runtime threw, leaving out the model's path. WORKER_DIED means that this process can do no more on its device. */
export function translateOrtError(thrown: unknown, stage: OrtStage, path?: string): GpufaasError {
  if (thrown instanceof GpufaasError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const code = codeOf(message, stage);
  const text = bland(path === undefined ? message : message.replaceAll(path, '…'));
  switch (code) {
    case 'OUT_OF_MEMORY':
      return new GpufaasError(
        code,
        stage === 'run'
          ? 'The device ran out of memory in this run.'
          : 'The device ran out of memory while it loaded the model.',
        {
          cause: thrown,
          suggestions: [
            'Give the device more memory (--devices …@MEMORY), unload other models, or send smaller batches.',
          ],
        },
      );
    case 'NO_DEVICE':
      if (NO_ADAPTER.test(message)) {
        return new GpufaasError(code, 'No WebGPU adapter was found.', {
          cause: thrown,
          suggestions: ['Install the Vulkan driver of your graphics card (Linux).'],
        });
      }
      return new GpufaasError(code, `The device can't be used: ${cardObstacle(message) ?? text}`, {
        cause: thrown,
        suggestions: ['Run `gpufaas doctor`.'],
      });
    case 'WORKER_DIED':
      return new GpufaasError(code, 'The device failed and its worker has to start again.', { cause: thrown });
    case 'BAD_MODEL': {
      const opset = OPSET.exec(message);
      if (opset !== null) {
        return new GpufaasError(
          code,
          `The model needs operator set ${opset[1]}; this runtime knows up to ${opset[2]}.`,
          {
            cause: thrown,
            suggestions: [`Export it again with opset ${opset[2]} or lower.`],
          },
        );
      }
      return new GpufaasError(code, `The model can't be loaded: ${text}`, {
        cause: thrown,
        suggestions: ['Check the file with the ONNX checker, and that its opset is supported by ONNX Runtime.'],
      });
    }
    default:
      return new GpufaasError(
        code,
        BAD_INPUT.test(message)
          ? `The model does not take these inputs: ${text}`
          : `The model failed on these inputs: ${text}`,
        { cause: thrown, suggestions: ['Compare the shapes and values with what the model expects.'] },
      );
  }
}
