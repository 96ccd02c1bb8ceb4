// Checks the GPUs of this machine with real models and says what it saw:
//   npm run test:gpu [-- --json] [-- --devices cuda|webgpu]
// Exit code 0: every GPU that was found passed; 1: one did not; 2: no GPU was found.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { discoverCuda } from '../src/devices/discover.ts';
import { probeDevice } from '../src/devices/probe.ts';
import type { Device } from '../src/devices/types.ts';
import { toGpufaasError } from '../src/errors.ts';
import { buildNetwork, NETWORK_INPUT_ROW, type NetworkKind } from '../src/onnx/networks.ts';
import type { Tensor } from '../src/tensors.ts';
import { formatSize } from '../src/units.ts';
import { createRunner, type DeviceRunner } from '../src/workers/runner.ts';
import type { LoadableModel } from '../src/workers/types.ts';

interface Check {
  readonly name: string;
  readonly passed: boolean;
  readonly saw: string;
}

/** FP32 on another processor: rounding differs with the order of sums, not the answer. */
const TOLERANCE = 1e-3;
const CYCLES = 10;

const { values } = parseArgs({ options: { json: { type: 'boolean' }, devices: { type: 'string' } } });
const say = (text: string): void => {
  if (values.json !== true) console.log(text);
};
const folder = mkdtempSync(join(tmpdir(), 'gpufaas-gpu-'));

function model(kind: NetworkKind, megabytes: number): LoadableModel {
  const path = join(folder, `${kind}.onnx`);
  writeFileSync(path, buildNetwork({ kind, megabytes, seed: 1 }).encode());
  return { id: kind, path, prepared: false, inputs: [], outputs: [] };
}

function input(kind: NetworkKind, rows: number): Tensor[] {
  const shape = [rows, ...NETWORK_INPUT_ROW[kind]];
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i));
  return [{ name: 'input', datatype: 'FP32', shape, data: new Uint8Array(values.buffer) }];
}

function numbers(tensors: readonly Tensor[]): Float32Array {
  const bytes = tensors[0]!.data.slice();
  return new Float32Array(bytes.buffer, 0, bytes.byteLength / 4);
}

function open(device: Device, notices: string[] = []): DeviceRunner {
  return createRunner(
    device,
    { crashLimit: 1 },
    {
      onReady: () => undefined,
      onLost: (reason) => notices.push(`lost: ${reason}`),
      onNotice: (message) => notices.push(message),
    },
  );
}

async function expected(models: readonly LoadableModel[]): Promise<Map<string, Float32Array>> {
  const runner = open({ id: 'cpu:0', kind: 'cpu', index: 0, name: '', memoryBytes: 1e9, threads: 1, overlap: true });
  const answers = new Map<string, Float32Array>();
  try {
    await runner.start();
    for (const each of models) {
      await runner.load(each);
      for (const rows of [1, 3])
        answers.set(
          `${each.id} ${rows}`,
          numbers((await runner.run(each.id, input(each.id as NetworkKind, rows))).outputs),
        );
    }
  } finally {
    await runner.stop();
  }
  return answers;
}

