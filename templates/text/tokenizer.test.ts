// Run by `node --test`: what the model is given for a text.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BUCKETS, countRuns, wordsOf } from './tokenizer.ts';

test('words are letters only, in lower case, whatever stands between them', () => {
  assert.deepEqual(wordsOf("L'été, 2 fois — OÙ?"), ['l', 'été', 'fois', 'où']);
});

test('composed and decomposed letters are the same', () => {
  assert.deepEqual(countRuns('garçon'.normalize('NFD')), countRuns('garçon'.normalize('NFC')));
});

test('the input has length 1 however long the text is', () => {
  for (const text of ['a', 'a longer sentence', 'word '.repeat(5000)]) {
    const counts = countRuns(text)!;
    assert.equal(counts.length, BUCKETS);
    assert.ok(Math.abs(Math.hypot(...counts) - 1) < 1e-5);
  }
});

test('of a long text the first pages count', () => {
  const page = 'de fiets staat in de straat '.repeat(500);
  assert.deepEqual(countRuns(`${page} and a bicycle`), countRuns(page));
});

test('a text without Latin letters has no input', () => {
  for (const text of ['', ' ', '123 + 4', '!?', '🎉🎉', 'Как дела?']) assert.equal(countRuns(text), null);
});

test('different words have different inputs', () => {
  assert.notDeepEqual(countRuns('straat'), countRuns('strada'));
});
