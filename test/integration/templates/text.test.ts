import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../../src/random.ts';
import { LANGUAGES } from '../../../templates/text/languages.ts';
import { createCorpus } from '../../../templates/text/training/corpus.ts';
import { HELD_OUT } from '../../../templates/text/training/held-out.ts';
import type { TestedFunction } from '../../../src/testing.ts';
import { startTemplate, templateFile } from '../../helpers/templates.ts';

let text: TestedFunction;
beforeAll(async () => {
  text = await startTemplate('text');
}, 60_000);
afterAll(() => text.close());

async function languagesOf(sentences: readonly string[]): Promise<string[]> {
  const answer = await text.call({ json: { sentences } });
  expect(answer.status).toBe(200);
  return answer.json<{ sentences: { language: string }[] }>().sentences.map(({ language }) => language);
}

describe('the template text', () => {
  it('tells the language of its samples', async () => {
    expect((await text.call(templateFile('text', 'samples/dutch.txt'))).json()).toMatchObject({
      language: 'nl',
      name: 'Dutch',
    });
    const { sentences } = JSON.parse(templateFile('text', 'samples/sentences.json').toString()) as {
      sentences: string[];
    };
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
    const number = await text.call('42');
    expect(number.status).toBe(400);
    expect(number.text()).toMatch(/no Latin letters/u);
    const odd = await text.call({ json: { sentences: 'one' } });
    expect(odd.status).toBe(400);
    expect(odd.text()).toMatch(/Send a sentence/u);
    const emoji = await text.call({ json: { sentences: ['one two three', '🎉'] } });
    expect([emoji.status, emoji.text()]).toEqual([400, expect.stringMatching(/no Latin letters in sentence 2/u)]);
  });
});
