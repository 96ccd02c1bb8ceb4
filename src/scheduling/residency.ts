// The device cache: which copy of which model is where, its bytes, who uses it, who goes first when room is needed.
// Guarantees that held bytes always equal the sum of the copies and that nothing in use or pinned is ever evicted.

import { CopyTable } from './copies.ts';
import { IndexedHeap } from './heap.ts';
import { Instances } from './instances.ts';
import type { IdleDevices } from './idle.ts';
import { Copy } from './state.ts';
import type { DeviceState, ModelState } from './state.ts';
import type { DecisionReason, SchedulerAction } from './types.ts';

/** All copies on all devices. */
export class Residency {
  /** Finds any of them by model and device. */
  readonly table = new CopyTable<Copy>();
  readonly instances: Instances;
  readonly #idle: IdleDevices;
  readonly #act: (action: SchedulerAction) => void;
  readonly #onRemove: (copy: Copy) => void;
  readonly #expiring = new IndexedHeap<Copy>('third', (a, b) => a.expiresAtMs < b.expiresAtMs);
  readonly #unwanted = new Set<Copy>();

  /** `act` is given evictions; `onRemove` is also told of copies that went with their device or whose load failed. */
  constructor(idle: IdleDevices, act: (action: SchedulerAction) => void, onRemove: (copy: Copy) => void) {
    this.#idle = idle;
    this.#act = act;
    this.instances = new Instances(act);
    this.#onRemove = onRemove;
  }

  /** Accounts a copy from the start of its load on; it counts as in use until `release`. */
  add(model: ModelState, device: DeviceState, nowMs: number): Copy {
    const copy = new Copy(model, device, nowMs);
    this.table.add(copy);
    model.copies.add(copy);
    device.copies.add(copy);
    device.heldBytes += copy.bytes;
    device.fixedBytes += copy.bytes;
    if (model.pinned) device.pinnedBytes += copy.bytes;
    copy.uses = 1;
    device.highestKeyMs = Math.max(device.highestKeyMs, copy.freeAtMs);
    model.copiesByFreeAt.put(copy);
    device.aside.push(copy);
    this.#tookMemory(device);
    return copy;
  }

  /** Forgets a copy: evicted, failed to load, or gone with its device. */
  remove(copy: Copy): void {
    const { model, device } = copy;
    if (!copy.evictable) device.fixedBytes -= copy.bytes;
    if (model.pinned) device.pinnedBytes -= copy.bytes;
    device.heldBytes -= copy.bytes;
    this.instances.forget(copy);
    copy.gone = true;
    this.table.delete(copy);
    model.copies.remove(copy);
    device.copies.remove(copy);
    model.freeCopies.remove(copy);
    model.copiesByFreeAt.remove(copy);
    this.#expiring.remove(copy);
    this.#unwanted.delete(copy);
    this.#idle.memoryChanged(device);
    this.#onRemove(copy);
  }

  evict(copy: Copy, reason: DecisionReason): void {
    this.remove(copy);
    this.#act({ type: 'evict', device: copy.device.id, model: copy.model.id, reason });
  }

  retain(copy: Copy): void {
    if (copy.evictable) copy.device.fixedBytes += copy.bytes;
    copy.uses++;
    this.#expiring.remove(copy);
  }

  /** The use ends; keep-alive counts from here. */
  release(copy: Copy, nowMs: number): void {
    copy.uses--;
    copy.lastUsedAtMs = nowMs;
    if (copy.evictable) copy.device.fixedBytes -= copy.bytes;
    if (copy.evictable) this.#watchKeepAlive(copy, nowMs);
  }

  /** Makes the copy the most recent of its device. */
  touch(copy: Copy): void {
    copy.device.copies.touch(copy);
  }

  setPinned(model: ModelState, pinned: boolean, nowMs: number): void {
    if (model.pinned === pinned) return;
    for (const copy of model.copies.values()) {
      copy.device.pinnedBytes += pinned ? copy.bytes : -copy.bytes;
      if (copy.uses > 0) continue;
      copy.device.fixedBytes += pinned ? copy.bytes : -copy.bytes;
      if (pinned) this.#expiring.remove(copy);
      else this.#watchKeepAlive(copy, nowMs);
    }
    model.pinned = pinned;
  }

  /** Takes over a measured size; the device may then hold more than it has, until `trim`. */
  resize(copy: Copy, bytes: number): void {
    const change = bytes - copy.bytes;
    if (!copy.evictable) copy.device.fixedBytes += change;
    if (copy.model.pinned) copy.device.pinnedBytes += change;
    copy.device.heldBytes += change;
    copy.bytes = bytes;
    this.#tookMemory(copy.device);
  }

  /** Evicts one by one, least recent first, until so many bytes are free; the caller has asked `canHold`. */
  makeRoom(device: DeviceState, bytes: number): void {
    if (device.freeBytes >= bytes) return;
    for (const copy of device.copies.values()) {
      if (!copy.evictable) continue;
      this.evict(copy, 'capacity');
      if (device.freeBytes >= bytes) return;
    }
  }

