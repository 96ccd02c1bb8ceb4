// The lists, heaps and tables of the core against plain ones, under any order of operations.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CopyTable, DeviceCopies, ModelCopies } from '../../../src/scheduling/copies.ts';
import type { Linked } from '../../../src/scheduling/copies.ts';
import { DenseHeap } from '../../../src/scheduling/dense-heap.ts';
import { LocalQueue } from '../../../src/scheduling/local-queue.ts';
import { RequestList, isEarlier } from '../../../src/scheduling/request-list.ts';
import { UniqueList } from '../../../src/scheduling/unique-list.ts';

interface End {
  readonly index: number;
}

class Link implements Linked<Link> {
  older: Link | null = null;
  newer: Link | null = null;
  before: Link | null = null;
  after: Link | null = null;
  readonly model: End;
  readonly device: End;

  constructor(model: End, device: End) {
    this.model = model;
    this.device = device;
  }
}

const ends = (count: number): End[] => Array.from({ length: count }, (_, index) => ({ index }));

describe('the heap with keys of its own', () => {
  it('has the least key on top, whatever was put in, moved and taken out', () => {
    const operation = fc.record({ index: fc.nat({ max: 60 }), first: fc.nat({ max: 5 }), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
        const items = Array.from({ length: 61 }, (_, index) => ({ index, first: 0 }));
        const heap = new DenseHeap<{ index: number; first: number }>(
          (item) => item.first,
          (item) => item.index,
        );
        const plain = new Set<{ index: number; first: number }>();
        for (const { index, first, remove } of operations) {
          const item = items[index]!;
          const wasIn = plain.has(item);
          expect(heap.has(item)).toBe(wasIn);
          if (remove) {
            heap.remove(item);
            plain.delete(item);
          } else {
            item.first = first;
            heap.put(item);
            plain.add(item);
          }
          const least = [...plain].sort((a, b) => a.first - b.first || a.index - b.index)[0];
          expect(heap.top()).toBe(least);
          expect(heap.size).toBe(plain.size);
        }
      }),
    );
  });
});

describe('the copies', () => {
  it('are found by model and device, and gone through in order, like maps', () => {
    const operation = fc.record({ model: fc.nat({ max: 20 }), device: fc.nat({ max: 12 }), what: fc.nat({ max: 2 }) });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 400 }), (operations) => {
        const [models, devices] = [ends(21), ends(13)];
        const table = new CopyTable<Link>();
        const ofDevice = devices.map((device) => new DeviceCopies<Link>(device, table));
        const ofModel = models.map(() => new ModelCopies<Link>());
        const plainDevice = devices.map(() => new Map<End, Link>());
        const plainModel = models.map(() => new Map<End, Link>());
        for (const { model: m, device: d, what } of operations) {
          const [model, device] = [models[m]!, devices[d]!];
          const known = plainDevice[d]!.get(model);
          expect(ofDevice[d]!.get(model)).toBe(known);
          if (known === undefined) {
            const copy = new Link(model, device);
            table.add(copy);
            ofDevice[d]!.add(copy);
            ofModel[m]!.add(copy);
            plainDevice[d]!.set(model, copy);
            plainModel[m]!.set(device, copy);
          } else if (what === 0) {
            table.delete(known);
            ofDevice[d]!.remove(known);
            ofModel[m]!.remove(known);
            plainDevice[d]!.delete(model);
            plainModel[m]!.delete(device);
          } else {
            ofDevice[d]!.touch(known);
            plainDevice[d]!.delete(model);
            plainDevice[d]!.set(model, known);
          }
          expect([...ofDevice[d]!.keys()]).toEqual([...plainDevice[d]!.keys()]);
          expect([...ofModel[m]!.values()]).toEqual([...plainModel[m]!.values()]);
        }
        for (const [d, plain] of plainDevice.entries())
          for (const model of models) expect(ofDevice[d]!.get(model)).toBe(plain.get(model));
      }),
      { numRuns: 40 },
    );
  });
});

describe('the list of requests', () => {
  it('stays in order with hundreds of them, old ones put back among them', () => {
    const operation = fc.record({ arrivedAtMs: fc.nat({ max: 400 }), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(operation, { minLength: 150, maxLength: 400 }), (operations) => {
        const list = new RequestList<{ id: number; arrivedAtMs: number }>();
        const nodes = [];
        for (const [id, { arrivedAtMs, remove }] of operations.entries()) {
          nodes.push(list.insert({ id, arrivedAtMs }));
          if (remove && id % 3 === 0) list.remove(nodes.splice(Math.floor(nodes.length / 2), 1)[0]!);
        }
        const plain = nodes.map((node) => node.item).sort((a, b) => (isEarlier(a, b) ? -1 : 1));
        expect([...list]).toEqual(plain);
        expect(list.head()).toBe(plain[0]);
      }),
      { numRuns: 40 },
    );
  });
});

describe('the local queue', () => {
  it('is first in, first out, and lets go of any', () => {
    const make = () => ({ isLocal: false, localBefore: null, localAfter: null });
    const requests = Array.from({ length: 5 }, make);
    const queue = new LocalQueue<(typeof requests)[number]>();
    for (const request of requests) queue.add(request);
    expect(queue.delete(requests[2]!)).toBe(true);
    expect(queue.delete(requests[2]!)).toBe(false);
    for (const request of queue) if (request === requests[1]) queue.delete(request);
    expect([...queue]).toEqual([requests[0], requests[3], requests[4]]);
    expect(queue.first()).toBe(requests[0]);
    expect(queue.size).toBe(3);
  });
});

describe('the list in which nothing stands twice', () => {
  it('has what a set would have, in the same order, however often it was emptied', () => {
    const rounds = fc.array(fc.array(fc.nat({ max: 80 }), { maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(rounds, (all) => {
        const items = ends(81);
        const list = new UniqueList<End>();
        for (const round of all) {
          for (const index of round) list.add(items[index]!);
          expect(list.items.map(({ index }) => index)).toEqual([...new Set(round)]);
          list.clear();
          expect(list.items).toEqual([]);
        }
      }),
    );
  });
});
