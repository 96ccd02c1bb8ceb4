// Models prepared and measured at deploy, in throwaway processes: real files, real memory.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { artefactKey, clearArtefacts, findArtefact, isCurrent } from '../../../src/models/artefact.ts';
import { assessModel, type AssessOptions } from '../../../src/models/assess.ts';
import { profileModel } from '../../../src/models/profile.ts';
import type { StoredModel } from '../../../src/models/types.ts';
import { buildNetwork } from '../../../src/onnx/networks.ts';
import { inspectOnnx } from '../../../src/onnx/inspect.ts';
import {
  convolutionModel,
  denseModel,
  identityModel,
  onnxModel,
  type OnnxNode,
  seededFloats,
} from '../../helpers/tiny-onnx.ts';
import { cpuDevice, emulatedDevice, floats, numbersOf, workerTests } from '../../helpers/workers.ts';

const { folder, watch } = workerTests();
const LIMIT = 60_000;

function store(onnx: Uint8Array): StoredModel {
  const path = join(folder(), 'model.onnx');
  writeFileSync(path, onnx);
  const { inputs, outputs } = inspectOnnx(path);
  return { sha256: createHash('sha256').update(onnx).digest('hex'), path, bytes: onnx.byteLength, inputs, outputs };
}

function options(overrides: Partial<AssessOptions> = {}): AssessOptions {
  return { folder: folder(), device: cpuDevice(), budgetBytes: 1e9, ...overrides };
}

/** A few bytes that become an 800 MB constant when they are optimised or run. */
function bomb(): Uint8Array {
  return onnxModel({
    inputs: [{ name: 'x', type: 'FP32', shape: [1] }],
    outputs: [{ name: 'y', type: 'FP32', shape: [200_000_000] }],
    weights: [{ name: 's', type: 'INT64', shape: [1], data: new Uint8Array(new BigInt64Array([200_000_000n]).buffer) }],
    nodes: [
      { op: 'ConstantOfShape', inputs: ['s'], outputs: ['big'] },
      { op: 'Add', inputs: ['big', 'x'], outputs: ['y'] },
    ],
  });
}

/** All pairs of all positions: the memory and the time of a run grow with the square of what is free. */
function pairsModel(): Uint8Array {
  const int64 = (...values: bigint[]) => new Uint8Array(new BigInt64Array(values).buffer);
  return onnxModel({
    inputs: [{ name: 'x', type: 'FP32', shape: ['n', 'h', 'w'] }],
    outputs: [{ name: 'y', type: 'FP32', shape: ['p', 'q'] }],
    weights: [
      { name: 'column', type: 'INT64', shape: [2], data: int64(-1n, 1n) },
      { name: 'row', type: 'INT64', shape: [2], data: int64(1n, -1n) },
    ],
    nodes: [
      { op: 'Reshape', inputs: ['x', 'column'], outputs: ['a'] },
      { op: 'Reshape', inputs: ['x', 'row'], outputs: ['b'] },
      { op: 'MatMul', inputs: ['a', 'b'], outputs: ['c'] },
      { op: 'Exp', inputs: ['c'], outputs: ['d'] },
      { op: 'MatMul', inputs: ['d', 'a'], outputs: ['e'] },
      { op: 'MatMul', inputs: ['e', 'b'], outputs: ['f'] },
      { op: 'MatMul', inputs: ['f', 'a'], outputs: ['y'] },
    ],
  });
}

