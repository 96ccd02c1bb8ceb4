// Run by `node --test`: the whole function, with both models, on its samples.
// Needs the link to gpufaas that `gpufaas init` makes in node_modules; without it these tests are skipped.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const testing = await import('gpufaas/testing').catch(() => null);
const options = { skip: testing === null ? 'gpufaas is not installed here' : false };

const sample = (name: string): Buffer => readFileSync(new URL(`./samples/${name}`, import.meta.url));

test('reads the samples', options, async () => {
  await using pipeline = await testing!.testFunction(import.meta.url);
  for (const [name, text] of [
    ['account.png', '4711-0815'],
    ['date.png', '24.12.1998'],
  ] as const) {
    const answer = await pipeline.call(sample(name));
    assert.equal(answer.json<{ text: string }>().text, text.replaceAll(/\D/gu, ''));
  }
});

test('says what is wrong with an empty picture', options, async () => {
  await using pipeline = await testing!.testFunction(import.meta.url);
  const answer = await pipeline.call('1234');
  assert.equal(answer.status, 400);
  assert.match(answer.text(), /no picture/u);
});
