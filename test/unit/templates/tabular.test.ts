import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { seededRandom } from '../../../src/random.ts';
import { CLASSES, COLUMNS } from '../../../templates/tabular/columns.ts';
import { drawReading } from '../../../templates/tabular/training/data.ts';
import { loadTemplate } from '../../helpers/call-handler.ts';
import type { LoadedTemplate } from '../../helpers/call-handler.ts';

interface Result {
  readonly rows: readonly { readonly label: string; readonly probabilities: Readonly<Record<string, number>> }[];
}

let tabular: LoadedTemplate;
beforeAll(async () => {
  tabular = await loadTemplate('tabular');
});
afterAll(() => tabular.release());

describe('the template tabular', () => {
  it('tells each class of its samples, as JSON and as CSV', async () => {
    const fromJson = await tabular.call(tabular.file('samples/pumps.json'));
    expect(fromJson.status).toBe(200);
    const { rows } = fromJson.json as Result;
    expect(rows.map(({ label }) => label)).toEqual([...CLASSES]);
    for (const { probabilities } of rows) {
      expect(Object.values(probabilities).reduce((sum, value) => sum + value)).toBeCloseTo(1, 3);
    }
    const csv = await tabular.call(tabular.file('samples/pumps.csv'), '/', { 'content-type': 'text/csv' });
    expect(csv.json).toEqual(fromJson.json);
  });

  it('is right on more than 92% of readings that training never drew', async () => {
    const random = seededRandom(2000);
    const readings = Array.from({ length: 4000 }, () => drawReading(random));
    const body = readings.map(({ values }) => Object.fromEntries(COLUMNS.map((column, i) => [column, values[i]])));
    const { rows } = (await tabular.call(JSON.stringify(body))).json as Result;
    const right = rows.filter(({ label }, i) => label === CLASSES[readings[i]!.label]).length;
    expect(right / readings.length).toBeGreaterThan(0.92);
  });

  it('answers 400 with the place to rows that do not fit', async () => {
    expect(await tabular.call('[{"speed_rpm": 1}]')).toMatchObject({
      status: 400,
      json: { error: 'Row 1 lacks flow_m3h.' },
    });
  });
});