describe('assessing a model', { timeout: LIMIT }, () => {
  it('prepares it under a key of everything it depends on, and it answers as the original does', async () => {
    const stored = store(convolutionModel(4, 64, 32));
    const settings = options();
    const steps: string[] = [];
    const { preparedPath, mode, profile } = await assessModel(stored, {
      ...settings,
      report: (step) => steps.push(step),
    });
    expect(steps).toEqual(['Preparing the model', 'Measuring the model']);
    expect(['mapped', 'prepacked']).toContain(mode);
    expect(await findArtefact(settings.folder, artefactKey(stored.sha256))).toBe(preparedPath);
    expect(
      await findArtefact(settings.folder, artefactKey(stored.sha256, { graphOptimizationLevel: 'basic' })),
    ).toBeNull();
    expect(isCurrent(preparedPath!)).toBe(true);
    expect(readdirSync(settings.folder)).toHaveLength(1);
    expect(profile.loadMs).toBeGreaterThan(0);
    expect(profile.runMs).toBeGreaterThan(0);
    expect(profile.runMsByRows!.length).toBeGreaterThanOrEqual(2);

    const { runner } = watch(cpuDevice());
    await runner.start();
    const signature = { inputs: stored.inputs, outputs: stored.outputs };
    await runner.load({ id: 'original', path: stored.path, prepared: false, ...signature });
    await runner.load({ id: 'prepared', path: preparedPath!, prepared: true, ...signature });
    const image = () => [
      floats(
        'x',
        [2, 3, 32, 32],
        Float32Array.from({ length: 2 * 3 * 32 * 32 }, (_, i) => Math.sin(i)),
      ),
    ];
    const expected = numbersOf((await runner.run('original', image())).outputs[0]);
    const answered = numbersOf((await runner.run('prepared', image())).outputs[0]);
    expect(Math.max(...expected.map((y, i) => Math.abs(y - answered[i]!) / Math.max(1, Math.abs(y))))).toBeLessThan(
      1e-5,
    );

    await clearArtefacts(settings.folder, new Set([stored.sha256]));
    expect(existsSync(preparedPath!)).toBe(true);
    await clearArtefacts(settings.folder, new Set());
    expect(existsSync(preparedPath!)).toBe(false);
    expect(isCurrent(preparedPath!)).toBe(false);
  });

  it('brings weights in files of their own into the prepared model', async () => {
    const place = folder();
    const { model, data } = buildNetwork({ kind: 'mlp', megabytes: 2, seed: 1 }).encodeExternal('weights.data');
    const path = join(place, 'model.onnx');
    writeFileSync(path, model);
    writeFileSync(join(place, 'weights.data'), data);
    const stored = { sha256: 'e'.repeat(64), path, bytes: model.byteLength + data.byteLength, ...inspectOnnx(path) };
    const { preparedPath } = await assessModel(stored, options({ maxRows: 1 }));
    const { runner } = watch(cpuDevice());
    await runner.start();
    const { inputs, outputs } = stored;
    const answers: number[][] = [];
    for (const [id, file] of [
      ['original', path],
      ['prepared', preparedPath!],
    ] as const) {
      await runner.load({ id, path: file, prepared: id === 'prepared', inputs, outputs });
      answers.push(
        numbersOf((await runner.run(id, [floats('input', [1, 256], new Float32Array(256).fill(0.5))])).outputs[0]),
      );
    }
    expect(Math.max(...answers[0]!.map((y, i) => Math.abs(y - answers[1]![i]!)))).toBeLessThan(1e-4);
  });

  it('knows an artefact of another runtime or processor as out of date', async () => {
    const stored = store(identityModel('FP32'));
    const { preparedPath } = await assessModel(stored, options());
    expect(isCurrent(preparedPath!)).toBe(true);
    const record = join(dirname(preparedPath!), 'artefact.json');
    writeFileSync(record, readFileSync(record, 'utf8').replace(/"runtime":"[^"]+"/, '"runtime":"0.1.0"'));
    expect(isCurrent(preparedPath!)).toBe(false);
  });

  it('packs the weights of large matrix products, at the load or once that has paid', async () => {
    const settings = options();
    const { mode, preparedPath } = await assessModel(store(denseModel(8, 1280)), settings);
    const { packAfterRuns } = JSON.parse(readFileSync(join(dirname(preparedPath!), 'artefact.json'), 'utf8'));
    expect(mode).not.toBe('original');
    expect(mode === 'prepacked' ? 1 : packAfterRuns).toBeGreaterThan(0);
  });

  it('keeps a model as it is if larger inputs than it was measured with are too much for it', async () => {
    for (const dims of [
      ['n', 'a', 'b', 'c', 'd', 'e'],
      ['n', 'a', 'b', 'c', 'd', 'e', 'f', 'g'],
    ]) {
      const stored = store(identityModel('FP32', dims));
      expect(await assessModel(stored, options())).toMatchObject({ preparedPath: expect.any(String) });
    }
    const stored = store(pairsModel());
    const { mode, profile } = await assessModel(stored, options({ budgetBytes: 30e6 }));
    expect(mode).toBe('mapped');
    expect(profile.memoryBytes).toBeLessThan(30e6);
  });

  it.runIf(process.platform === 'linux')('accounts what the system will show, within a fifth', async () => {
    const models = [convolutionModel(12, 340, 32), denseModel(8, 1280)].map(store);
    const settings = options();
    const { runner } = watch(cpuDevice());
    await runner.start();
    let accounted = 0;
    for (const stored of models) {
      const { preparedPath, profile } = await assessModel(stored, settings);
      accounted += profile.memoryBytes;
      const { sha256: id, path, inputs, outputs } = stored;
      await runner.load({ id, path: preparedPath ?? path, prepared: preparedPath !== null, inputs, outputs });
      const shape = [1, ...inputs[0]!.shape.slice(1)];
      // Warm: one that is packed later is accounted as it is then.
      const artefact = join(dirname(preparedPath!), 'artefact.json');
      const { packAfterRuns = 1 } = JSON.parse(readFileSync(artefact, 'utf8')) as { packAfterRuns?: number };
      for (let i = 0; i < 2 * packAfterRuns + 1; i++)
        await runner.run(id, [floats('x', shape, new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5))]);
    }
    let measured = await runner.measure();
    while (measured.settled === false) {
      await sleep(50);
      measured = await runner.measure();
    }
    const shown = measured.processRssBytes - measured.emptyRssBytes;
    expect(shown).toBeGreaterThan(90e6);
    expect(Math.abs(accounted - shown) / shown).toBeLessThan(0.2);
  });

  it('measures bare strings, whole numbers, free sizes, and a model whose batch is fixed', async () => {
    for (const [onnx, batched] of [
      [identityModel('BYTES'), true],
      [identityModel('INT64', ['n', 'length']), true],
      [identityModel('BOOL', [2, 2]), false],
      [identityModel('FP32', []), false],
    ] as const) {
      const { profile } = await assessModel(store(onnx), options({ maxRows: 2, limitMs: 60_000 }));
      expect(profile.runMsByRows !== undefined).toBe(batched);
    }
  });

  it(
    'is prepacked where requests gather for large matrix products, and says so in its key',
    { timeout: 180_000 },
    async () => {
      const stored = store(buildNetwork({ kind: 'mlp', megabytes: 20, seed: 1 }).encode());
      let settings = options({ batchRows: 16, limitMs: 30_000 });
      let assessed = await assessModel(stored, settings);
      // What it is for: eight rows take far less than eight times as long as one.
      const isWorthIt = (): boolean => assessed.profile.runMsByRows![7]! < 6 * assessed.profile.runMs;
      // It is measured, and a busy machine may hide the difference now and then.
      for (let tries = 1; (assessed.mode !== 'prepacked' || !isWorthIt()) && tries < 20; tries++) {
        settings = options({ batchRows: 16, limitMs: 30_000 });
        assessed = await assessModel(stored, settings);
      }
      const { mode, preparedPath, profile } = assessed;
      expect(mode).toBe('prepacked');
      expect(await findArtefact(settings.folder, artefactKey(stored.sha256, {}, 16))).toBe(preparedPath);
      expect(await findArtefact(settings.folder, artefactKey(stored.sha256))).toBeNull();
      expect(isCurrent(preparedPath!)).toBe(true);
      expect(profile.runMsByRows).toHaveLength(16);
      expect(isWorthIt()).toBe(true);
    },
  );

  describe('finds what may be batched without being asked', () => {
    /** Matrix products, after what is done to the inputs. */
    const after = (nodes: readonly OnnxNode[]): Buffer => {
      const width = 1_000;
      return onnxModel({
        inputs: [{ name: 'x', type: 'FP32', shape: ['n', width] }],
        outputs: [{ name: 'y', type: 'FP32', shape: ['n', width] }],
        weights: [1, 2, 3, 4].map((seed) => ({
          name: `w${seed}`,
          type: 'FP32',
          shape: [width, width],
          data: seededFloats(width * width, width, seed),
        })),
        nodes: [
          ...nodes,
          ...[1, 2, 3, 4].map((i) => ({
            op: 'MatMul',
            inputs: [`h${i}`, `w${i}`],
            outputs: [i === 4 ? 'y' : `h${i + 1}`],
          })),
        ],
      });
    };
    const rowsOf = async (onnx: Uint8Array, wanted: Partial<AssessOptions> = {}) =>
      (await assessModel(store(onnx), options(wanted))).profile.sharedRows;
    const plain = after([{ op: 'Relu', inputs: ['x'], outputs: ['h1'] }]);

    it('where rows share the reading of weights', { timeout: 120_000 }, async () => {
      let rows = await rowsOf(plain);
      // It is measured, and a busy machine may hide the difference now and then.
      for (let tries = 1; rows === undefined && tries < 20; tries++) rows = await rowsOf(plain);
      expect(rows).toBe(8);
      expect(await rowsOf(plain, { device: emulatedDevice() })).toBeUndefined();
      expect(await rowsOf(plain, { batchRows: 8 })).toBeUndefined();
    });

    it.each<[string, readonly OnnxNode[]]>([
      [
        'share the scale that they are quantised by',
        [
          { op: 'DynamicQuantizeLinear', inputs: ['x'], outputs: ['q', 'scale', 'zero'] },
          { op: 'DequantizeLinear', inputs: ['q', 'scale', 'zero'], outputs: ['h1'] },
        ],
      ],
      [
        'are compared with their mean',
        [
          { op: 'ReduceMean', inputs: ['x'], outputs: ['mean'], ints: { axes: [0] } },
          { op: 'Add', inputs: ['x', 'mean'], outputs: ['h1'] },
        ],
      ],
      ['compete', [{ op: 'Softmax', inputs: ['x'], outputs: ['h1'], ints: { axis: 0 } }]],
    ])('not where rows %s', async (_what, nodes) => {
      expect(await rowsOf(after(nodes))).toBeUndefined();
    });

    it('not where each row takes what it takes alone', async () => {
      expect(await rowsOf(convolutionModel(6, 32, 64))).toBeUndefined();
    });
  });

  it('stops growing the batch where the model breaks', async () => {
    // A reshape to one row: it declares a free batch and takes one row only.
    const onnx = onnxModel({
      inputs: [{ name: 'x', type: 'FP32', shape: ['n', 4] }],
      outputs: [{ name: 'y', type: 'FP32', shape: ['m', 4] }],
      weights: [{ name: 's', type: 'INT64', shape: [2], data: new Uint8Array(new BigInt64Array([1n, 4n]).buffer) }],
      nodes: [{ op: 'Reshape', inputs: ['x', 's'], outputs: ['y'] }],
    });
    const { profile } = await assessModel(store(onnx), options());
    expect(profile.runMsByRows).toBeUndefined();
  });

  it('measures for an emulated device on the CPU', async () => {
    const { profile } = await assessModel(store(denseModel(2, 64)), options({ device: emulatedDevice() }));
    expect(profile.runMs).toBeGreaterThan(0);
  });

  it('keeps the load of a model that takes no inputs of ours', async () => {
    const onnx = onnxModel({
      inputs: [
        { name: 'x', type: 'FP32', shape: ['n', 4] },
        { name: 'w', type: 'FP32', shape: ['k', 7] },
      ],
      outputs: [{ name: 'y', type: 'FP32', shape: ['n', 7] }],
      nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    });
    const { profile } = await assessModel(store(onnx), options());
    expect(profile.runMs).toBeGreaterThan(0);
    expect(profile.runMsByRows).toBeUndefined();
  });
});

