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
      load: async (model: LoadableModel, threads?: number) => {
        if (model.id === 'bad' && threads === 1) throw new Error('no room');
        events.push(`${model.id} on ${number}${threads === undefined ? '' : ` with ${threads}`}`);
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

/** Loads a model and has it widened to two instances, whose hosts are the third and fourth. */
async function widened(id = 'a') {
  const made = hosts();
  const { residents, starts } = made;
  const warm = residents.warmUp();
  starts[0]!();
  await warm;
  await residents.load(model(id));
  await expect.poll(() => starts.length).toBe(2);
  starts[1]!();
  const lanes = residents.widen(id, 2);
  lanes.catch(() => undefined);
  await expect.poll(() => starts.length).toBe(3);
  starts[2]!();
  await expect.poll(() => starts.length).toBe(4);
  return { ...made, lanes };
}

test('instances are loaded with one thread each, and end when they are given up', async () => {
  const { events, starts, residents, lanes } = await widened();
  expect(residents.settled).toBe(false);
  starts[3]!();
  expect(await lanes).toEqual([2, 3]);
  expect(events).toEqual(['a on 0', 'a on 2 with 1', 'a on 3 with 1']);
  expect(residents.settled).toBe(true);
  await residents.narrow('a');
  expect(events.slice(3)).toEqual(['2 ends', '3 ends']);
});

test('instances go with their model', async () => {
  const { events, starts, residents, lanes } = await widened();
  starts[3]!();
  await lanes;
  await residents.evict('a');
  expect(events.slice(3)).toEqual(['2 ends', '3 ends', '0 ends']);
});

test('instances that were given up while their threads started are not made', async () => {
  const { events, starts, residents, lanes } = await widened();
  await residents.narrow('a');
  starts[3]!();
  await expect(lanes).rejects.toThrow('given up');
  expect(events).toEqual(['a on 0', '2 ends', '3 ends']);
});

test('instances of a model that went and came back meanwhile are not made', async () => {
  const { events, starts, residents, lanes } = await widened();
  await residents.evict('a');
  await residents.load(model('a'));
  starts[3]!();
  await expect(lanes).rejects.toThrow('given up');
  expect(events.slice(-2)).toEqual(['2 ends', '3 ends']);
});

test('where one instance can not be had there is none', async () => {
  const { events, starts, lanes } = await widened('bad');
  starts[3]!();
  await expect(lanes).rejects.toThrow('no room');
  expect(events).toEqual(['bad on 0', '2 ends', '3 ends']);
});
