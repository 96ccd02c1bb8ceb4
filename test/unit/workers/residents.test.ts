// Which host a load gets: one that is warm, whenever there is one.

import { expect, test } from 'vitest';
import type { ModelHost } from '../../../src/workers/model-host.ts';
import { Residents } from '../../../src/workers/residents.ts';
import type { LoadableModel } from '../../../src/workers/types.ts';

/** Hosts whose start the test decides; `events` tells what became of each. */
function hosts() {
  const events: string[] = [];
  const starts: (() => void)[] = [];
  const startHost = (): Promise<ModelHost> => {
    const number = starts.length;
    const host = {
      lane: number,
      load: async (model: LoadableModel) => {
        events.push(`${model.id} on ${number}`);
        return { loadMs: 1, inputs: [], outputs: [] };
      },
      run: () => Promise.reject(new Error('nothing runs here')),
      release: async () => undefined,
      end: async () => void events.push(`${number} ends`),
    } as unknown as ModelHost;
    return new Promise((resolve) => starts.push(() => resolve(host)));
  };
  return { events, starts, residents: new Residents(startHost) };
}

const model = (id: string): LoadableModel => ({ id, path: '/m.onnx', prepared: true, inputs: [], outputs: [] });

/** A model was loaded on the first host, and the second one has begun to start. */
async function secondStarts() {
  const made = hosts();
  const warm = made.residents.warmUp();
  made.starts[0]!();
  await warm;
  await made.residents.load(model('a'));
  await expect.poll(() => made.starts.length).toBe(2);
  return made;
}

test('a host that was emptied serves the next load, although another one is about to start', async () => {
  const { events, starts, residents } = await secondStarts();
  // The second never comes up while it is needed.
  await residents.evict('a');
  await residents.load(model('b'));
  expect(events).toEqual(['a on 0', 'b on 0']);
  starts[1]!();
  await expect.poll(() => events).toEqual(['a on 0', 'b on 0', '1 ends']);
  expect(residents.settled).toBe(false);
  await expect.poll(() => starts.length).toBe(3);
  starts[2]!();
  await expect.poll(() => residents.settled).toBe(true);
});

test('a host that was emptied ends where a warm one stands by', async () => {
  const { events, starts, residents } = await secondStarts();
  starts[1]!();
  await expect.poll(() => residents.settled).toBe(true);
  await residents.evict('a');
  expect(events).toEqual(['a on 0', '0 ends']);
});
