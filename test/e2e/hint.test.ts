// A function's models are loaded from the moment a call arrives: the call that a load was for is a miss all the same, the
// next one a hit.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestDaemon } from '../helpers/daemon.ts';
import { tinyModel } from '../helpers/models.ts';

const daemon = new TestDaemon('cpu:1@300MB');
/** Far longer than the load of so small a model takes. */
const PREPARES_MS = 2_000;

beforeAll(async () => {
  await daemon.start();
  const folder = join(daemon.folder, 'busy');
  mkdirSync(folder);
  writeFileSync(join(folder, 'tiny.onnx'), tinyModel().bytes);
  writeFileSync(join(folder, 'function.yaml'), 'name: busy\nhandler: handler.ts\nmodels:\n  m: { path: tiny.onnx }\n');
  writeFileSync(
    join(folder, 'handler.ts'),
    [
      "import { defineHandler, tensor } from 'gpufaas';",
      "import { setTimeout as sleep } from 'node:timers/promises';",
      "export default defineHandler<'m'>(async (_request, { models }) => {",
      `  await sleep(${PREPARES_MS});`,
      "  const input = tensor('FP32', [1, 4], [1, 2, 3, 4]);",
      '  await models.m.run({ input });',
      '  await models.m.run({ input });',
      "  return 'done';",
      '});',
    ].join('\n'),
  );
  await daemon.deploy(folder);
  await daemon.client.unload('busy');
});
afterAll(() => daemon.close());

async function call() {
  const { status, headers } = await daemon.send('POST', '/function/busy');
  const record = await daemon.client.invocation(String(headers['x-call-id']));
  return { status, header: headers['x-gpufaas-cache'], record };
}

it('the call whose arrival began a load is a miss, though it waited for nothing', { timeout: 60_000 }, async () => {
  const cold = await call();
  expect(cold).toMatchObject({ status: 200, header: 'miss', record: { cache: 'miss' } });
  const { runs, timing, decisions } = cold.record;
  // The second run found what the first one had.
  expect(runs.map(({ cache }) => cache)).toEqual(['miss', 'hit']);
  // The load was over before the handler asked.
  expect(timing.loadMs).toBe(0);
  expect(timing.hiddenLoadMs).toBeGreaterThan(0);
  expect(runs[0]!.hiddenLoadMs).toBe(timing.hiddenLoadMs);
  expect(decisions[0]!.reason).toBe('hint');
  const warm = await call();
  expect(warm).toMatchObject({ header: 'hit', record: { cache: 'hit' } });
});
