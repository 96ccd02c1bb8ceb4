// The networks that GPUs are tried with, their inputs, and the answers of the CPU that theirs are compared with.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../src/devices/types.ts';
import { buildNetwork, NETWORK_INPUT_ROW, type NetworkKind } from '../../src/onnx/networks.ts';
import type { Tensor } from '../../src/tensors.ts';
import { createRunner, type DeviceRunner, type RunnerOptions } from '../../src/workers/runner.ts';
import type { LoadableModel } from '../../src/workers/types.ts';

/** Rows of the inputs that answers are compared for. */
export const ROWS = [1, 3];
const MEGABYTES: Readonly<Record<NetworkKind, number>> = { cnn: 60, mlp: 40 };

/** Writes the networks into a folder, in full size or a share of it. */
export function writeNetworks(folder: string, share = 1): LoadableModel[] {
  return (['cnn', 'mlp'] as const).map((kind) => {
    mkdirSync(join(folder, kind), { recursive: true });
    const path = join(folder, kind, 'model.onnx');
    writeFileSync(path, buildNetwork({ kind, megabytes: share * MEGABYTES[kind], seed: 1 }).encode());
    return { id: kind, path, prepared: false, inputs: [], outputs: [] };
  });
}

/** An input of so many rows. */
export function inputOf(network: string, rows: number): Tensor[] {
  const shape = [rows, ...NETWORK_INPUT_ROW[network as NetworkKind]];
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i));
  return [{ name: 'input', datatype: 'FP32', shape, data: new Uint8Array(values.buffer) }];
}

/** The numbers of a first output. */
export function numbersOf(tensors: readonly Tensor[]): Float32Array {
  const bytes = tensors[0]!.data.slice();
  return new Float32Array(bytes.buffer, 0, bytes.byteLength / 4);
}

/** The largest |y - right| / max(1, |right|). */
export function differenceOf(numbers: ArrayLike<number>, right: Float32Array): number {
  let worst = numbers.length === right.length ? 0 : Infinity;
  for (const [i, expected] of right.entries()) {
    worst = Math.max(worst, Math.abs(numbers[i]! - expected) / Math.max(1, Math.abs(expected)));
  }
  return worst;
}

/** A runner whose notices are collected. */
export function openRunner(device: Device, options: RunnerOptions = {}, notices: string[] = []): DeviceRunner {
  return createRunner(
    device,
    { crashLimit: 1, ...options },
    {
      onReady: () => undefined,
      onLost: (reason) => notices.push(`lost: ${reason}`),
      onNotice: (message) => notices.push(message),
    },
  );
}

/** What the CPU answers, by `network rows`. */
export async function answersOfCpu(models: readonly LoadableModel[]): Promise<Map<string, Float32Array>> {
  const runner = openRunner({
    id: 'cpu:0',
    kind: 'cpu',
    index: 0,
    name: '',
    memoryBytes: 1e9,
    threads: 1,
    overlap: true,
  });
  const answers = new Map<string, Float32Array>();
  try {
    await runner.start();
    for (const { id, ...model } of models) {
      await runner.load({ id, ...model });
      for (const rows of ROWS) {
        answers.set(`${id} ${rows}`, numbersOf((await runner.run(id, inputOf(id, rows))).outputs));
      }
    }
  } finally {
    await runner.stop();
  }
  return answers;
}
