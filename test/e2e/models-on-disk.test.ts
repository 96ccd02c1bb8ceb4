import { chmodSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestDaemon } from '../helpers/daemon.ts';
import { tinyModel } from '../helpers/models.ts';

const ROW = [0.1, 0.2, -0.3, 0.4];
const model = tinyModel(7);
let daemon: TestDaemon;
let file: string;

beforeAll(async () => {
  daemon = await new TestDaemon().start();
  file = join(daemon.folder, 'tiny.onnx');
  writeFileSync(file, model.bytes);
});
afterAll(() => daemon.close());

const infer = () =>
  daemon.send(
    'POST',
    '/v2/models/tiny/infer',
    JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape: [1, 4], data: ROW }] }),
  );
const evict = () => daemon.send('POST', '/v2/repository/models/tiny/unload');

function expectRight(answer: Awaited<ReturnType<typeof infer>>): void {
  expect(answer).toMatchObject({ status: 200 });
  const { data } = answer.json!.outputs![0]!;
  for (const [index, value] of model.answer(ROW).entries()) expect(data[index]).toBeCloseTo(value, 5);
}

function overwrite(path: string): void {
  chmodSync(path, 0o600);
  writeFileSync(path, tinyModel(8).bytes);
}

it.each([
  ['stored', () => daemon.home.models],
  ['prepared', () => daemon.home.prepared],
] as const)(
  'a %s file that is swapped on disk is not loaded; another deploy mends it',
  { timeout: 120_000 },
  async (_, place) => {
    await daemon.deploy(file, 'tiny');
    expectRight(await infer());
    const [folder] = readdirSync(place()).filter((name) => existsSync(join(place(), name, 'model.onnx')));
    const path = join(place(), folder!, 'model.onnx');
    const before = readFileSync(path);
    overwrite(path);
    // What is resident was loaded from the right bytes and goes on serving.
    expectRight(await infer());
    await evict();
    const refused = await infer();
    expect(refused.status).toBe(400);
    expect(refused.json!['error']).toContain('changed on disk');
    await daemon.deploy(file, 'tiny');
    expectRight(await infer());
    expect(readFileSync(path)).toEqual(before);
  },
);