async function checkDevice(
  device: Device,
  models: readonly LoadableModel[],
  answers: ReadonlyMap<string, Float32Array>,
): Promise<Check[]> {
  const checks: Check[] = [];
  const notices: string[] = [];
  const check = async (name: string, task: () => Promise<{ passed: boolean; saw: string }>): Promise<void> => {
    const outcome = await task().catch((error: unknown) => ({ passed: false, saw: toGpufaasError(error).message }));
    checks.push({ name, ...outcome });
    say(`  ${outcome.passed ? 'ok  ' : 'FAIL'} ${name}: ${outcome.saw}`);
  };
  const runner = open(device, notices);
  try {
    const startedMs = performance.now();
    await check('a worker starts on it', async () => {
      await runner.start();
      return { passed: true, saw: `${Math.round(performance.now() - startedMs)} ms` };
    });
    if (runner.state !== 'ready') return checks;
    for (const each of models) {
      const kind = each.id as NetworkKind;
      await check(`${kind}: loads, and answers as the CPU does`, async () => {
        const { loadMs, measuredBytes } = await runner.load(each);
        let worst = 0;
        let runMs = 0;
        for (const rows of [1, 3]) {
          const result = await runner.run(kind, input(kind, rows));
          const again = await runner.run(kind, input(kind, rows));
          runMs = again.runMs;
          const right = answers.get(`${kind} ${rows}`)!;
          for (const [i, y] of numbers(result.outputs).entries())
            worst = Math.max(worst, Math.abs(y - right[i]!) / Math.max(1, Math.abs(right[i]!)));
        }
        const bytes = measuredBytes === null ? 'unknown' : formatSize(measuredBytes);
        return {
          passed: worst < TOLERANCE,
          saw: `load ${Math.round(loadMs)} ms, memory ${bytes}, run of 3 rows ${runMs.toFixed(1)} ms, largest difference ${worst.toExponential(1)}`,
        };
      });
    }
    await check('two models run side by side', async () => {
      await Promise.all(
        models.flatMap(({ id }) => Array.from({ length: 10 }, () => runner.run(id, input(id as NetworkKind, 1)))),
      );
      return { passed: true, saw: '20 runs' };
    });
    await check(`memory comes back after ${CYCLES} evictions and loads`, async () => {
      for (const { id } of models) await runner.evict(id);
      const before = await runner.measure();
      for (let i = 0; i < CYCLES; i++) {
        const each = models[i % models.length]!;
        await runner.load(each);
        await runner.run(each.id, input(each.id as NetworkKind, 1));
        await runner.evict(each.id);
      }
      const after = await runner.measure();
      const own = before.deviceFreeBytes !== null && after.deviceFreeBytes !== null;
      const lost = own
        ? before.deviceFreeBytes! - after.deviceFreeBytes!
        : after.processRssBytes - before.processRssBytes;
      return {
        passed: lost < 100e6 && notices.length === 0,
        saw: `${own ? 'device' : 'process'} memory ${formatSize(lost)} more than before${notices.map((text) => `; ${text}`).join('')}`,
      };
    });
  } finally {
    await runner.stop();
  }
  return checks;
}

async function devices(): Promise<Device[]> {
  const found: Device[] = [];
  if (values.devices === undefined || values.devices === 'cuda') {
    const cuda = await discoverCuda();
    say(
      `CUDA: ${cuda.cards.length} cards; libraries ${cuda.librariesInstalled ? 'installed' : 'not installed (gpufaas setup cuda)'}${cuda.driverProblem === null ? '' : `; ${cuda.driverProblem}`}${cuda.closedNodes.length === 0 ? '' : `; no access to ${cuda.closedNodes.join(', ')}`}`,
    );
    for (const { card, device, problem } of cuda.cards) {
      say(
        `  ${card.index}: ${card.name}, ${formatSize(card.totalBytes ?? 0)}, ${formatSize(card.freeBytes ?? 0)} free, driver ${card.driverVersion}: ${problem ?? 'usable'}`,
      );
      if (device !== null) found.push(device);
    }
  }
  if (values.devices === undefined || values.devices === 'webgpu') {
    const device: Device = {
      id: 'webgpu:0',
      kind: 'webgpu',
      index: 0,
      name: 'WebGPU',
      memoryBytes: 2e9,
      threads: 1,
      overlap: true,
    };
    const probe = await probeDevice(device);
    say(`WebGPU: ${probe.usable ? 'an adapter answers' : probe.reason}`);
    if (probe.usable) found.push(device);
  }
  return found;
}

let exitCode: number;
try {
  const found = await devices();
  const results: { device: string; name: string; checks: Check[] }[] = [];
  if (found.length > 0) {
    const models = [model('cnn', 60), model('mlp', 40)];
    const answers = await expected(models);
    for (const device of found) {
      say(`${device.id} (${device.name})`);
      results.push({ device: device.id, name: device.name, checks: await checkDevice(device, models, answers) });
    }
  }
  const passed = results.every(({ checks }) => checks.every((check) => check.passed));
  exitCode = found.length === 0 ? 2 : passed ? 0 : 1;
  if (values.json === true)
    console.log(JSON.stringify({ found: found.length, passed: exitCode === 0, results }, null, 2));
  say(found.length === 0 ? 'No GPU found that can be used.' : passed ? 'Every GPU passed.' : 'A GPU did not pass.');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = exitCode;
