import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../../src/random.ts';
import type { TestedFunction } from '../../../src/testing.ts';
import { startTemplate, templateFile } from '../../helpers/templates.ts';
import { heldOutDigitImages } from '../../helpers/digit-images.ts';

// Handlers run in a process of their own; on a busy machine its start takes a while.
const START_MS = 60_000;
const NAMES = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];

let digits: TestedFunction;
beforeAll(async () => {
  digits = await startTemplate('digits');
}, START_MS);
afterAll(() => digits.close());

interface Reading {
  readonly label: number;
  readonly score: number;
  readonly scores: number[];
}

async function read(picture: Uint8Array): Promise<Reading> {
  const answer = await digits.call(picture);
  expect(answer.status).toBe(200);
  return answer.json<Reading>();
}

describe('the template digits', () => {
  it('reads every sample that it ships', async () => {
    for (const [digit, name] of NAMES.entries()) {
      const { label, score, scores } = await read(templateFile('digits', `samples/${name}.png`));
      expect({ name, label }).toEqual({ name, label: digit });
      expect(score).toBe(Math.max(...scores));
      expect(scores.reduce((sum, value) => sum + value)).toBeCloseTo(1, 2);
    }
  });

  it('is right on 97% or more of 1,000 pictures in fonts that training never saw', { timeout: 300_000 }, async () => {
    const images = await heldOutDigitImages();
    expect(images.length).toBeGreaterThanOrEqual(1000);
    const wrong: string[] = [];
    // Eight at a time: decoding is a handler's own work and goes on beside the runs.
    for (let start = 0; start < images.length; start += 8) {
      const some = images.slice(start, start + 8);
      const answers = await Promise.all(some.map(({ png }) => read(png)));
      answers.forEach(({ label: answer }, i) => {
        const { label, font, look } = some[i]!;
        if (answer !== label) wrong.push(`${font} ${look}: ${label} read as ${answer}`);
      });
    }
    // Beyond what is allowed, the list itself shows in the failure.
    const allowed = Math.floor(images.length * 0.03);
    expect(wrong.slice(allowed)).toEqual([]);
  });

  it('reads the same digit from JPEG, from a large photo and from one side of a wide picture', async () => {
    const seven = sharp(templateFile('digits', 'samples/seven.png'));
    const { dominant } = await seven.stats();
    expect((await read(await seven.clone().jpeg().toBuffer())).label).toBe(7);
    expect((await read(await seven.clone().resize(2400).jpeg().toBuffer())).label).toBe(7);
    const wide = seven.clone().extend({ left: 700, bottom: 300, background: dominant });
    expect((await read(await wide.png().toBuffer())).label).toBe(7);
  });

  it('reads a digit on paper that is lit from one side, and a photograph that was taken on end', async () => {
    const { data, info } = await sharp(templateFile('digits', 'samples/three.png'))
      .resize(600)
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    const random = seededRandom(4);
    data.forEach((value, i) => {
      const x = Math.floor(i / channels) % width;
      data[i] = Math.min(255, Math.max(0, value * (1 - (0.4 * x) / width) + (random() - 0.5) * 30));
    });
    const photo = sharp(data, { raw: { width, height, channels } }).jpeg({ quality: 60 });
    expect((await read(await photo.toBuffer())).label).toBe(3);
    const onEnd = sharp(await photo.clone().toBuffer())
      .rotate(-90)
      .withMetadata({ orientation: 6 });
    expect((await read(await onEnd.jpeg().toBuffer())).label).toBe(3);
  });

  it('says how large a picture may be', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="20000" height="6000"/>';
    const answer = await digits.call(Buffer.from(svg));
    expect([answer.status, answer.text()]).toEqual([400, expect.stringMatching(/20000 x 6000.*at most 100 million/u)]);
  });

  it.each([
    ['a text', Buffer.from('seven')],
    ['nothing', Buffer.alloc(0)],
    ['a cut PNG', Buffer.from('\x89PNG\r\n\x1a\n and no more', 'latin1')],
  ])('answers 400 to %s', async (_, body) => {
    const answer = await digits.call(body);
    expect(answer.status).toBe(400);
    expect(answer.text()).toMatch(/no picture|damaged/u);
  });

  it('answers 400 to an empty sheet', async () => {
    const sheet = sharp({ create: { width: 50, height: 50, channels: 3, background: '#eee' } }).png();
    const answer = await digits.call(await sheet.toBuffer());
    expect(answer.status).toBe(400);
    expect(answer.text()).toMatch(/empty/u);
  });
});
