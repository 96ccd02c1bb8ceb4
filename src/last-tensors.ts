// What the last tensors were, so that what was worked out for them need not be worked out again for the same kind.

import type { Tensor } from './tensors.ts';

interface Last extends Omit<Tensor, 'data'> {
  readonly bytes: number;
}

/** Names, types, shapes and lengths of tensors, without their bytes. */
export class LastTensors {
  readonly #last: readonly Last[];

  constructor(tensors: readonly Tensor[]) {
    this.#last = tensors.map(({ data, ...head }) => ({ ...head, bytes: data.byteLength }));
  }

  /**
   * True if these are of the same kind. Shapes are compared as objects: where runs repeat they are the same ones (run-codec.ts), elsewhere
   * nothing is lost but a little time.
   */
  areLike(tensors: readonly Tensor[]): boolean {
    if (tensors.length !== this.#last.length) return false;
    for (let index = 0; index < tensors.length; index++) {
      const { name, datatype, shape, data } = tensors[index]!;
      const last = this.#last[index]!;
      if (shape !== last.shape || name !== last.name || datatype !== last.datatype) return false;
      if (data.byteLength !== last.bytes) return false;
    }
    return true;
  }
}
