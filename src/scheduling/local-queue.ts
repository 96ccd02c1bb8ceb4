// The requests bound to one device, in order of binding: a list through the requests themselves, so that there may be
// thousands of devices and binding costs no memory.

/** What the queue needs of its requests. */
export interface Local<R> {
  isLocal: boolean;
  localBefore: R | null;
  localAfter: R | null;
}

/** Any of them may be taken out, also while they are gone through. */
export class LocalQueue<R extends Local<R>> implements Iterable<R> {
  #size = 0;
  #first: R | null = null;
  #last: R | null = null;

  get size(): number {
    return this.#size;
  }

  first(): R | null {
    return this.#first;
  }

  /** The request must not be in any local queue. */
  add(request: R): void {
    request.isLocal = true;
    request.localBefore = this.#last;
    request.localAfter = null;
    if (this.#last === null) this.#first = request;
    else this.#last.localAfter = request;
    this.#last = request;
    this.#size++;
  }

  /** False if it was not in; a request bound to this device is in no other local queue. */
  delete(request: R): boolean {
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

  *[Symbol.iterator](): Generator<R> {
    for (let at = this.#first; at !== null;) {
      const next: R | null = at.localAfter;
      yield at;
      at = next;
    }
  }
}
