// The queue in which no group may take all places.

import { expect, test } from 'vitest';
import { FairQueue } from '../../../src/daemon/fair-queue.ts';

/** Takes what there is to take. */
function drain(queue: FairQueue<string>): string[] {
  const taken: string[] = [];
  for (let next = queue.take(); next !== undefined; next = queue.take()) taken.push(next.item);
  return taken;
}

test('items leave in their order, as far as their group has places', () => {
  const queue = new FairQueue<string>(4, 3);
  for (const item of ['a1', 'a2', 'b1', 'a3', 'a4', 'b2']) queue.add(item[0]!, item);
  expect(drain(queue)).toEqual(['a1', 'a2', 'b1', 'a3']);
  queue.done('b');
  // a has all it may have.
  expect(drain(queue)).toEqual(['b2']);
  queue.done('a');
  expect(drain(queue)).toEqual(['a4']);
  expect(queue.take()).toBeUndefined();
});

test('a place that is free for others is left free', () => {
  const queue = new FairQueue<string>(4, 3);
  for (const item of ['a1', 'a2', 'a3', 'a4']) queue.add('a', item);
  expect(drain(queue)).toEqual(['a1', 'a2', 'a3']);
  queue.add('b', 'b1');
  expect(drain(queue)).toEqual(['b1']);
});

test('what is taken out does not come', () => {
  const queue = new FairQueue<string>(1, 1);
  for (const item of ['a1', 'a2', 'b1']) queue.add(item[0]!, item);
  queue.remove('a', 'a1');
  queue.remove('a', 'never there');
  queue.remove('c', 'c1');
  expect(drain(queue)).toEqual(['a2']);
  queue.done('a');
  expect(drain(queue)).toEqual(['b1']);
});
