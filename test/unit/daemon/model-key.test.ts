import { expect, it } from 'vitest';
import { modelKey } from '../../../src/daemon/model-library.ts';

const SHA256 = 'ab'.repeat(32);

it('equal bytes are one model, but apart where they are loaded otherwise: other session options, gathered requests', () => {
  const plain = modelKey(SHA256, { batchRows: 1 });
  expect(plain).toBe(SHA256);
  expect(modelKey(SHA256, { sessionOptions: {}, batchRows: 1 })).toBe(plain);
  const others = [
    modelKey(SHA256, { batchRows: 8 }),
    modelKey(SHA256, { batchRows: 16 }),
    modelKey(SHA256, { sessionOptions: { graphOptimizationLevel: 'basic' }, batchRows: 1 }),
    modelKey(SHA256, { sessionOptions: { graphOptimizationLevel: 'basic' }, batchRows: 8 }),
  ];
  expect(new Set([plain, ...others]).size).toBe(5);
  for (const key of others) expect(key.startsWith(`${SHA256}+`)).toBe(true);
});
