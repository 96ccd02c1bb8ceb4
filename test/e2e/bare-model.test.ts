// A bare CNN through every door, against ONNX Runtime in this process.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deployModel } from '../../bench/deploy.ts';
import { startDaemon, type Daemon } from '../../src/daemon/daemon.ts';
import { resolveHome } from '../../src/home.ts';
import { buildNetwork, NETWORK_INPUT_ROW } from '../../src/onnx/networks.ts';
import { seededRandom } from '../../src/random.ts';

const MEGABYTES = Number(process.env['GPUFAAS_TEST_MEGABYTES'] ?? 8);
const folder = mkdtempSync(join(tmpdir(), 'gpufaas-bare-'));
const home = resolveHome({ GPUFAAS_HOME: join(folder, 'home') });
const path = join(folder, 'net.onnx');
let daemon: Daemon;
let session: InferenceSession;

beforeAll(async () => {
  // Weights beside the graph, as large exports have them.
  const { model, data } = buildNetwork({ kind: 'cnn', megabytes: MEGABYTES, seed: 5 }).encodeExternal('weights.bin');
  writeFileSync(path, model);
  writeFileSync(join(folder, 'weights.bin'), data);
  session = await InferenceSession.create(path);
  daemon = await startDaemon({ home, devices: 'cpu:1@4GB', port: 0 });
  await deployModel(daemon.url, home, path, 'net');
}, 120_000);

afterAll(async () => {
  await session.release();
  await daemon.close();
  rmSync(folder, { recursive: true, force: true });
});

async function expected(data: Float32Array, shape: number[]): Promise<Float32Array> {
  return (await session.run({ input: new Tensor('float32', data, shape) }))['output']!.data as Float32Array;
}

function close(actual: ArrayLike<number>, wanted: Float32Array): void {
  expect(actual.length).toBe(wanted.length);
  let worst = 0;
  for (const [index, value] of wanted.entries()) {
    worst = Math.max(worst, Math.abs(actual[index]! - value) / Math.max(1, Math.abs(value)));
  }
  expect(worst).toBeLessThanOrEqual(1e-5);
}

describe.each([1, 3])('a bare CNN with external weights at batch %i', (batch) => {
  const shape = [batch, ...NETWORK_INPUT_ROW.cnn];
  const random = seededRandom(batch);
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random() * 2 - 1);

  it.each(['/v2/models/net/infer', '/v2/models/net/versions/1/infer', '/function/net'])(
    'answers JSON at %s',
    async (door) => {
      const body = JSON.stringify({ inputs: [{ name: 'input', shape, datatype: 'FP32', data: Array.from(data) }] });
      const answer = await fetch(daemon.url + door, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      const result = (await answer.json()) as { outputs: { shape: number[]; data: number[] }[] };
      expect(answer.status).toBe(200);
      expect(result.outputs[0]!.shape).toEqual([batch, 1000]);
      close(result.outputs[0]!.data, await expected(data, shape));
    },
  );

  it.each(['/v2/models/net/infer', '/function/net'])('answers binary tensors at %s', async (door) => {
    const header = JSON.stringify({
      inputs: [{ name: 'input', shape, datatype: 'FP32', parameters: { binary_data_size: data.byteLength } }],
      parameters: { binary_data_output: true },
    });
    const answer = await fetch(daemon.url + door, {
      method: 'POST',
      body: Buffer.concat([Buffer.from(header), Buffer.from(data.buffer)]),
      headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(header.length) },
    });
    expect(answer.status).toBe(200);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const headerLength = Number(answer.headers.get('inference-header-content-length'));
    close(new Float32Array(bytes.slice(headerLength).buffer), await expected(data, shape));
  });
});
