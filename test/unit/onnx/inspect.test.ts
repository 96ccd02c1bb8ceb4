import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { GpufaasError } from '../../../src/errors.ts';
import { externalPath } from '../../../src/onnx/external.ts';
import { inspectOnnx } from '../../../src/onnx/inspect.ts';
import { OnnxGraph, OnnxModel } from '../../../src/onnx/write.ts';
import { identityModel, RUNNABLE_DATATYPES, tinyExternalModel, tinyModel } from '../../helpers/models.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'onnx-inspect-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function failure(model: Uint8Array | string): GpufaasError {
  try {
    inspectOnnx(model);
  } catch (error) {
    if (error instanceof GpufaasError) return error;
    throw error;
  }
  throw new Error('The model was accepted.');
}

describe('inspectOnnx', () => {
  it('tells signature, operator sets and metadata, in memory and from a file alike', () => {
    const model = new OnnxModel({ opset: 15, irVersion: 9, metadata: { author: 'us', ['__proto__']: 'x' } })
      .input('images', 'FP32', ['batch', 3, 8, 8])
      .input('weight', 'FP32', [8, 8])
      .weights('weight', [8, 8], new Float32Array(64))
      .output('scores', 'FP32', ['batch', 3, 8, 8])
      .output('ranks', 'INT64', null)
      .node('MatMul', ['images', 'weight'], ['scores'])
      .node('Shape', ['scores'], ['ranks'])
      .encode();
    const found = inspectOnnx(model);
    expect(found).toEqual({
      irVersion: 9,
      producer: 'gpufaas',
      opsets: [{ domain: '', version: 15 }],
      inputs: [{ name: 'images', datatype: 'FP32', shape: [-1, 3, 8, 8] }],
      outputs: [
        { name: 'scores', datatype: 'FP32', shape: [-1, 3, 8, 8] },
        { name: 'ranks', datatype: 'INT64', shape: [-1], anyRank: true },
      ],
      externalFiles: [],
      metadata: { author: 'us', ['__proto__']: 'x' },
      nodeCount: 2,
    });
    const path = join(folder, 'model.onnx');
    writeFileSync(path, model);
    expect(inspectOnnx(path)).toEqual(found);
  });

  it('knows every datatype of the protocol', () => {
    const { inputs } = inspectOnnx(identityModel([...RUNNABLE_DATATYPES, 'BF16']));
    expect(inputs.map(({ datatype }) => datatype)).toEqual([...RUNNABLE_DATATYPES, 'BF16']);
  });

  it('finds external files of the graph, of constants and of the bodies of If', () => {
    const weights = { datatype: 'FP32', shape: [4], data: new Float32Array(4) } as const;
    const branch = new OnnxGraph('branch').output('taken', 'FP32', [4]).constant('taken', weights);
    const { model, data } = new OnnxModel()
      .input('condition', 'BOOL', [])
      .output('y', 'FP32', [4])
      .constant('c', weights)
      .node('Constant', [], ['k'], { value: { tensor: weights } })
      .node('If', ['condition'], ['t'], {
        then_branch: { graph: branch },
        else_branch: { graph: branch },
      })
      .node('Sum', ['t', 'c', 'k'], ['y'])
      .encodeExternal('deep/weights.bin', 1);
    expect(inspectOnnx(model).externalFiles).toEqual([{ location: 'deep/weights.bin', bytes: data.length }]);
    expect(data.length).toBeGreaterThan(3 * 4096);
  });

  it('reads the structure of a huge file without reading its weights', () => {
    const tiny = tinyModel().bytes;
    const hole = 3_000_000_000;
    // 3 GB of unknown field 100, a hole on the disk, and the model behind it.
    const header = Buffer.from([0xa2, 0x06, ...varint(hole)]);
    const path = join(folder, 'huge.onnx');
    writeFileSync(path, header);
    truncateSync(path, header.length + hole);
    writeFileSync(path, tiny, { flag: 'a' });
    const before = process.memoryUsage().rss;
    expect(inspectOnnx(path).inputs).toHaveLength(1);
    expect(process.memoryUsage().rss - before).toBeLessThan(50_000_000);
  });

  it.each([
    ['an empty file', Buffer.alloc(0), /empty/u],
    ['a PyTorch checkpoint', Buffer.from('PK\x03\x04 and so on'), /zip.*PyTorch/u],
    ['an ORT file', Buffer.from('\x10\x00\x00\x00ORTM and so on', 'latin1'), /ORT format/u],
    ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), /Git LFS/u],
    ['a text', Buffer.from('Hello, this is my model!'), /damaged or no ONNX|cut off/u],
    ['random zeros', Buffer.alloc(100), /damaged or no ONNX/u],
    ['a message without a graph', Buffer.from([0x08, 0x08]), /no graph/u],
  ])('says what is wrong with %s', (_, content, expected) => {
    const error = failure(content);
    expect(error.code).toBe('BAD_MODEL');
    expect(error.message).toMatch(expected);
    expect(error.suggestions).not.toHaveLength(0);
  });

  it('says where a cut file ends', () => {
    const { bytes } = tinyModel();
    const error = failure(bytes.slice(0, bytes.length - 60));
    expect(error).toMatchObject({ code: 'BAD_MODEL', message: expect.stringMatching(/cut off.*announces \d+ bytes/u) });
  });

  it('says that a file is missing', () => {
    expect(failure(join(folder, 'nowhere.onnx')).code).toBe('FILE_NOT_FOUND');
    expect(failure(folder).code).toBe('FILE_NOT_FOUND');
  });

  it('refuses graphs nested without end', () => {
    let graph = new OnnxGraph();
    for (let depth = 0; depth < 200; depth++) {
      graph = new OnnxGraph().node('If', ['c'], ['y'], { then_branch: { graph } });
    }
    const model = new OnnxModel().output('y', 'FP32', []).node('If', ['c'], ['y'], { then_branch: { graph } });
    expect(failure(model.encode()).message).toMatch(/nests/u);
  });

  it('answers any cut or mutation with a result or BAD_MODEL, never anything else', () => {
    const originals = [tinyModel().bytes, tinyExternalModel().model, identityModel()];
    let refused = 0;
    fc.assert(
      fc.property(
        fc.nat(originals.length - 1),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }),
        fc.nat(),
        (which, edits, end) => {
          const bytes = originals[which]!.slice();
          for (const [at, value] of edits) bytes[at % bytes.length] = value;
          const mutated = end % 3 === 0 ? bytes.slice(0, end % bytes.length) : bytes;
          try {
            inspectOnnx(mutated);
          } catch (error) {
            if (!(error instanceof GpufaasError) || error.code !== 'BAD_MODEL') throw error;
            refused++;
          }
        },
      ),
      { numRuns: 2000 },
    );
    expect(refused).toBeGreaterThan(200);
  });
});

describe('externalPath', () => {
  it('keeps inside the folder', () => {
    expect(externalPath('/models', 'a/./b.bin')).toBe('/models/a/b.bin');
  });

  it.each(['', '.', '..', '../x', 'a/../../x', '/etc/passwd', 'C:\\x', 'a\\..\\x', 'a\0b', 'file:///etc/passwd'])(
    'refuses %j',
    (location) => {
      expect(() => externalPath('/models', location)).toThrow(expect.objectContaining({ code: 'BAD_MODEL' }));
    },
  );
});

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}
