// Run by `node --test`: the whole function, with its model, on its samples.
// Needs the link to gpufaas that `gpufaas init` makes in node_modules; without it these tests are skipped.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const testing = await import('gpufaas/testing').catch(() => null);
const options = { skip: testing === null ? 'gpufaas is not installed here' : false };

const sample = (name: string): Buffer => readFileSync(new URL(`./samples/${name}`, import.meta.url));

test('reads every sample', options, async () => {
  await using digits = await testing!.testFunction(import.meta.url);
  const names = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
  for (const [digit, name] of names.entries()) {
    const answer = await digits.call(sample(`${name}.png`));
    assert.equal(answer.status, 200);
    assert.equal(answer.json<{ label: number }>().label, digit);
  }
});

test('says what is wrong with a body that is no picture', options, async () => {
  await using digits = await testing!.testFunction(import.meta.url);
  const answer = await digits.call('seven');
  assert.equal(answer.status, 400);
  assert.match(answer.text(), /no picture/u);
});
