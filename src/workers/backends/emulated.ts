// The emulated device: loads and runs are timed waits of the model's profile, divided by the device's speed; outputs
// are zeros of the declared shape. Memory is accounted as the profile says, and refused when it would not fit.

import type { Device } from '../../devices/types.ts';
import { GpufaasError } from '../../errors.ts';
import { DATATYPE_BYTES, elementCount, type Tensor, type TensorSpec } from '../../tensors.ts';
import { checkInputs } from '../check-inputs.ts';
import type { LoadableModel } from '../types.ts';
import type { Backend, LoadedModel } from './backend.ts';

/** Waits by the device's time. What a timer oversleeps is taken off the next wait, so that sums stay true. */
class Waiter {
  readonly #speed: number;
  #oversleptMs = 0;

  constructor(speed: number) {
    this.#speed = speed;
  }

  /** Waits `ms` of device time; gives the device time it took. */
  async wait(ms: number): Promise<number> {
    const startMs = performance.now();
    const wantedMs = ms / this.#speed;
    const sleepMs = wantedMs - Math.min(this.#oversleptMs, wantedMs);
    this.#oversleptMs -= wantedMs - sleepMs;
    if (sleepMs > 0) await new Promise((resolve) => void setTimeout(resolve, Math.floor(sleepMs)));
    const tookMs = performance.now() - startMs;
    // One second of debt at most: after a machine that slept, the device must not race.
    this.#oversleptMs = Math.min(1000, this.#oversleptMs + tookMs - sleepMs);
    return tookMs * this.#speed;
  }
}

/** Rows of a run: the largest first dimension among the inputs whose first dimension is free, else 1. */
function rowsOf(specs: readonly TensorSpec[], inputs: readonly Tensor[]): number {
  let rows = 1;
  for (const input of inputs) {
    const spec = specs.find(({ name }) => name === input.name);
    if (spec?.shape[0] === -1) rows = Math.max(rows, input.shape[0] ?? 1);
  }
  return rows;
}

/** Zeros of the declared shape; a free first dimension is the batch, any other free one is 1. */
function zeros(spec: TensorSpec, rows: number): Tensor {
  const shape = spec.shape.map((size, axis) => (size >= 0 ? size : axis === 0 ? rows : 1));
  // An empty string is four zero bytes of length, so BYTES are zeros too.
  const width = spec.datatype === 'BYTES' ? 4 : DATATYPE_BYTES[spec.datatype];
  return { name: spec.name, datatype: spec.datatype, shape, data: new Uint8Array(elementCount(shape) * width) };
}

/** Milliseconds of a run with so many rows; past the profile's end the last step repeats. */
function runMsOf(emulation: NonNullable<LoadableModel['emulation']>, rows: number): number {
  const byRows = emulation.runMsByRows;
  if (rows <= 1 || byRows === undefined || byRows.length === 0) return emulation.runMs;
  const last = byRows.length - 1;
  if (rows - 1 <= last) return byRows[rows - 1]!;
  const step = last === 0 ? byRows[0]! : byRows[last]! - byRows[last - 1]!;
  return byRows[last]! + step * (rows - 1 - last);
}

/** Opens the emulated device. */
export function createBackend(device: Device): Backend {
  const loads = new Waiter(device.speed ?? 1);
  const runs = new Waiter(device.speed ?? 1);
  let usedBytes = 0;

  return {
    warmUp: () => Promise.resolve(),
    memory: () => ({ totalBytes: device.memoryBytes, freeBytes: device.memoryBytes - usedBytes }),
    async load(model): Promise<LoadedModel> {
      const { emulation } = model;
      if (emulation === undefined) {
        throw new GpufaasError('BAD_MODEL', 'An emulated device needs a profile of the model, and there is none.');
      }
      if (usedBytes + emulation.memoryBytes > device.memoryBytes) {
        throw new GpufaasError('OUT_OF_MEMORY', `${device.id} has no room for ${emulation.memoryBytes} bytes more.`);
      }
      usedBytes += emulation.memoryBytes;
      const loadMs = await loads.wait(emulation.loadMs);
      return {
        loadMs,
        inputs: model.inputs,
        outputs: model.outputs,
        async run(inputs) {
          checkInputs(model.inputs, inputs);
          const rows = rowsOf(model.inputs, inputs);
          const runMs = await runs.wait(runMsOf(emulation, rows));
          return { outputs: model.outputs.map((spec) => zeros(spec, rows)), runMs };
        },
        release() {
          usedBytes -= emulation.memoryBytes;
          return Promise.resolve();
        },
      };
    },
  };
}
