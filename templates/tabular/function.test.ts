// Run by `node --test`: the whole function, with its model, on its samples.
// Needs the link to gpufaas that `gpufaas init` makes in node_modules; without it these tests are skipped.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const testing = await import('gpufaas/testing').catch(() => null);
const options = { skip: testing === null ? 'gpufaas is not installed here' : false };

const sample = (name: string): Buffer => readFileSync(new URL(`./samples/${name}`, import.meta.url));

test('tells each class of the samples, as JSON and as CSV', options, async () => {
  await using tabular = await testing!.testFunction(import.meta.url);
  const answer = await tabular.call(sample('pumps.json'));
  const { rows } = answer.json<{ rows: { label: string }[] }>();
  assert.deepEqual(
    rows.map(({ label }) => label),
    ['healthy', 'cavitation', 'bearing', 'blockage', 'impeller'],
  );
  const csv = await tabular.call({ body: sample('pumps.csv'), headers: { 'content-type': 'text/csv' } });
  assert.deepEqual(csv.json(), answer.json());
});

test('says what is wrong with rows that do not fit', options, async () => {
  await using tabular = await testing!.testFunction(import.meta.url);
  const answer = await tabular.call({ json: [{ speed_rpm: 1500 }] });
  assert.equal(answer.status, 400);
  assert.match(answer.text(), /Row 1 lacks flow_m3h/u);
});
