// The CPU device with real models: right answers in every datatype, clear errors, memory that is really given back.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { DATATYPE_BYTES, type Datatype, type Tensor } from '../../../src/tensors.ts';
import {
  convolutionModel,
  denseModel,
  identityModel,
  ONNX_TYPES,
  onnxModel,
  type OnnxType,
} from '../../helpers/tiny-onnx.ts';
import { cpuDevice, floats, numbersOf, workerTests } from '../../helpers/workers.ts';

const { watch, model } = workerTests();

function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}

function bytesTensor(name: string, shape: readonly number[], elements: readonly string[]): Tensor {
  const parts = elements.map((text) => {
    const body = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.byteLength);
    return Buffer.concat([length, body]);
  });
  return { name, datatype: 'BYTES', shape, data: new Uint8Array(Buffer.concat(parts)) };
}

describe('the CPU device', () => {
  it('carries every datatype through unchanged, from bytes that are not aligned too', async () => {
    const { runner } = watch(cpuDevice());
    await runner.start();
    for (const datatype of Object.keys(ONNX_TYPES).filter((type) => type !== 'BF16') as (OnnxType & Datatype)[]) {
      const { inputs } = await runner.load(model(datatype, identityModel(datatype)));
      expect(inputs).toEqual([{ name: 'x', datatype, shape: [-1, 3] }]);
      let tensor: Tensor;
      if (datatype === 'BYTES') {
        tensor = bytesTensor('x', [2, 3], ['', 'a', 'é', '日本語', 'x'.repeat(1000), ' ']);
      } else {
        const bytes = new Uint8Array(1 + 6 * DATATYPE_BYTES[datatype]).map((_, i) =>
          datatype === 'BOOL' ? i % 2 : (i * 37) % 120,
        );
        tensor = { name: 'x', datatype, shape: [2, 3], data: bytes.subarray(1) };
      }
      const { outputs } = await runner.run(datatype, [tensor]);
      expect(outputs[0]).toMatchObject({ name: 'y', datatype, shape: [2, 3] });
      expect(Buffer.from(outputs[0]!.data).equals(Buffer.from(tensor.data))).toBe(true);
      await runner.evict(datatype);
    }
  });

  it('takes an empty batch and a scalar', async () => {
    const { runner } = watch(cpuDevice());
    await runner.start();
    await runner.load(model('batch', identityModel('FP32')));
    await runner.load(model('scalar', identityModel('FP32', [])));
    expect((await runner.run('batch', [floats('x', [0, 3], [])])).outputs[0]).toMatchObject({ shape: [0, 3] });
    expect(numbersOf((await runner.run('scalar', [floats('x', [], [7])])).outputs[0])).toEqual([7]);
  });

  it('refuses strings that the runtime would damage', async () => {
    const { runner } = watch(cpuDevice());
    await runner.start();
    await runner.load(model('text', identityModel('BYTES')));
    await expect(runner.run('text', [bytesTensor('x', [1, 3], ['a', 'b\0c', 'd'])])).rejects.toMatchObject({
      code: 'BAD_TENSOR',
      message: expect.stringMatching(/NUL/),
    });
    const broken = bytesTensor('x', [1, 3], ['a', 'b', 'c']);
    broken.data[4] = 0xff;
    await expect(runner.run('text', [broken])).rejects.toMatchObject({
      code: 'BAD_TENSOR',
      message: expect.stringMatching(/UTF-8/),
    });
  });

  it('answers BAD_MODEL to what is no model, without paths in the message', async () => {
    const { runner } = watch(cpuDevice());
    await runner.start();
    const good = denseModel(1, 8);
    const wrongOperator = onnxModel({
      inputs: [{ name: 'x', type: 'FP32', shape: [1] }],
      outputs: [{ name: 'y', type: 'FP32', shape: [1] }],
      nodes: [{ op: 'NoSuchOperator', inputs: ['x'], outputs: ['y'] }],
    });
    for (const [id, onnx] of [
      ['empty', new Uint8Array(0)],
      ['text', Buffer.from('hello, this is no model')],
      ['cut', good.subarray(0, good.length - 100)],
      ['operator', wrongOperator],
      ['bf16', identityModel('BF16')],
    ] as const) {
      const error: unknown = await runner.load(model(id, onnx)).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'BAD_MODEL',
        message: expect.not.stringMatching(/\/tmp|onnxruntime\/|\.cc/),
      });
    }
    await expect(runner.load({ ...model('gone', good), path: '/no/such/file.onnx' })).rejects.toMatchObject({
      code: 'BAD_MODEL',
    });
    expect(runner.state).toBe('ready');
  });

  it('answers BAD_TENSOR when the model itself fails on the values', async () => {
    const { runner } = watch(cpuDevice());
    await runner.start();
    const gather = onnxModel({
      inputs: [
        { name: 'x', type: 'FP32', shape: [3] },
        { name: 'i', type: 'INT64', shape: [1] },
      ],
      outputs: [{ name: 'y', type: 'FP32', shape: [1] }],
      nodes: [{ op: 'Gather', inputs: ['x', 'i'], outputs: ['y'] }],
    });
    await runner.load(model('gather', gather));
    const index = (value: bigint): Tensor => ({
      name: 'i',
      datatype: 'INT64',
      shape: [1],
      data: new Uint8Array(new BigInt64Array([value]).buffer),
    });
    const x = floats('x', [3], [5, 6, 7]);
    expect(numbersOf((await runner.run('gather', [x, index(1n)])).outputs[0])).toEqual([6]);
    await expect(runner.run('gather', [floats('x', [3], [5, 6, 7]), index(99n)])).rejects.toMatchObject({
      code: 'BAD_TENSOR',
    });
  });

  it('refuses session options that would write files or load code, and takes those that tune', async () => {
    const { runner } = watch(cpuDevice());
    await runner.start();
    const plain = model('dense', denseModel(1, 8));
    for (const sessionOptions of [
      { optimizedModelFilePath: '/tmp/x' },
      { enableProfiling: true },
      { executionProviders: ['cuda'] },
      { extra: { session: { custom_ops_library: 'x' } } },
      { extra: 'x' },
    ]) {
      await expect(runner.load({ ...plain, sessionOptions })).rejects.toMatchObject({ code: 'BAD_MODEL' });
    }
    await runner.load({
      ...plain,
      sessionOptions: { graphOptimizationLevel: 'basic', extra: { session: { set_denormal_as_zero: '1' } } },
    });
    expect((await runner.run('dense', [floats('x', [2, 8], new Float32Array(16).fill(1))])).outputs[0]).toMatchObject({
      shape: [2, 8],
    });
  });

  it('runs one model while another loads', async () => {
    const { runner } = watch(cpuDevice());
    await runner.start();
    await runner.load(model('small', identityModel('FP32')));
    const big = model('big', denseModel(6, 1024));
    let loaded = false;
    const loading = runner.load(big).then(() => (loaded = true));
    let runsMeanwhile = 0;
    while (!loaded) {
      await runner.run('small', [floats('x', [1, 3], [1, 2, 3])]);
      if (!loaded) runsMeanwhile += 1;
    }
    await loading;
    expect(runsMeanwhile).toBeGreaterThan(0);
  });

  it.runIf(process.platform === 'linux')(
    'gives memory back to the system on eviction, and traffic leaves none behind',
    async () => {
      const { runner } = watch(cpuDevice());
      await runner.start();
      const { pid } = runner;
      // The first load and eviction fill what every later one uses again.
      await runner.load(model('first', convolutionModel(2, 16, 32)));
      await runner.evict('first');
      while ((await runner.measure()).settled === false) await sleep(50);
      const empty = rssOf(pid!);
      const cnn = model('cnn', convolutionModel(12, 480, 32));
      const { measuredBytes } = await runner.load(cnn);
      expect(measuredBytes).toBeGreaterThan(80e6);
      const image = (): Tensor => floats('x', [1, 3, 32, 32], new Float32Array(3 * 32 * 32).fill(0.5));
      await runner.run('cnn', [image()]);
      // The next empty thread is started a moment after a load; an empty worker has one too.
      while ((await runner.measure()).settled === false) await sleep(50);
      const warm = rssOf(pid!) - empty;
      expect(warm).toBeGreaterThan(90e6);
      for (let i = 0; i < 50; i++) await runner.run('cnn', [image()]);
      const worked = rssOf(pid!) - empty;
      expect(worked).toBeLessThan(warm * 1.1);
      const { processRssBytes, emptyRssBytes } = await runner.measure();
      expect(Math.abs(processRssBytes - emptyRssBytes - warm)).toBeLessThan(0.3 * warm);
      const { releasedBytes } = await runner.evict('cnn');
      expect(releasedBytes).toBeGreaterThan(80e6);
      expect(rssOf(pid!) - empty).toBeLessThan(0.2 * warm);
    },
  );
});
