// Run by `node --test`: the whole function, with its model, on its samples.
// Needs the link to gpufaas that `gpufaas init` makes in node_modules; without it these tests are skipped.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const testing = await import('gpufaas/testing').catch(() => null);
const options = { skip: testing === null ? 'gpufaas is not installed here' : false };

const sample = (name: string): Buffer => readFileSync(new URL(`./samples/${name}`, import.meta.url));

test('tells the language of the samples', options, async () => {
  await using text = await testing!.testFunction(import.meta.url);
  const one = await text.call(sample('dutch.txt'));
  assert.equal(one.json<{ language: string }>().language, 'nl');
  const several = await text.call({ json: JSON.parse(sample('sentences.json').toString()) });
  const { sentences } = several.json<{ sentences: { language: string }[] }>();
  assert.deepEqual(
    sentences.map(({ language }) => language),
    ['en', 'de', 'fr', 'es', 'it', 'pt', 'nl', 'sv'],
  );
});

test('says what is wrong with a text without letters', options, async () => {
  await using text = await testing!.testFunction(import.meta.url);
  const answer = await text.call('42');
  assert.equal(answer.status, 400);
  assert.match(answer.text(), /no Latin letters/u);
});
