// Run by `node --test`: whether every sample is a body that the server can read, before it is sent.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

interface Body {
  readonly inputs: readonly { readonly name: string; readonly shape: readonly number[]; readonly data: unknown[] }[];
}

const folder = new URL('./samples/', import.meta.url);

for (const file of readdirSync(folder)) {
  test(`${file} has as many elements as its shapes say`, () => {
    const { inputs } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Body;
    assert.ok(inputs.length > 0);
    for (const { name, shape, data } of inputs) {
      const expected = shape.reduce((product, size) => product * size, 1);
      assert.equal(data.flat(Infinity).length, expected, `${name} is of shape [${shape.join(', ')}]`);
    }
  });
}
