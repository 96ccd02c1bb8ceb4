import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../../src/random.ts';
import type { TestedFunction } from '../../../src/testing.ts';
import { drawLine } from '../../../templates/pipeline/training/lines.ts';
import { heldOutFonts } from '../../helpers/digit-images.ts';
import { startTemplate, templateFile } from '../../helpers/templates.ts';

interface Answer {
  readonly text: string;
  readonly digits: readonly { readonly label: number; readonly box: readonly number[] }[];
}

let pipeline: TestedFunction;
beforeAll(async () => {
  pipeline = await startTemplate('pipeline');
}, 60_000);
afterAll(() => pipeline.close());

describe('the template pipeline', () => {
  it('reads its samples, from left to right, without the marks between', async () => {
    const { text, digits } = (await pipeline.call(templateFile('pipeline', 'samples/account.png'))).json<Answer>();
    expect(text).toBe('47110815');
    expect(digits.map(({ label }) => label).join('')).toBe(text);
    const lefts = digits.map(({ box }) => box[0]!);
    expect(lefts).toEqual([...lefts].sort((a, b) => a - b));
    const date = await pipeline.call(templateFile('pipeline', 'samples/date.png'));
    expect(date.json<Answer>().text).toBe('24121998');
  });

  it('uses the very model of the template digits', () => {
    const shared = templateFile('digits', 'model/digits.onnx');
    expect(templateFile('pipeline', 'model/digits.onnx').equals(shared)).toBe(true);
  });

  it(
    'reads four of five soiled lines whole, in fonts and hands that training never saw',
    { timeout: 120_000 },
    async () => {
      const random = seededRandom(5000);
      const fonts = heldOutFonts();
      const wrong: string[] = [];
      const lines = 60;
      for (let i = 0; i < lines; i++) {
        const { picture, text } = drawLine(fonts, 9, random);
        const raw = { width: picture.width, height: picture.height, channels: 4 } as const;
        const answer = await pipeline.call(await sharp(picture.rgba, { raw }).png().toBuffer());
        const read = answer.json<Answer>().text;
        if (read !== text) wrong.push(`${text} read as ${read}`);
      }
      expect(wrong.slice(lines / 5)).toEqual([]);
    },
  );

  it('answers 400 to what is no picture and to an empty one', async () => {
    const text = await pipeline.call('4711');
    expect([text.status, text.text()]).toEqual([400, expect.stringMatching(/no picture/u)]);
    const sheet = sharp({ create: { width: 90, height: 40, channels: 3, background: '#eee' } }).png();
    const empty = await pipeline.call(await sheet.toBuffer());
    expect([empty.status, empty.text()]).toEqual([400, expect.stringMatching(/empty/u)]);
  });
});
