import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { GpufaasClient } from '../../src/client/client.ts';
import { packageStream, preparePackage } from '../../src/client/pack.ts';
import { startDaemon } from '../../src/daemon/daemon.ts';
import { resolveHome } from '../../src/home.ts';
import { fixedShapeModel, tinyModel } from '../helpers/models.ts';

it(
  'batching in function.yaml: answers as without it, and a message where the model can not',
  { timeout: 90_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gpufaas-batching-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
    const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
    const daemon = await startDaemon({ home, devices: 'cpu:1@300MB', port: 0, policy: 'locality' });
    onTestFinished(() => daemon.close());
    const client = new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() });
    /** Deploys a model with batching; gives the warnings. */
    const deploy = async (name: string, model: Uint8Array): Promise<string[]> => {
      const source = join(folder, name);
      mkdirSync(source);
      writeFileSync(join(source, 'model.onnx'), model);
      writeFileSync(
        join(source, 'function.yaml'),
        `name: ${name}\nmodels:\n  m: { path: model.onnx }\nbatching: { maxSize: 8, maxDelay: 5ms }\n`,
      );
      const warnings: string[] = [];
      for await (const step of client.deploy(await packageStream(await preparePackage(source)))) {
        if (step.type === 'step' && step.step === 'warning') warnings.push(step.message);
      }
      return warnings;
    };
    const infer = async (name: string, shape: number[], data: number[]) => {
      const answer = await fetch(`${daemon.url}/v2/models/${name}/infer`, {
        method: 'POST',
        body: JSON.stringify({ inputs: [{ name: 'input', datatype: 'FP32', shape, data }] }),
      });
      return {
        status: answer.status,
        body: (await answer.json()) as { outputs?: { shape: number[]; data: number[] }[] },
      };
    };

    const model = tinyModel(5);
    expect(await deploy('fixed', fixedShapeModel())).toEqual([
      expect.stringMatching(/Batching is off for the model "m"/),
    ]);
    expect(await deploy('tiny', model.bytes)).toEqual([]);
    const row = (index: number): number[] => [index / 10, 1, -1, 0.5];
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, index) =>
        infer('tiny', [1, index % 8 === 3 ? 5 : 4], index % 8 === 3 ? [1, 2, 3, 4, 5] : row(index)),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map((_, index) => (index % 8 === 3 ? 400 : 200)));
    for (const [index, { body }] of answers.entries()) {
      const output = body.outputs?.[0];
      if (output === undefined) continue;
      expect(output.shape).toEqual([1, 3]);
      for (const [column, value] of model.answer(row(index)).entries())
        expect(output.data[column]).toBeCloseTo(value, 5);
    }
  },
);

it('secrets and environment without a handler: deployed, with a message that nothing reads them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpufaas-unread-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
  const daemon = await startDaemon({ home, devices: 'cpu:1@300MB', port: 0 });
  onTestFinished(() => daemon.close());
  const client = new GpufaasClient({ url: daemon.url, token: readFileSync(home.token, 'utf8').trim() });
  const source = join(folder, 'unread');
  mkdirSync(source);
  writeFileSync(join(source, 'model.onnx'), tinyModel(5).bytes);
  const manifest = 'name: unread\nmodels:\n  m: { path: model.onnx }\nenvironment: { A: "1" }\n';
  writeFileSync(join(source, 'function.yaml'), manifest);
  const messages: string[] = [];
  for await (const step of client.deploy(await packageStream(await preparePackage(source)))) {
    if (step.type === 'step' && step.step === 'warning') messages.push(step.message);
  }
  expect(messages).toEqual(['Nothing reads `environment`: the function has no handler.']);
});
