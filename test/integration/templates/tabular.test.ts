import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../../src/random.ts';
import { CLASSES, COLUMNS } from '../../../templates/tabular/columns.ts';
import { drawReading } from '../../../templates/tabular/training/data.ts';
import type { TestedFunction } from '../../../src/testing.ts';
import { startTemplate, templateFile } from '../../helpers/templates.ts';

interface Result {
  readonly rows: readonly { readonly label: string; readonly probabilities: Readonly<Record<string, number>> }[];
}

let tabular: TestedFunction;
beforeAll(async () => {
  tabular = await startTemplate('tabular');
}, 60_000);
afterAll(() => tabular.close());

describe('the template tabular', () => {
  it('tells each class of its samples, as JSON and as CSV', async () => {
    const fromJson = await tabular.call(templateFile('tabular', 'samples/pumps.json'));
    expect(fromJson.status).toBe(200);
    const { rows } = fromJson.json<Result>();
    expect(rows.map(({ label }) => label)).toEqual([...CLASSES]);
    for (const { probabilities } of rows) {
      expect(Object.values(probabilities).reduce((sum, value) => sum + value)).toBeCloseTo(1, 3);
    }
    const csv = await tabular.call({
      body: templateFile('tabular', 'samples/pumps.csv'),
      headers: { 'content-type': 'text/csv' },
    });
    expect(csv.json()).toEqual(fromJson.json());
  });

  it('is right on more than 92% of readings that training never drew', async () => {
    const random = seededRandom(2000);
    const readings = Array.from({ length: 4000 }, () => drawReading(random));
    const body = readings.map(({ values }) => Object.fromEntries(COLUMNS.map((column, i) => [column, values[i]])));
    const { rows } = (await tabular.call({ json: body })).json<Result>();
    const right = rows.filter(({ label }, i) => label === CLASSES[readings[i]!.label]).length;
    expect(right / readings.length).toBeGreaterThan(0.92);
  });

  it('answers 400 with the place to rows that do not fit', async () => {
    const answer = await tabular.call('[{"speed_rpm": 1}]');
    expect(answer.status).toBe(400);
    expect(answer.json()).toEqual({
      error: expect.stringMatching(/^Row 1 lacks flow_m3h; each row needs speed_rpm, /u),
    });
  });
});