describe('a model that can not be served', { timeout: LIMIT }, () => {
  it('is refused with BAD_MODEL and leaves nothing behind', async () => {
    const wrongOperator = onnxModel({
      inputs: [{ name: 'x', type: 'FP32', shape: [1] }],
      outputs: [{ name: 'y', type: 'FP32', shape: [1] }],
      nodes: [{ op: 'NoSuchOperator', inputs: ['x'], outputs: ['y'] }],
    });
    const settings = options();
    await expect(assessModel(store(wrongOperator), settings)).rejects.toMatchObject({
      code: 'BAD_MODEL',
      message: expect.stringMatching(/NoSuchOperator/),
    });
    expect(readdirSync(settings.folder)).toEqual([]);
  });

  it('because a few bytes unfold to 800 MB is refused with DOES_NOT_FIT', async () => {
    const onnx = bomb();
    expect(onnx.byteLength).toBeLessThan(9_000);
    const settings = options({ budgetBytes: 300e6 });
    await expect(assessModel(store(onnx), settings)).rejects.toMatchObject({
      code: 'DOES_NOT_FIT',
      message: expect.stringMatching(/300 MB of the largest device/),
    });
    expect(readdirSync(settings.folder)).toEqual([]);
    const stored = store(onnx);
    const model = { id: 'bomb', path: stored.path, prepared: false, inputs: stored.inputs, outputs: stored.outputs };
    await expect(profileModel(model, cpuDevice(), { budgetBytes: 300e6 })).rejects.toMatchObject({
      code: 'DOES_NOT_FIT',
    });
  });

  it('because it takes too long is refused with TIMEOUT', async () => {
    const stored = store(denseModel(2, 64));
    const model = {
      id: 'hang-load',
      path: 'hang-load',
      prepared: false,
      inputs: stored.inputs,
      outputs: stored.outputs,
    };
    const backend = new URL('../../fixtures/backends/scripted.ts', import.meta.url).href;
    await expect(
      profileModel(model, emulatedDevice(), { budgetBytes: 1e9, limitMs: 500, runner: { backend } }),
    ).rejects.toMatchObject({ code: 'TIMEOUT' });
    const crash = { ...model, id: 'die-run', path: 'die-run', emulation: { loadMs: 1, runMs: 1, memoryBytes: 1 } };
    await expect(
      profileModel(crash, emulatedDevice(), { budgetBytes: 1e9, runner: { backend } }),
    ).rejects.toMatchObject({
      code: 'BAD_MODEL',
    });
  });

  it('or is given up, ends its processes at once', async () => {
    const abort = new AbortController();
    const started = performance.now();
    setTimeout(() => abort.abort(), 200);
    const settings = options({ signal: abort.signal });
    await expect(assessModel(store(denseModel(8, 1024)), settings)).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(readdirSync(settings.folder)).toEqual([]);
  });
});
