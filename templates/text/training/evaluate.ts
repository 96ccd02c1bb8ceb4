// Says how often the model is right on sentences that training never saw: node evaluate.ts [--sentences 4000]

import { parseArgs } from 'node:util';

import { InferenceSession, Tensor } from 'onnxruntime-node';

import { seededRandom } from '../../../src/random.ts';
import { LANGUAGES } from '../languages.ts';
import { BUCKETS, countRuns } from '../tokenizer.ts';
import { createCorpus } from './corpus.ts';
import { HELD_OUT } from './held-out.ts';

const { values } = parseArgs({ options: { sentences: { type: 'string', default: '4000' } } });
const session = await InferenceSession.create(new URL('../model/languages.onnx', import.meta.url).pathname);

const random = seededRandom(1000);
const draw = createCorpus('test');
const made = Array.from({ length: Number(values.sentences) }, (_, i) => {
  const label = i % LANGUAGES.length;
  return { label, sentence: draw(label, random) };
});
await measure('made of held-out pieces', made);
const written = HELD_OUT.flatMap((sentences, label) => sentences.map((sentence) => ({ label, sentence })));
await measure('written for testing', written);
const halves = written.map(({ label, sentence }) => {
  const words = sentence.split(' ');
  return { label, sentence: words.slice(0, 3).join(' ') };
});
await measure('their first three words', halves);

async function measure(title: string, sentences: readonly { label: number; sentence: string }[]): Promise<void> {
  let right = 0;
  for (const { label, sentence } of sentences) {
    const input = new Tensor('float32', countRuns(sentence)!, [1, BUCKETS]);
    const { probabilities } = await session.run({ runs: input });
    const chances = probabilities!.data as Float32Array;
    const answer = chances.indexOf(Math.max(...chances));
    if (answer === label) right++;
    else if (sentences.length < 200) console.log(`    ${LANGUAGES[answer]!.code}: ${sentence}`);
  }
  console.log(`${title}: ${right} of ${sentences.length} right, ${((100 * right) / sentences.length).toFixed(2)}%`);
}
