// Run by `node --test`: the whole function, with its model, on its sample.
// Needs the link to gpufaas that `gpufaas init` makes in node_modules; without it these tests are skipped.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const testing = await import('gpufaas/testing').catch(() => null);
const options = { skip: testing === null ? 'gpufaas is not installed here' : false };

const sample = (name: string): Buffer => readFileSync(new URL(`./samples/${name}`, import.meta.url));

const TABLE = ['circle', 'circle', 'square', 'star', 'triangle'];

interface Answer {
  readonly width: number;
  readonly height: number;
  readonly objects: readonly { readonly label: string; readonly box: readonly number[] }[];
}

test('finds what lies on the table, within the picture', options, async () => {
  await using detect = await testing!.testFunction(import.meta.url);
  const { width, height, objects } = (await detect.call(sample('table.jpg'))).json<Answer>();
  const labels = objects.map(({ label }) => label).sort();
  assert.deepEqual(labels, TABLE);
  for (const { box } of objects) {
    const [x, y, w, h] = box as [number, number, number, number];
    assert.ok(x >= 0 && y >= 0 && x + w <= width && y + h <= height);
  }
});

test('draws the boxes when asked for a picture', options, async () => {
  await using detect = await testing!.testFunction(import.meta.url);
  const png = await detect.call({ body: sample('table.jpg'), headers: { accept: 'image/png' } });
  assert.equal(png.headers['content-type'], 'image/png');
  assert.deepEqual([...png.body.subarray(1, 4)], [...Buffer.from('PNG')]);
  const svg = await detect.call({ body: sample('table.jpg'), headers: { accept: 'image/svg+xml' } });
  assert.equal(svg.text().match(/<rect/gu)?.length, TABLE.length);
});