  /** Lends so many bytes to something other than a copy; the caller has asked `canHold`. */
  reserve(device: DeviceState, bytes: number): void {
    this.makeRoom(device, bytes);
    device.reservedBytes = bytes;
    device.heldBytes += bytes;
    device.fixedBytes += bytes;
    this.#tookMemory(device);
  }

  /** Takes back what was lent. */
  unreserve(device: DeviceState): void {
    device.heldBytes -= device.reservedBytes;
    device.fixedBytes -= device.reservedBytes;
    device.reservedBytes = 0;
    this.#idle.memoryChanged(device);
  }

  /** The copy that could run now, on the device of the lowest index. */
  freeCopy(model: ModelState): Copy | undefined {
    for (;;) {
      const copy = model.freeCopies.top();
      if (copy === undefined || copy.free) return copy;
      // Put back when its device can run again: at most once per busy period, so never dearer than keeping it up to date.
      model.freeCopies.remove(copy);
      copy.device.aside.push(copy);
    }
  }

  /** The copy whose device is free first, ties to the lowest index. */
  firstFreeCopy(model: ModelState): Copy | undefined {
    for (;;) {
      const copy = model.copiesByFreeAt.top();
      if (copy === undefined || Object.is(copy.freeAtMs, copy.device.freeAtMs)) return copy;
      copy.freeAtMs = copy.device.freeAtMs;
      copy.device.highestKeyMs = Math.max(copy.device.highestKeyMs, copy.freeAtMs);
      model.copiesByFreeAt.put(copy);
    }
  }

  /** Up to so many copies that could run now, in no particular order. */
  someFreeCopies(model: ModelState, most: number): readonly Copy[] {
    const found: Copy[] = [];
    const { items } = model.freeCopies;
    for (let at = 0; at < items.length && found.length < most;) {
      const copy = items[at]!;
      if (copy.free) {
        found.push(copy);
        at++;
        continue;
      }
      // Another copy takes its place in the heap, perhaps one already found; then the next round meets it again.
      model.freeCopies.remove(copy);
      copy.device.aside.push(copy);
      found.length = 0;
      at = 0;
    }
    return found;
  }

  /** To be called when the device can run again, or a copy on it became ready. */
  deviceFree(device: DeviceState): void {
    for (const copy of device.aside) if (!copy.gone) copy.model.freeCopies.put(copy);
    device.aside.length = 0;
  }

  /** To be called when `freeAtMs` may have gone down: keys must stay lower bounds. */
  freeAtChanged(device: DeviceState): void {
    if (device.freeAtMs >= device.highestKeyMs) return;
    for (const copy of device.copies.values()) {
      copy.freeAtMs = Math.min(copy.freeAtMs, device.freeAtMs);
      copy.model.copiesByFreeAt.put(copy);
    }
    device.highestKeyMs = device.freeAtMs;
  }

  /** To be evicted as soon as nothing uses it. */
  unwant(copy: Copy): void {
    copy.unwanted = true;
    this.#unwanted.add(copy);
  }

  /** Takes back `unwant`. */
  want(copy: Copy): void {
    copy.unwanted = false;
    this.#unwanted.delete(copy);
  }

  evictUnwanted(): void {
    if (this.#unwanted.size === 0) return;
    for (const copy of this.#unwanted) {
      if (mayGo(copy)) this.evict(copy, copy.model.removed ? 'removed' : 'requested');
    }
  }

  /** Evicts what was not used for its keep-alive. */
  evictExpired(nowMs: number): void {
    for (
      let copy = this.#expiring.top();
      copy !== undefined && copy.expiresAtMs <= nowMs;
      copy = this.#expiring.top()
    ) {
      if (mayGo(copy)) this.evict(copy, 'keep-alive');
      else {
        this.#expiring.remove(copy);
        this.#watchKeepAlive(copy, nowMs);
      }
    }
  }

  nextExpiryMs(): number {
    return this.#expiring.top()?.expiresAtMs ?? Infinity;
  }

  #tookMemory(device: DeviceState): void {
    this.instances.makeRoom(device);
    this.#idle.memoryChanged(device);
  }

  #watchKeepAlive(copy: Copy, fromMs: number): void {
    if (copy.model.keepAliveMs === undefined) return;
    // Looked at again no sooner than 1 ms from now, so that a keep-alive of 0 can't make the driver spin.
    copy.expiresAtMs = fromMs + Math.max(1, copy.model.keepAliveMs);
    this.#expiring.put(copy);
  }
}

/** What requests wait for counts as used; a device of which memory is reserved is left alone. */
function mayGo(copy: Copy): boolean {
  return copy.evictable && copy.model.waiting.size === 0 && copy.device.reservedBytes === 0;
}
