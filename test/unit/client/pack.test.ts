import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Parser } from 'tar';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nameOfModel, packageStream, preparePackage, sampleOf, type Package } from '../../../src/client/pack.ts';
import { OnnxModel } from '../../../src/onnx/write.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpufaas-pack-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Writes files below the folder, by path. */
function write(files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
}

/** What a receiver of the package finds in it, in order. */
async function unpack(packed: Package): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) => {
      expect(entry.type).toBe('File');
      const chunks: Buffer[] = [];
      entry.on('data', (chunk) => chunks.push(chunk));
      entry.on('end', () => found.set(entry.path, Buffer.concat(chunks)));
    },
  });
  const ended = new Promise((resolve, reject) => parser.on('end', () => resolve(null)).on('error', reject));
  for await (const chunk of await packageStream(packed)) parser.write(chunk as Buffer);
  parser.end();
  await ended;
  return found;
}

describe('packing a folder', () => {
  it('sends every file, the manifest first', async () => {
    write({ 'a.txt': 'A', 'function.yaml': 'name: x\n', 'model/m.onnx': 'M', 'z/y/deep.txt': 'D', '.hidden': 'H' });
    const found = await unpack(await preparePackage(folder));
    expect([...found.keys()][0]).toBe('function.yaml');
    expect(Object.fromEntries([...found].map(([path, bytes]) => [path, bytes.toString()]))).toEqual({
      'function.yaml': 'name: x\n',
      'a.txt': 'A',
      'model/m.onnx': 'M',
      'z/y/deep.txt': 'D',
      '.hidden': 'H',
    });
  });

  it.each<[string, () => void, RegExp]>([
    ['is cut', () => truncateSync(join(folder, 'model.onnx'), 10), /^model\.onnx was changed/],
    ['grows', () => appendFileSync(join(folder, 'model.onnx'), 'more'), /^model\.onnx was changed/],
    [
      'is written over with as many bytes',
      () => writeFileSync(join(folder, 'model.onnx'), Buffer.alloc(300_000, 2)),
      /^model\.onnx was changed/,
    ],
    ['goes away', () => rmSync(join(folder, 'z.txt')), /^z\.txt went away/],
  ])('never sends a whole package in which a file %s meanwhile, and names the file', async (_, change, message) => {
    write({ 'function.yaml': 'name: x\n', 'model.onnx': Buffer.alloc(300_000, 1), 'z.txt': 'Z' });
    const packed = await preparePackage(folder);
    const chunks = (await packageStream(packed))[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    change();
    const sent: Buffer[] = [];
    const rest = async () => {
      for (let next = await chunks.next(); !next.done; next = await chunks.next()) sent.push(next.value);
    };
    await expect(rest()).rejects.toMatchObject({
      code: 'BAD_PACKAGE',
      message: expect.stringMatching(message) as string,
    });
    expect(Buffer.concat(sent).subarray(-1024).equals(Buffer.alloc(1024))).toBe(false);
  });

  it('leaves out what belongs to package managers, git and training', async () => {
    write({
      'function.yaml': 'name: x\n',
      'node_modules/p/index.js': '',
      'deep/node_modules/p/index.js': '',
      '.git/HEAD': '',
      'training/train.py': '',
      'model/training/kept.txt': '',
    });
    const { files } = await preparePackage(folder);
    expect(files.map((file) => file.path)).toEqual(['model/training/kept.txt']);
  });

  it('leaves out what .gpufaasignore names, and nothing else', async () => {
    write({
      'function.yaml': 'name: x\n',
      '.gpufaasignore': '# raw data\ndata/\n*.log\n!keep.log\n/top.txt\n',
      'data/huge.bin': '',
      'a.log': '',
      'keep.log': '',
      'top.txt': '',
      'sub/top.txt': '',
    });
    const { files } = await preparePackage(folder);
    expect(files.map((file) => file.path).toSorted()).toEqual(['keep.log', 'sub/top.txt']);
  });

  it('sends what a link inside the folder points to, under the name of the link', async () => {
    write({ 'function.yaml': 'name: x\n', 'real.bin': 'content' });
    symlinkSync('real.bin', join(folder, 'link.bin'));
    expect((await unpack(await preparePackage(folder))).get('link.bin')?.toString()).toBe('content');
  });

  it.each([
    ['outside', '/etc/hostname'],
    ['nowhere', './missing'],
    ['a folder', '.'],
  ])('refuses a link that leads %s', async (_, target) => {
    write({ 'function.yaml': 'name: x\n' });
    symlinkSync(target, join(folder, 'link'));
    await expect(preparePackage(folder)).rejects.toMatchObject({ code: 'BAD_PACKAGE' });
  });

  it('puts another name into the manifest and keeps the rest of it', async () => {
    write({ 'function.yaml': '# mine\nname: x\ndescription: D\n' });
    const packed = await preparePackage(folder, 'other');
    expect(packed.manifest).toBe('# mine\nname: other\ndescription: D\n');
    await expect(preparePackage(folder, 'Other!')).rejects.toMatchObject({ code: 'BAD_NAME', exitCode: 2 });
  });

  it('packs paths and names that tar has no room for in a plain header', async () => {
    const long = `${'ä'.repeat(90)}/${'b'.repeat(200)}.txt`;
    write({ 'function.yaml': 'name: x\n', [long]: 'L' });
    expect((await unpack(await preparePackage(folder))).get(long)?.toString()).toBe('L');
  });

  it('says what is missing', async () => {
    await expect(preparePackage(folder)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', exitCode: 3 });
    await expect(preparePackage(join(folder, 'no'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
  });

  it('finds the sample that the manifest names', async () => {
    write({ 'function.yaml': 'name: x\nsample: ./samples/a b.png  # seven\n', 'samples/a b.png': '' });
    expect(sampleOf(await preparePackage(folder))).toBe(join(folder, 'samples/a b.png'));
    write({ 'function.yaml': 'name: x\nsample: gone.png\n' });
    expect(sampleOf(await preparePackage(folder))).toBeNull();
  });
});

describe('packing a bare model', () => {
  const twice = (external?: string) => {
    const model = new OnnxModel();
    model
      .input('x', 'FP32', ['batch', 3])
      .constant('w', { datatype: 'FP32', shape: [3], data: new Float32Array([2, 2, 2]) })
      .node('Mul', ['x', 'w'], ['y'])
      .output('y', 'FP32', ['batch', 3]);
    return external === undefined
      ? { model: model.encode(), data: new Uint8Array() }
      : model.encodeExternal(external, 1);
  };

  it('makes a function of it, named after the file', async () => {
    write({ 'My Model v2.onnx': twice().model });
    const packed = await preparePackage(join(folder, 'My Model v2.onnx'));
    expect(packed).toMatchObject({ kind: 'model', name: 'my-model-v2' });
    const found = await unpack(packed);
    expect([...found.keys()]).toEqual(['function.yaml', 'My Model v2.onnx']);
    expect(found.get('function.yaml')?.toString()).toContain('path: My Model v2.onnx');
  });

  it('takes its weights along, from wherever inside the folder they lie', async () => {
    const { model, data } = twice('weights/w.bin');
    write({ 'm.onnx': model, 'weights/w.bin': data });
    const packed = await preparePackage(join(folder, 'm.onnx'), 'twice');
    expect([...(await unpack(packed)).keys()]).toEqual(['function.yaml', 'm.onnx', 'weights/w.bin']);
    expect(packed.name).toBe('twice');
  });

  it('refuses weights that are missing, outside, or a link to the outside', async () => {
    write({ 'm.onnx': twice('w.bin').model });
    await expect(preparePackage(join(folder, 'm.onnx'))).rejects.toMatchObject({
      code: 'BAD_MODEL',
      message: expect.stringMatching(/keeps weights in "w\.bin", and there is no such file/),
    });
    symlinkSync('/etc/hostname', join(folder, 'w.bin'));
    await expect(preparePackage(join(folder, 'm.onnx'))).rejects.toMatchObject({ code: 'BAD_PACKAGE' });
    write({ 'up.onnx': twice('../w.bin').model });
    await expect(preparePackage(join(folder, 'up.onnx'))).rejects.toMatchObject({ code: 'BAD_MODEL' });
  });

  it('follows a download cache: a model that is a link, with its weights beside the real file', async () => {
    const { model, data } = twice('w.bin');
    write({ 'blobs/aa': model, 'blobs/bb': data });
    mkdirSync(join(folder, 'snapshot'));
    symlinkSync('../blobs/aa', join(folder, 'snapshot/m.onnx'));
    symlinkSync('../blobs/bb', join(folder, 'snapshot/w.bin'));
    const found = await unpack(await preparePackage(join(folder, 'snapshot/m.onnx')));
    expect(found.get('w.bin')?.equals(Buffer.from(data))).toBe(true);
  });

  it('refuses what is not a model', async () => {
    write({ 'notes.txt': 'hello', 'm.onnx': 'hello' });
    await expect(preparePackage(join(folder, 'notes.txt'))).rejects.toMatchObject({ code: 'BAD_PACKAGE' });
    await expect(preparePackage(join(folder, 'm.onnx'))).rejects.toMatchObject({ code: 'BAD_MODEL' });
  });

  it('makes a valid name of any file name', () => {
    for (const name of [
      'resnet50.onnx',
      '50 nets.onnx',
      '--.onnx',
      `${'x'.repeat(100)}.onnx`,
      'Äpfel.onnx',
      'a_b.c.onnx',
    ]) {
      expect(nameOfModel(name)).toMatch(/^[a-z][a-z0-9-]{0,62}$/);
    }
  });
});
