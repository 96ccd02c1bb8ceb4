import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../../src/random.ts';
import { LANGUAGES } from '../../../templates/text/languages.ts';
import { createCorpus } from '../../../templates/text/training/corpus.ts';
import { HELD_OUT } from '../../../templates/text/training/held-out.ts';
import { loadTemplate } from '../../helpers/call-handler.ts';
import type { LoadedTemplate } from '../../helpers/call-handler.ts';

let text: LoadedTemplate;
beforeAll(async () => {
  text = await loadTemplate('text');
});
afterAll(() => text.release());

async function languagesOf(sentences: readonly string[]): Promise<string[]> {
  const { status, json } = await text.call(JSON.stringify({ sentences }), '/', { 'content-type': 'application/json' });
  expect(status).toBe(200);
  return (json as { sentences: { language: string }[] }).sentences.map(({ language }) => language);
}

describe('the template text', () => {
  it('tells the language of its samples', async () => {
    expect((await text.call(text.file('samples/dutch.txt'))).json).toMatchObject({ language: 'nl', name: 'Dutch' });
    const { sentences } = JSON.parse(text.file('samples/sentences.json').toString()) as { sentences: string[] };
    expect(await languagesOf(sentences)).toEqual(LANGUAGES.map(({ code }) => code));
  });

  it('is right on 95% of sentences written for testing only', async () => {
    let right = 0;
    for (const [label, sentences] of HELD_OUT.entries()) {
      const answers = await languagesOf(sentences);
      right += answers.filter((answer) => answer === LANGUAGES[label]!.code).length;
    }
    expect(right / HELD_OUT.flat().length).toBeGreaterThanOrEqual(0.95);
  });

  it('is right on 99% of sentences made of pieces kept from training', async () => {
    const random = seededRandom(3000);
    const draw = createCorpus('test');
    const labels = Array.from({ length: 800 }, (_, i) => i % LANGUAGES.length);
    const sentences = labels.map((label) => draw(label, random));
    let right = 0;
    for (let start = 0; start < sentences.length; start += 200) {
      const answers = await languagesOf(sentences.slice(start, start + 200));
      right += answers.filter((answer, i) => answer === LANGUAGES[labels[start + i]!]!.code).length;
    }
    expect(right / sentences.length).toBeGreaterThanOrEqual(0.99);
  });

  it('answers 400 to what holds no sentence', async () => {
    expect(await text.call('42')).toMatchObject({ status: 400, json: { error: expect.stringMatching(/no letters/u) } });
    const odd = await text.call('{"sentences": "one"}', '/', { 'content-type': 'application/json' });
    expect(odd).toMatchObject({ status: 400, json: { error: expect.stringMatching(/Send text/u) } });
  });
});
