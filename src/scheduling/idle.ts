// The idle devices in the three orders that the policies ask for; each answer and each change is O(log n). An order
// that nobody asked for yet is not kept.

import { DenseHeap } from './dense-heap.ts';
import { IndexSet } from './index-set.ts';
import type { DeviceState } from './state.ts';

/** Two numbers in one key: exact for so many devices, each of up to 2^32 dispatches. */
const MOST_DEVICES = 2 ** 21;

/** Devices that neither run nor load. */
export class IdleDevices {
  readonly #devices: readonly DeviceState[];
  readonly #indices = new IndexSet();
  readonly #byFreeMemory = new DenseHeap<DeviceState>(
    (device) => -device.freeBytes,
    (device) => device.dispatches * MOST_DEVICES + device.index,
  );
  readonly #byDispatches = new DenseHeap<DeviceState>(
    (device) => -device.dispatches,
    (device) => device.index,
  );
  #keepsFreeMemory = false;
  #keepsDispatches = false;

  /** `devices[i]` is the device of index i; the array may grow. */
  constructor(devices: readonly DeviceState[]) {
    this.#devices = devices;
  }

  get size(): number {
    return this.#indices.size;
  }

  add(device: DeviceState): void {
    this.#indices.add(device.index);
    if (this.#keepsFreeMemory) this.#byFreeMemory.put(device);
    if (this.#keepsDispatches) this.#byDispatches.put(device);
  }

  delete(device: DeviceState): void {
    this.#indices.delete(device.index);
    this.#byFreeMemory.remove(device);
    this.#byDispatches.remove(device);
  }

  /** Most free memory first; ties: fewest dispatches, then lowest index. */
  get byFreeMemory(): DenseHeap<DeviceState> {
    if (!this.#keepsFreeMemory) {
      this.#keepsFreeMemory = true;
      this.#fill(this.#byFreeMemory);
    }
    return this.#byFreeMemory;
  }

  /** Most dispatches first; ties to the lowest index. */
  get byDispatches(): DenseHeap<DeviceState> {
    if (!this.#keepsDispatches) {
      this.#keepsDispatches = true;
      this.#fill(this.#byDispatches);
    }
    return this.#byDispatches;
  }

  /** To be called when the held bytes of a device changed. */
  memoryChanged(device: DeviceState): void {
    if (this.#keepsFreeMemory && this.#byFreeMemory.has(device)) this.#byFreeMemory.put(device);
  }

  /** The idle device of the lowest index that is not below `from`. */
  atOrAfter(from: number): DeviceState | undefined {
    const index = this.#indices.next(from);
    return index < 0 ? undefined : this.#devices[index];
  }

  /** Of the idle devices that could hold so many bytes, the one with the most free memory. */
  mostFree(bytes: number): DeviceState | undefined {
    const tooSmall: DeviceState[] = [];
    let device = this.byFreeMemory.top();
    while (device !== undefined && !device.canHold(bytes)) {
      tooSmall.push(device);
      this.byFreeMemory.remove(device);
      device = this.byFreeMemory.top();
    }
    for (const each of tooSmall) this.byFreeMemory.put(each);
    return device;
  }

  #fill(heap: DenseHeap<DeviceState>): void {
    for (let at = this.#indices.next(0); at >= 0; at = this.#indices.next(at + 1)) heap.put(this.#devices[at]!);
  }
}
