// Says how often the function reads a whole line right, in fonts and by hands that training never saw:
// node evaluate.ts [--lines 500] [--seed 1000]

import { parseArgs } from 'node:util';

import sharp from 'sharp';

import { seededRandom } from '../../../src/random.ts';
import { testFunction } from '../../../src/testing.ts';
import { heldOutFonts } from '../../../test/helpers/digit-images.ts';
import { drawLine } from './lines.ts';

const { values } = parseArgs({
  options: { lines: { type: 'string', default: '500' }, seed: { type: 'string', default: '1000' } },
});
const random = seededRandom(Number(values.seed));
const fonts = heldOutFonts();
await using pipeline = await testFunction(new URL('../handler.ts', import.meta.url));
let [wholeLines, digits, mistakes] = [0, 0, 0];
for (let i = 0; i < Number(values.lines); i++) {
  const { picture, text } = drawLine(fonts, 9, random);
  const raw = { width: picture.width, height: picture.height, channels: 4 } as const;
  const png = await sharp(picture.rgba, { raw }).png().toBuffer();
  const answer = await pipeline.call(png);
  const read = answer.status === 200 ? answer.json<{ text: string }>().text : '';
  digits += text.length;
  mistakes += distance(text, read);
  if (read === text) wholeLines++;
}
const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)}%`;
console.log(`${wholeLines} of ${values.lines} lines without a mistake, ${percent(wholeLines, Number(values.lines))}`);
console.log(`${mistakes} mistakes in ${digits} digits, ${percent(mistakes, digits)}`);

/** Digits to change, leave out or put in (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      next.push(Math.min(row[j]! + Number(a[i] !== b[j]), row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return row.at(-1)!;
}
