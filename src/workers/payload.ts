// The bytes of a run on the worker's side: inputs come in the frame or from a slot of the window, outputs leave the same
// way. What is read from a slot goes into memory that is kept from run to run: to take it anew costs more than to fill it.

import { freeBuffer } from '../free-buffer.ts';
import type { Tensor } from '../tensors.ts';
import { headOf, joinTensors, type TensorHead } from './protocol.ts';
import { fitsSlot, LEAD_BYTES, placedBytes, readParts, WINDOW_FD, writeParts } from './window.ts';

/** A run as it arrived. */
export interface RunRequest {
  readonly inputs: readonly TensorHead[];
  /** The bytes of the inputs, unless they are placed. */
  readonly parts: readonly Uint8Array[];
  /** The run's slot in the window, for its inputs and its outputs. */
  readonly slot: number | null;
  /** Lengths of the inputs that lie in the slot. */
  readonly placed: readonly number[] | null;
}

/** A run as it is answered. */
export interface RunAnswer {
  readonly outputs: readonly TensorHead[];
  /** The bytes of the outputs, unless they are placed. */
  readonly parts: readonly Uint8Array[];
  readonly placed: readonly number[] | null;
  readonly runMs: number;
}

/** The payloads of one model, whose runs are one after the other. */
export class Payloads {
  #kept = new ArrayBuffer(0);

  /** Carries out a run with its bytes in place. `run` may keep neither inputs nor outputs. */
  async carry(
    request: RunRequest,
    run: (inputs: readonly Tensor[]) => Promise<{ readonly outputs: readonly Tensor[]; readonly runMs: number }>,
  ): Promise<RunAnswer> {
    const inputs = joinTensors(request.inputs, this.#partsOf(request));
    let leaving: readonly Uint8Array[] = [];
    try {
      const { outputs, runMs } = await run(inputs);
      const answer = { ...this.#place(outputs, request.slot), runMs };
      leaving = answer.parts;
      return answer;
    } finally {
      // A model that hands an input through as an output shares its bytes: those leave with the answer.
      for (const { data } of inputs)
        if (this.#isOurs(data) && !leaving.some((part) => part.buffer === data.buffer)) freeBuffer(data);
    }
  }

  /** Gives back what was kept. */
  clear(): void {
    this.#kept = new ArrayBuffer(0);
  }

  #partsOf({ parts, slot, placed }: RunRequest): readonly Uint8Array[] {
    if (placed === null || slot === null) return parts;
    const bytes = LEAD_BYTES + placedBytes(placed);
    if (this.#kept.byteLength < bytes) this.#kept = new ArrayBuffer(bytes);
    return readParts(WINDOW_FD, slot, placed, this.#kept);
  }

  #place(outputs: readonly Tensor[], slot: number | null): Omit<RunAnswer, 'runMs'> {
    const heads = outputs.map(headOf);
    const parts = outputs.map(({ data }) => data);
    const placed = slot !== null && fitsSlot(parts) ? writeParts(WINDOW_FD, slot, parts) : null;
    // What stays is a copy where an output is an input: the memory it lies in is the next run's.
    if (placed === null)
      return { outputs: heads, parts: parts.map((part) => (this.#isOurs(part) ? part : part.slice())), placed };
    for (const part of parts) if (this.#isOurs(part)) freeBuffer(part);
    return { outputs: heads, parts: [], placed };
  }

  /** True for all bytes but those that are kept. */
  #isOurs(part: Uint8Array): boolean {
    return part.buffer !== this.#kept;
  }
}
