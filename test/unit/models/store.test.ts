import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { createModelStore, type ModelStore } from '../../../src/models/store.ts';
import { OnnxModel } from '../../../src/onnx/write.ts';
import { tinyExternalModel, tinyModel } from '../../helpers/models.ts';

let root: string;
let folder: string;
let store: ModelStore;

beforeEach(async () => {
  const home = mkdtempSync(join(tmpdir(), 'gpufaas-store-'));
  onTestFinished(() => rmSync(home, { recursive: true }));
  root = join(home, 'function');
  folder = join(home, 'models');
  mkdirSync(root);
  store = await createModelStore(folder);
});

function put(name: string, bytes: Uint8Array): string {
  const path = join(root, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

async function refusal(adding: Promise<unknown>): Promise<GpufaasError> {
  const error: unknown = await adding.then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(GpufaasError);
  expect((error as GpufaasError).suggestions.length).toBeGreaterThan(0);
  return error as GpufaasError;
}

/** A model whose weights lie where it says, with the data. */
function externalAt(location: string): { model: Uint8Array; data: Uint8Array } {
  return new OnnxModel()
    .input('input', 'FP32', [4])
    .output('output', 'FP32', [4])
    .weights('w', [4], Float32Array.of(1, 2, 3, 4))
    .node('Add', ['input', 'w'], ['output'])
    .encodeExternal(location, 1);
}

describe('the model store', () => {
  it('keeps a model under the sha256 of its bytes, read-only, with its signature', async () => {
    const { bytes } = tinyModel();
    const stored = await store.add(put('model/m.onnx', bytes), { root });
    expect(stored.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(stored.bytes).toBe(bytes.byteLength);
    expect(stored.inputs).toEqual([{ name: 'input', datatype: 'FP32', shape: [-1, 4] }]);
    expect(stored.outputs).toEqual([{ name: 'output', datatype: 'FP32', shape: [-1, 3] }]);
    expect(readFileSync(stored.path)).toEqual(Buffer.from(bytes));
    expect(statSync(stored.path).mode & 0o777).toBe(0o400);
    expect(await store.get(stored.sha256)).toEqual(stored);
    expect(await store.list()).toEqual([stored]);
    await store.verify(stored.sha256);
  });

  it('keeps the same bytes once, whoever brings them and however often at once', async () => {
    const { bytes } = tinyModel();
    const paths = Array.from({ length: 40 }, (_, index) => put(`${index}/m.onnx`, bytes));
    const stored = await Promise.all(paths.map((path) => store.add(path, { root })));
    expect(new Set(stored.map((model) => model.path)).size).toBe(1);
    expect(readdirSync(folder)).toEqual([stored[0]!.sha256]);
  });

  it('is independent of the file it was copied from', async () => {
    const path = put('m.onnx', tinyModel().bytes);
    const stored = await store.add(path, { root });
    writeFileSync(path, 'overwritten');
    await expect(store.verify(stored.sha256)).resolves.toBeUndefined();
  });

  it('shares bytes by a link where that is asked for', async () => {
    const path = put('m.onnx', tinyModel().bytes);
    const stored = await store.add(path, { root, link: true });
    expect(statSync(stored.path).ino).toBe(statSync(path).ino);
    rmSync(path);
    expect(await store.get(stored.sha256)).toEqual(stored);
  });

  it('makes links of files whose bytes are stored already: a second deployment takes no disk', async () => {
    const { model, data } = tinyExternalModel(1, 'weights/w.bin');
    const places = ['1', '2'].map((version) => join(root, version));
    for (const place of places) {
      mkdirSync(join(place, 'weights'), { recursive: true });
      writeFileSync(join(place, 'm.onnx'), model);
      writeFileSync(join(place, 'weights/w.bin'), data);
      await store.add(join(place, 'm.onnx'), { root: place, link: true });
    }
    const [stored] = await store.list();
    for (const place of places) {
      expect(statSync(join(place, 'm.onnx')).ino).toBe(statSync(stored!.path).ino);
      expect(statSync(join(place, 'weights/w.bin')).ino).toBe(statSync(join(stored!.path, '../weights/w.bin')).ino);
      expect(new Set(readdirSync(place, { recursive: true, encoding: 'utf8' }))).toEqual(
        new Set(['m.onnx', 'weights', 'weights/w.bin']),
      );
    }
    await store.verify(stored!.sha256);
    rmSync(join(root, '1'), { recursive: true });
    expect(await store.get(stored!.sha256)).toEqual(stored);
  });

  it('keeps external weights where the model looks for them, and hashes them too', async () => {
    const { model, data } = tinyExternalModel(1, 'weights/w.bin');
    put('weights/w.bin', data);
    const path = put('m.onnx', model);
    const stored = await store.add(path, { root });
    expect(stored.bytes).toBe(model.byteLength + data.byteLength);
    expect(readFileSync(join(stored.path, '../weights/w.bin'))).toEqual(Buffer.from(data));
    await store.verify(stored.sha256);
    data[0]! ^= 1;
    put('weights/w.bin', data);
    expect((await store.add(path, { root })).sha256).not.toBe(stored.sha256);
  });

  it('finds external weights whatever the spelling of their place', async () => {
    const { model, data } = externalAt('./w.bin');
    put('w.bin', data);
    const stored = await store.add(put('m.onnx', model), { root });
    await expect(store.verify(stored.sha256)).resolves.toBeUndefined();
  });

  it.each<[string, () => string, RegExp]>([
    ['text', () => put('m.onnx', Buffer.from('no model')), /./],
    ['nothing', () => put('m.onnx', Buffer.alloc(0)), /empty/],
    ['a cut model', () => put('m.onnx', tinyModel().bytes.subarray(0, 100)), /./],
    ['an ORT file', () => put('m.ort', tinyModel().bytes), /ORT format/],
    [
      'an ORT file by another name',
      () => put('m.onnx', Buffer.from('\x10\0\0\0ORTM and so on', 'latin1')),
      /ORT format/,
    ],
    ['a folder', () => (mkdirSync(join(root, 'm.onnx')), join(root, 'm.onnx')), /not an ordinary file/],
    [
      'a model outside of the folder',
      () => (writeFileSync(join(root, '../out.onnx'), tinyModel().bytes), join(root, '../out.onnx')),
      /not an ordinary file inside/,
    ],
    [
      'a link to a model',
      () => (symlinkSync(put('real.onnx', tinyModel().bytes), join(root, 'l.onnx')), join(root, 'l.onnx')),
      /not an ordinary file/,
    ],
    [
      'external weights that are missing',
      () => put('m.onnx', externalAt('gone.bin').model),
      /"gone\.bin".*no such file/,
    ],
    ['external weights outside', () => put('m.onnx', externalAt('../../secret').model), /not inside/],
    ['external weights at an absolute path', () => put('m.onnx', externalAt('/etc/passwd').model), /not inside/],
    [
      'external weights that are cut',
      () => (put('w.bin', externalAt('w.bin').data.subarray(1)), put('m.onnx', externalAt('w.bin').model)),
      /cut: 15 bytes of at least 16/,
    ],
    [
      'external weights behind a link',
      () => (symlinkSync('/etc/hostname', join(root, 'w.bin')), put('m.onnx', externalAt('w.bin').model)),
      /not an ordinary file/,
    ],
    [
      'external weights in the place of its own description',
      () => (put('model.json', externalAt('model.json').data), put('m.onnx', externalAt('model.json').model)),
      /in a file called model\.json/,
    ],
  ])('refuses %s and leaves nothing behind', async (_, make, message) => {
    const error = await refusal(store.add(make(), { root }));
    expect(error.code).toBe('BAD_MODEL');
    expect(error.message).toMatch(message);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says which file is missing', async () => {
    const error = await refusal(store.add(join(root, 'model/none.onnx'), { root }));
    expect(error.code).toBe('FILE_NOT_FOUND');
    expect(error.message).toContain('model/none.onnx');
  });

  it('sees a model that was swapped on disk, and takes the right bytes again', async () => {
    const path = put('m.onnx', tinyModel(1).bytes);
    const stored = await store.add(path, { root });
    chmodSync(stored.path, 0o600);
    writeFileSync(stored.path, tinyModel(2).bytes);
    expect((await refusal(store.get(stored.sha256))).message).toMatch(/changed on disk/);
    await store.add(path, { root });
    await store.verify(stored.sha256);
  });

  it('sees a swap that kept size and time when it reads every byte', async () => {
    const stored = await store.add(put('m.onnx', tinyModel(1).bytes), { root });
    const before = statSync(stored.path, { bigint: false });
    const bytes = readFileSync(stored.path);
    bytes[bytes.byteLength - 20]! ^= 1;
    chmodSync(stored.path, 0o600);
    writeFileSync(stored.path, bytes);
    utimesSync(stored.path, before.atimeMs / 1000, before.mtimeMs / 1000);
    expect((await refusal(store.verify(stored.sha256))).message).toMatch(/changed on disk/);
  });

  it('removes what nobody uses, and only that', async () => {
    const stored = await store.add(put('m.onnx', tinyModel().bytes), { root });
    const error = await refusal(store.remove(stored.sha256, ['digits', 'other']));
    expect(error.code).toBe('CONFLICT');
    expect(error.message).toMatch(/digits, other/);
    await store.remove(stored.sha256);
    expect(readdirSync(folder)).toEqual([]);
    expect((await refusal(store.remove(stored.sha256))).code).toBe('MODEL_NOT_FOUND');
  });

  it.each(['../..', 'x', 'A'.repeat(64), 'a'.repeat(63), 'a'.repeat(10_000), '\0'])(
    'has nothing called %j',
    async (name) => {
      expect(await store.get(name)).toBeUndefined();
      expect((await refusal(store.remove(name))).code).toBe('MODEL_NOT_FOUND');
      expect((await refusal(store.verify(name))).code).toBe('MODEL_NOT_FOUND');
    },
  );

  it('makes room by removing the models unused for longest', async () => {
    const models = [];
    for (let i = 1; i <= 4; i++) {
      const stored = await store.add(put(`${i}.onnx`, tinyModel(i).bytes), { root });
      await store.touch(stored.sha256, Date.UTC(2026, 1, i));
      models.push(stored);
    }
    await store.touch(models[0]!.sha256, Date.UTC(2026, 2, 1));
    const cleared = await store.makeRoom(models[0]!.bytes * 2, new Set([models[1]!.sha256]));
    expect(cleared.removed).toEqual([models[2]!.sha256, models[3]!.sha256]);
    expect(cleared.freedBytes).toBe(models[2]!.bytes * 2);
    expect((await store.list()).map((model) => model.sha256)).toEqual(
      [models[0]!.sha256, models[1]!.sha256].toSorted(),
    );
  });

  it('clears away what a killed process left', async () => {
    const stored = await store.add(put('m.onnx', tinyModel().bytes), { root });
    mkdirSync(join(folder, '.adding-1-x'));
    linkSync(stored.path, join(folder, '.adding-1-x', 'model.onnx'));
    store = await createModelStore(folder);
    expect(readdirSync(folder)).toEqual([stored.sha256]);
    await store.verify(stored.sha256);
    expect(existsSync(stored.path)).toBe(true);
  });
});
