// What tests of runners share: devices, models, events that can be waited for. Everything started is ended after the test.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { Device } from '../../src/devices/types.ts';
import type { Tensor, TensorSpec } from '../../src/tensors.ts';
import { createRunner, type DeviceRunner, type RunnerOptions } from '../../src/workers/runner.ts';
import type { LoadableModel } from '../../src/workers/types.ts';

/** A runner with everything it reported. */
export interface Watched {
  readonly runner: DeviceRunner;
  readonly lost: { readonly reason: string; readonly final: boolean }[];
  readonly notices: { readonly message: string; readonly details: Readonly<Record<string, unknown>> }[];
  /** Times it became ready. */
  ready(): number;
}

export function cpuDevice(overrides: Partial<Device> = {}): Device {
  return {
    id: 'cpu:0',
    kind: 'cpu',
    index: 0,
    name: 'test',
    memoryBytes: 1e9,
    threads: 1,
    overlap: true,
    ...overrides,
  };
}

export function emulatedDevice(overrides: Partial<Device> = {}): Device {
  return cpuDevice({ id: 'emulated:0', kind: 'emulated', ...overrides });
}

const X: TensorSpec = { name: 'x', datatype: 'FP32', shape: [-1, 3] };

/** A model of the emulated backend: 1 x 3 floats in and out. */
export function emulatedModel(id: string, overrides: Partial<LoadableModel> = {}): LoadableModel {
  return {
    id,
    path: id,
    prepared: false,
    emulation: { loadMs: 5, runMs: 5, memoryBytes: 100e6 },
    inputs: [X],
    outputs: [{ ...X, name: 'y' }],
    ...overrides,
  };
}

/** An FP32 tensor in bytes of its own. */
export function floats(name: string, shape: readonly number[], values: ArrayLike<number>): Tensor {
  return { name, datatype: 'FP32', shape, data: new Uint8Array(Float32Array.from(values).buffer) };
}

/** The numbers of an FP32 tensor. */
export function numbersOf(tensor: Tensor | undefined): number[] {
  const data = tensor!.data.slice();
  return [...new Float32Array(data.buffer, 0, data.byteLength / 4)];
}

/** Call once in a test file: runners and folders that end with each test. */
export function workerTests(): {
  readonly watch: (device: Device, options?: RunnerOptions) => Watched;
  /** Writes an ONNX file and describes it as a model to load. */
  readonly model: (id: string, onnx: Uint8Array) => LoadableModel;
  readonly folder: () => string;
} {
  const runners: DeviceRunner[] = [];
  const folders: string[] = [];
  afterEach(async () => {
    await Promise.all(runners.splice(0).map((runner) => runner.stop(true)));
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'gpufaas-test-'));
    folders.push(path);
    return path;
  };
  return {
    folder,
    watch(device, options = {}) {
      const lost: Watched['lost'] = [];
      const notices: Watched['notices'] = [];
      let ready = 0;
      const runner = createRunner(device, options, {
        onReady: () => void (ready += 1),
        onLost: (reason, final) => void lost.push({ reason, final }),
        onNotice: (message, details) => void notices.push({ message, details }),
      });
      runners.push(runner);
      return { runner, lost, notices, ready: () => ready };
    },
    model(id, onnx) {
      const path = join(folder(), `${id}.onnx`);
      writeFileSync(path, onnx);
      return { id, path, prepared: false, inputs: [], outputs: [] };
    },
  };
}
