// Makes sentences in eight languages from pieces that were written for it. Every fifth piece is kept for testing: what is
// measured is made of words in combinations and, beyond the commonest, words that training never saw.

import { randomInteger } from '../../../src/random.ts';
import type { Random } from '../../../src/random.ts';
import { dutch } from './languages/dutch.ts';
import { english } from './languages/english.ts';
import { french } from './languages/french.ts';
import { german } from './languages/german.ts';
import { italian } from './languages/italian.ts';
import { portuguese } from './languages/portuguese.ts';
import { spanish } from './languages/spanish.ts';
import { swedish } from './languages/swedish.ts';
import type { LanguagePieces } from './languages/types.ts';

/** In the order of LANGUAGES. */
const PIECES: readonly LanguagePieces[] = [english, german, french, spanish, italian, portuguese, dutch, swedish];

/** Which pieces: those for learning, or those kept from it. */
export type Part = 'learn' | 'test';

type Slot = Exclude<keyof LanguagePieces, 'verbSecond'>;

function piecesOf(pieces: string, part: Part): string[] {
  const all = pieces.split(/\s*(?:\||\n)\s*/u).filter((piece) => piece !== '');
  return all.filter((_, i) => (i % 5 === 4) === (part === 'test'));
}

/** Makes sentences of one language after another; `label` is the place in LANGUAGES. */
export function createCorpus(part: Part): (label: number, random: Random) => string {
  const slots: readonly Slot[] = ['subjects', 'verbs', 'objects', 'places', 'times', 'sentences'];
  const languages = PIECES.map((pieces) => ({
    verbSecond: pieces.verbSecond,
    pieces: new Map(slots.map((slot) => [slot, piecesOf(pieces[slot], part)])),
  }));
  return (label, random) => {
    const { verbSecond, pieces } = languages[label]!;
    const pick = (slot: Slot): string => {
      const choices = pieces.get(slot)!;
      return choices[randomInteger(random, choices.length)]!;
    };
    if (random() < 0.45) return roughen(pick('sentences'), part, random);
    const [who, does, what] = [pick('subjects'), pick('verbs'), pick('objects')];
    const plain = `${who} ${does} ${what}`;
    const timed = verbSecond ? `${pick('times')} ${does} ${who} ${what}` : `${pick('times')}, ${plain}`;
    const sentence = random() < 0.5 ? plain : timed;
    const whole = random() < 0.6 ? `${sentence} ${pick('places')}` : sentence;
    return roughen(`${whole.charAt(0).toUpperCase()}${whole.slice(1)}.`, part, random);
  };
}

/** For learning, what people do to sentences: fragments, capitals, accents left out. Test sentences stay whole. */
function roughen(sentence: string, part: Part, random: Random): string {
  if (part === 'test') return sentence;
  const words = sentence.split(' ');
  let result = sentence;
  if (words.length > 3 && random() < 0.4) {
    const length = 2 + randomInteger(random, words.length - 2);
    const start = randomInteger(random, words.length - length + 1);
    result = words.slice(start, start + length).join(' ');
  }
  if (random() < 0.15) result = result.normalize('NFD').replaceAll(/\p{M}/gu, '');
  return random() < 0.05 ? result.toUpperCase() : result;
}
