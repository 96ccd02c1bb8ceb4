// Tells the language of a sentence: POST text, or JSON { "sentences": [...] } for several at once.

import { defineHandler, HttpError, tensor } from 'gpufaas';

import { LANGUAGES } from './languages.ts';
import { BUCKETS, countRuns } from './tokenizer.ts';

const MOST_SENTENCES = 256;
const ASK = `Send a sentence as text, or JSON {"sentences": ["…"]} with 1 to ${MOST_SENTENCES} of them.`;

export default defineHandler<'classifier'>(async (request, { models }) => {
  // `invoke -f` and curl do not say what a file holds: a body that begins as JSON is taken for it.
  const isJson = request.headers['content-type']?.includes('json') === true || /^\s*\{/u.test(request.text());
  const sentences = isJson ? sentencesOf(request.json()) : [request.text()];
  const input = new Float32Array(sentences.length * BUCKETS);
  sentences.forEach((sentence, row) => {
    const counts = countRuns(sentence);
    if (counts === null) {
      const place = isJson ? `sentence ${row + 1}` : 'the body';
      throw new HttpError(
        400,
        `There are no Latin letters in ${place}: ${JSON.stringify(sentence.slice(0, 40))}. ${ASK}`,
      );
    }
    input.set(counts, row * BUCKETS);
  });
  const { probabilities } = await models.classifier.run<'probabilities'>({
    runs: tensor([sentences.length, BUCKETS], input),
  });
  const answers = sentences.map((_, row) => {
    return describe(probabilities.data.subarray(row * LANGUAGES.length, (row + 1) * LANGUAGES.length));
  });
  return isJson ? { sentences: answers } : answers[0];
});

function sentencesOf(body: unknown): string[] {
  const list = typeof body === 'object' && body !== null && 'sentences' in body ? body.sentences : undefined;
  const fits = Array.isArray(list) && list.length > 0 && list.length <= MOST_SENTENCES;
  if (fits && list.every((item): item is string => typeof item === 'string')) return list;
  throw new HttpError(400, ASK);
}

function describe(chances: Float32Array): unknown {
  const best = chances.indexOf(Math.max(...chances));
  const scores = LANGUAGES.map(({ code }, i) => [code, Math.round(chances[i]! * 1e4) / 1e4] as const);
  return {
    language: LANGUAGES[best]!.code,
    name: LANGUAGES[best]!.name,
    score: scores[best]![1],
    scores: Object.fromEntries(scores),
  };
}
