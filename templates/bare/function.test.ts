// Run by `node --test`: the model, on its sample.
// Needs the link to gpufaas that `gpufaas init` makes in node_modules; without it these tests are skipped.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const testing = await import('gpufaas/testing').catch(() => null);
const options = { skip: testing === null ? 'gpufaas is not installed here' : false };

test('the model answers the sample', options, async () => {
  await using bare = await testing!.testFunction(import.meta.url);
  const body = readFileSync(new URL('./samples/temperatures.json', import.meta.url), 'utf8');
  const [input] = (JSON.parse(body) as { inputs: { shape: number[]; data: number[] }[] }).inputs;
  const { fahrenheit } = await bare.run('model', { celsius: testing!.tensor('FP32', input!.shape, input!.data) });
  assert.deepEqual([...fahrenheit!.data], [-40, 32, 212]);
});
