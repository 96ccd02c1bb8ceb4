// The requests bound to one device, in order of binding: a list through the requests themselves, so that there may be
// thousands of devices and binding costs no memory.

import type { RequestState } from './state.ts';

/** Any of them may be taken out, also while they are gone through. */
export class LocalQueue implements Iterable<RequestState> {
  #size = 0;
  #first: RequestState | null = null;
  #last: RequestState | null = null;

  get size(): number {
    return this.#size;
  }

  first(): RequestState | null {
    return this.#first;
  }

  /** The request must not be in any local queue. */
  add(request: RequestState): void {
    request.isLocal = true;
    request.localBefore = this.#last;
    request.localAfter = null;
    if (this.#last === null) this.#first = request;
    else this.#last.localAfter = request;
    this.#last = request;
    this.#size++;
  }

  /** False if it was not in; a request bound to this device is in no other local queue. */
  delete(request: RequestState): boolean {
    if (!request.isLocal) return false;
    const { localBefore, localAfter } = request;
    request.isLocal = false;
    if (localBefore === null) this.#first = localAfter;
    else localBefore.localAfter = localAfter;
    if (localAfter === null) this.#last = localBefore;
    else localAfter.localBefore = localBefore;
    this.#size--;
    return true;
  }

  *[Symbol.iterator](): Generator<RequestState> {
    for (let at = this.#first; at !== null;) {
      const next: RequestState | null = at.localAfter;
      yield at;
      at = next;
    }
  }
}
