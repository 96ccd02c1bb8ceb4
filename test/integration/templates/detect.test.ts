import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../../src/random.ts';
import type { TestedFunction } from '../../../src/testing.ts';
import { overlap } from '../../../templates/detect/boxes.ts';
import type { Found } from '../../../templates/detect/boxes.ts';
import { drawScene } from '../../../templates/detect/training/scenes.ts';
import { startTemplate, templateFile } from '../../helpers/templates.ts';

interface Answer {
  readonly width: number;
  readonly height: number;
  readonly objects: readonly Found[];
}

let detect: TestedFunction;
beforeAll(async () => {
  detect = await startTemplate('detect');
}, 60_000);
afterAll(() => detect.close());

const table = templateFile('detect', 'samples/table.jpg');
const LABELS = ['circle', 'square', 'square', 'star', 'triangle'];

describe('the template detect', () => {
  it('finds every shape of its sample, each within the picture', async () => {
    const { width, height, objects } = (await detect.call(table)).json<Answer>();
    expect([width, height]).toEqual([480, 360]);
    expect(objects.map(({ label }) => label).sort()).toEqual(LABELS);
    for (const { box } of objects) {
      expect(Math.min(...box)).toBeGreaterThanOrEqual(0);
      expect(box[0] + box[2]).toBeLessThanOrEqual(480);
      expect(box[1] + box[3]).toBeLessThanOrEqual(360);
    }
  });

  it('draws what it found when asked for a PNG or an SVG', async () => {
    const png = await detect.call({ body: table, headers: { accept: 'image/png' } });
    expect(png.headers['content-type']).toBe('image/png');
    expect(await sharp(png.body).metadata()).toMatchObject({ format: 'png', width: 480, height: 360 });
    const svg = await detect.call({ body: table, headers: { accept: 'image/svg+xml' } });
    expect(svg.headers['content-type']).toBe('image/svg+xml');
    expect(svg.text().match(/<rect/gu)).toHaveLength(LABELS.length);
  });

  it('finds most of what training never saw, and little else', { timeout: 120_000 }, async () => {
    const random = seededRandom(6000);
    let [there, given, right] = [0, 0, 0];
    for (let i = 0; i < 60; i++) {
      const { rgb, width, height, objects: truth } = drawScene(240, 180, random);
      const png = await sharp(rgb, { raw: { width, height, channels: 3 } })
        .png()
        .toBuffer();
      const { objects } = (await detect.call(png)).json<Answer>();
      there += truth.length;
      given += objects.length;
      const same = (a: Pick<Found, 'label' | 'box'>, b: Found): boolean =>
        a.label === b.label && overlap(a.box, b.box) >= 0.5;
      right += truth.filter((object) => objects.some((found) => same(object, found))).length;
    }
    expect(right / there).toBeGreaterThan(0.8);
    expect(right / given).toBeGreaterThan(0.8);
  });

  it('answers 400 to what is no picture', async () => {
    const answer = await detect.call('a table');
    expect([answer.status, answer.text()]).toEqual([400, expect.stringMatching(/no picture/u)]);
  });
});
