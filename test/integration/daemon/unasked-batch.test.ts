// A real daemon batches a model that profits, though nobody asked for it: every call gets the answer that it gets alone.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { childrenOf, TestDaemon } from '../../helpers/daemon.ts';
import { denseModel } from '../../helpers/tiny-onnx.ts';

const WIDTH = 800;
const CALLS = 48;
let daemon: TestDaemon;
let name = '';

const bodies = Array.from({ length: CALLS }, (_, call) =>
  JSON.stringify({
    inputs: [
      {
        name: 'x',
        shape: [1, WIDTH],
        datatype: 'FP32',
        data: Array.from({ length: WIDTH }, (_each, i) => Math.sin(call + i)),
      },
    ],
  }),
);

async function call(body: string): Promise<{ values: readonly number[]; id: string }> {
  const answer = await daemon.send('POST', `/v2/models/${name}/infer`, body);
  expect(answer.text).toContain('outputs');
  return { values: answer.json!.outputs![0]!.data, id: String(answer.headers['x-call-id']) };
}

function expectSame(values: readonly number[], alone: readonly number[]): void {
  const largest = Math.max(...values.map((y, i) => Math.abs(y - alone[i]!) / Math.max(1, Math.abs(alone[i]!))));
  expect(largest).toBeLessThanOrEqual(1e-5);
}

beforeAll(async () => {
  daemon = await new TestDaemon('cpu:1@400MB').start();
  // It is measured, and a busy machine may hide the difference now and then; other weights are measured anew.
  for (let seed = 1; seed < 10; seed++) {
    name = `dense${seed}`;
    const path = join(daemon.folder, 'dense.onnx');
    writeFileSync(path, denseModel(6, WIDTH, seed));
    await daemon.deploy(path, name);
    const { modelDetails } = await daemon.client.function(name);
    if (modelDetails[0]!.batching !== null) break;
  }
}, 120_000);
afterAll(() => daemon.close());

it('describe says so, calls at once share runs, and each is answered as alone', async () => {
  const { modelDetails } = await daemon.client.function(name);
  expect(modelDetails[0]!.batching).toEqual({ maxRows: 8, unasked: true });
  const alone: (readonly number[])[] = [];
  for (const body of bodies) alone.push((await call(body)).values);
  let shared = 0;
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all(bodies.map(call));
    for (const [index, { values }] of answers.entries()) expectSame(values, alone[index]!);
    const records = await Promise.all(answers.map(({ id }) => daemon.client.invocation(id)));
    for (const { runs } of records) {
      expect(runs).toHaveLength(1);
      if ((runs[0]!.together ?? 1) > 1) shared++;
    }
  }
  expect(shared).toBeGreaterThan(CALLS);
  const statistics = (await daemon.send('GET', `/v2/models/${name}/stats`)).text;
  const [{ inference_count: inferences, execution_count: executions }] = JSON.parse(statistics).model_stats;
  expect(inferences).toBe(6 * CALLS);
  expect(executions).toBeLessThan(inferences);
  expect(executions).toBeGreaterThan(inferences / 8);
});

it('calls whose worker is killed in the midst of a batch are answered all the same', async () => {
  const alone = (await call(bodies[0]!)).values;
  const calls = Array.from({ length: 100 }, () => call(bodies[0]!));
  await calls[20];
  for (const pid of childrenOf(daemon.pid)) process.kill(pid, 'SIGKILL');
  for (const { values } of await Promise.all(calls)) expectSame(values, alone);
});
