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

test('a host that was emptied ends after a moment where a warm one stands by', async () => {
  const { events, starts, residents } = await secondStarts();
  starts[1]!();
  await expect.poll(() => residents.settled).toBe(true);
  await residents.evict('a');
  expect(events).toEqual(['a on 0']);
  expect(residents.settled).toBe(false);
  await expect.poll(() => events).toEqual(['a on 0', '0 ends']);
  expect(residents.settled).toBe(true);
});

test('evictions that make room for loads start no host and end none', async () => {
  const { events, starts, residents } = await secondStarts();
  starts[1]!();
  await expect.poll(() => residents.settled).toBe(true);
  for (const [victim, next] of ['ab', 'bc', 'cd', 'de']) {
    await Promise.all([residents.evict(victim!), residents.load(model(next!))]);
  }
  expect(events).toEqual(['a on 0', 'b on 1', 'c on 0', 'd on 1', 'e on 0']);
  await new Promise((resolve) => void setTimeout(resolve, 250));
  expect(starts).toHaveLength(2);
  expect(events).toHaveLength(5);
  expect(residents.settled).toBe(true);
});

test('of several hosts that were emptied one waits, the others end at once', async () => {
  const { events, residents, up } = await widened();
  await up(3);
  await expect.poll(() => residents.settled).toBe(true);
  await residents.evict('a');
  expect(events.slice(3)).toEqual(['2 ends', '0 ends']);
  await expect.poll(() => events.slice(3)).toEqual(['2 ends', '0 ends', '1 ends']);
});

test('all hosts end with the worker', async () => {
  const { events, starts, residents } = await secondStarts();
  starts[1]!();
  await expect.poll(() => residents.settled).toBe(true);
  await residents.clear();
  expect(events).toEqual(['a on 0', '1 ends', '0 ends']);
  await new Promise((resolve) => void setTimeout(resolve, 150));
  expect(events).toHaveLength(3);
});

/** Loads a model and makes two instances of it, each on the host that stood by. */
async function widened() {
  const made = hosts();
  const { residents, starts } = made;
  const up = async (number: number): Promise<void> => {
    await expect.poll(() => starts.length).toBeGreaterThan(number);
    starts[number]!();
  };
  const warm = residents.warmUp();
  await up(0);
  await warm;
  await residents.load(model('a'));
  await up(1);
  const first = residents.widen('a');
  await up(2);
  expect(await first).toBe(1);
  expect(await residents.widen('a')).toBe(2);
  return { ...made, up };
}

test('instances are loaded with one thread each, one after the other', async () => {
  const { events } = await widened();
  expect(events).toEqual(['a on 0', 'a on 1 with 1', 'a on 2 with 1']);
});

test('instances end when they are given up, but for the one that stands by', async () => {
  const { events, residents } = await widened();
  await residents.narrow('a');
  await expect.poll(() => events.slice(3)).toEqual(['2 ends']);
  expect(residents.settled).toBe(true);
  await residents.load(model('b'));
  expect(events.slice(4)).toEqual(['b on 1']);
});

test('instances go with their model', async () => {
  const { events, residents } = await widened();
  await residents.evict('a');
  await expect.poll(() => events.slice(3)).toEqual(['0 ends', '2 ends']);
  await expect(residents.widen('a')).rejects.toThrow('not resident');
});

test('a load comes between two instances, and giving them up before the second', async () => {
  const { events, residents, up } = await widened();
  const narrowed = residents.narrow('a');
  const loaded = residents.load(model('b'));
  const again = residents.widen('a');
  await up(3);
  await Promise.all([narrowed, loaded, again]);
  expect(events.slice(3)).toEqual(['b on 1', 'a on 2 with 1']);
});

test('an instance that can not be had leaves the others', async () => {
  const { events, residents, up } = await widened();
  await up(3);
  await residents.load(model('bad'));
  await up(4);
  await expect(residents.widen('bad')).rejects.toThrow('no room');
  expect(events.at(-1)).toBe('bad on 3');
  await residents.narrow('bad');
  expect(await residents.widen('a')).toBe(4);
});
