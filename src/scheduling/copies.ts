// Which copies there are, looked at from a device and from a model. There are tens of thousands of them on a large machine
// and they are used all the time, so the lists run through the copies themselves and one table finds a copy by both its ends.

import type { Indexed } from './dense-heap.ts';

/** What is needed of a copy: its ends, and places for its neighbours on its device and among those of its model. */
export interface Linked<C> {
  readonly model: Indexed;
  readonly device: Indexed;
  older: C | null;
  newer: C | null;
  before: C | null;
  after: C | null;
}

/** A key is two indices in one exact number. */
const MOST_DEVICES = 2 ** 21;
const FREE = -1;

const keyOf = (model: Indexed, device: Indexed): number => model.index * MOST_DEVICES + device.index;

function hashOf(key: number): number {
  const hash = Math.imul(Math.floor(key / MOST_DEVICES), 0x9e3779b1) ^ Math.imul(key % MOST_DEVICES, 0x85ebca6b);
  return hash ^ (hash >>> 15);
}

/** Finds the copy of a model on a device: a hash table with open addressing, at most half full. */
export class CopyTable<C extends Linked<C>> {
  #keys = new Float64Array(64).fill(FREE);
  #copies: (C | null)[] = Array.from({ length: 64 }, () => null);
  #size = 0;

  get(model: C['model'], device: C['device']): C | undefined {
    return this.#copies[this.#find(keyOf(model, device))] ?? undefined;
  }

  add(copy: C): void {
    if (2 * (this.#size + 1) > this.#keys.length) this.#grow();
    this.#put(keyOf(copy.model, copy.device), copy);
    this.#size++;
  }

  delete(copy: C): void {
    const [keys, copies, mask] = [this.#keys, this.#copies, this.#keys.length - 1];
    let hole = this.#find(keyOf(copy.model, copy.device));
    this.#size--;
    // What was put behind it because its place was taken moves up, so that no search ends at the hole.
    for (let at = (hole + 1) & mask; keys[at] !== FREE; at = (at + 1) & mask) {
      const home = hashOf(keys[at]!) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      keys[hole] = keys[at]!;
      copies[hole] = copies[at]!;
      hole = at;
    }
    keys[hole] = FREE;
    copies[hole] = null;
  }

  /** Where the key is, or the free place where it would be. */
  #find(key: number): number {
    const mask = this.#keys.length - 1;
    let at = hashOf(key) & mask;
    while (this.#keys[at] !== key && this.#keys[at] !== FREE) at = (at + 1) & mask;
    return at;
  }

  #put(key: number, copy: C): void {
    const at = this.#find(key);
    this.#keys[at] = key;
    this.#copies[at] = copy;
  }

  #grow(): void {
    const [keys, copies] = [this.#keys, this.#copies];
    this.#keys = new Float64Array(2 * keys.length).fill(FREE);
    this.#copies = Array.from({ length: 2 * keys.length }, () => null);
    for (const [at, copy] of copies.entries()) if (copy !== null) this.#put(keys[at]!, copy);
  }
}

/** The copies on one device, least recently used first. They may be removed while they are gone through. */
export class DeviceCopies<C extends Linked<C>> {
  readonly #device: C['device'];
  readonly #table: CopyTable<C>;
  #size = 0;
  #oldest: C | null = null;
  #newest: C | null = null;

  constructor(device: C['device'], table: CopyTable<C>) {
    this.#device = device;
    this.#table = table;
  }

  get size(): number {
    return this.#size;
  }

  get(model: C['model']): C | undefined {
    return this.#table.get(model, this.#device);
  }

  has(model: C['model']): boolean {
    return this.#table.get(model, this.#device) !== undefined;
  }

  /** Where to begin: the next is `newer`. For loops that are gone through all the time. */
  get oldest(): C | null {
    return this.#oldest;
  }

  values(): IterableIterator<C> {
    return new Walk(this.#oldest, true, 'copy');
  }

  keys(): IterableIterator<C['model']> {
    return new Walk(this.#oldest, true, 'model');
  }

  /** For the residency alone. */
  add(copy: C): void {
    this.#size++;
    this.#append(copy);
  }

  /** For the residency alone. A removed copy still leads on to the next. */
  remove(copy: C): void {
    this.#size--;
    this.#unlink(copy);
  }

  /** For the residency alone: makes it the most recent. */
  touch(copy: C): void {
    if (copy === this.#newest) return;
    this.#unlink(copy);
    this.#append(copy);
  }

  #append(copy: C): void {
    copy.older = this.#newest;
    copy.newer = null;
    if (this.#newest === null) this.#oldest = copy;
    else this.#newest.newer = copy;
    this.#newest = copy;
  }

  #unlink({ older, newer }: C): void {
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#newest = older;
    else newer.older = older;
  }
}

/** The copies of one model, in order of their loads. They may be removed while they are gone through. */
export class ModelCopies<C extends Linked<C>> {
  #size = 0;
  #first: C | null = null;
  #last: C | null = null;

  get size(): number {
    return this.#size;
  }

  /** Where to begin: the next is `after`. For loops that are gone through all the time. */
  get first(): C | null {
    return this.#first;
  }

  values(): IterableIterator<C> {
    return new Walk(this.#first, false, 'copy');
  }

  keys(): IterableIterator<C['device']> {
    return new Walk(this.#first, false, 'device');
  }

  /** For the residency alone. */
  add(copy: C): void {
    this.#size++;
    copy.before = this.#last;
    if (this.#last === null) this.#first = copy;
    else this.#last.after = copy;
    this.#last = copy;
  }

  /** For the residency alone. A removed copy still leads on to the next. */
  remove({ before, after }: C): void {
    this.#size--;
    if (before === null) this.#first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
  }
}

type End = 'copy' | 'model' | 'device';

/**
 * Goes through the copies of a device or of a model. It is its own result: this is what a decision does most, and it should
 * leave no garbage.
 */
class Walk<C extends Linked<C>, T> implements IterableIterator<T> {
  done = false;
  value: T;
  #at: C | null = null;
  readonly #first: C | null;
  readonly #isOfDevice: boolean;
  readonly #end: End;

  constructor(first: C | null, isOfDevice: boolean, end: End) {
    this.#first = first;
    this.#isOfDevice = isOfDevice;
    this.#end = end;
    this.value = first as unknown as T;
  }

  next(): IteratorResult<T> {
    const last = this.#at;
    const copy = last === null ? this.#first : this.#isOfDevice ? last.newer : last.after;
    this.#at = copy;
    if (copy === null) this.done = true;
    else this.value = (this.#end === 'copy' ? copy : this.#end === 'model' ? copy.model : copy.device) as unknown as T;
    return this as IteratorResult<T>;
  }

  [Symbol.iterator](): this {
    return this;
  }
}
