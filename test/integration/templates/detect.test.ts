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
const LABELS = ['circle', 'circle', 'square', 'star', 'triangle'];

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
      const { rgb, width, height, objects: truth } = drawScene(240, 180, random, 'held-out');
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
    expect(right / there).toBeGreaterThan(0.94);
    expect(right / given).toBeGreaterThan(0.94);
  });

  it('gives boxes in the picture as it is seen: taken on end, transparent, large', async () => {
    const upright = (await detect.call(table)).json<Answer>();
    const onEnd = sharp(table).rotate(-90).withMetadata({ orientation: 6 }).jpeg({ quality: 95 });
    const turned = (await detect.call(await onEnd.toBuffer())).json<Answer>();
    expect([turned.width, turned.height]).toEqual([upright.width, upright.height]);
    const large = (await detect.call(await sharp(table).resize(4800).jpeg().toBuffer())).json<Answer>();
    expect([large.width, large.height]).toEqual([4800, 3600]);
    for (const { label, box } of upright.objects) {
      const same = (found: Found, scale: number): boolean =>
        found.label === label && overlap(found.box, box.map((n) => n * scale) as unknown as Found['box']) > 0.8;
      expect(turned.objects.some((found) => same(found, 1))).toBe(true);
      expect(large.objects.some((found) => same(found, 10))).toBe(true);
    }
    const circle = Buffer.from('<svg width="300" height="200"><circle cx="90" cy="100" r="40" fill="#c00"/></svg>');
    const clear = sharp({ create: { width: 300, height: 200, channels: 4, background: '#0000' } });
    const { objects } = (
      await detect.call(
        await clear
          .composite([{ input: circle }])
          .png()
          .toBuffer(),
      )
    ).json<Answer>();
    expect(objects.map(({ label }) => label)).toEqual(['circle']);
    expect(overlap(objects[0]!.box, [50, 60, 80, 80])).toBeGreaterThan(0.7);
  });

  it('answers 400 to what is no picture, damaged or too large, and says which', async () => {
    const huge = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="20000" height="6000"/>');
    for (const [body, reason] of [
      ['a table', /no picture/u],
      ['', /no picture/u],
      [table.subarray(0, table.length / 2), /damaged/u],
      [huge, /20000 x 6000.*at most 100 million/u],
    ] as const) {
      const answer = await detect.call(body);
      expect([answer.status, answer.text()]).toEqual([400, expect.stringMatching(reason)]);
    }
  });
});
